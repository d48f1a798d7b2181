//! From a hop to a session: the addresses of a host, connections to them, proof and login.

use std::net::SocketAddr;
use std::sync::Arc;

use dns::{Lookup, LookupError};
use mail::{Proof, Protection};
use mta_sts::{Decision, DemandedRoute, OpenHost, OpenRoute, VerifiedRoute};
use smtp::Domain;
use tls_policy::{
    Admission, Demanded, Inputs, Refusal, Requirement, Start, Trust, Unverified, Verified,
};
use tokio::net::TcpStream;

use super::Round;
use super::effort::ADDRESSES;
use crate::addresses::Silent;
use crate::client::Client;
use crate::connect::{canonical, connect, in_order};
use crate::dialogue::DialogueError;
use crate::endpoints::Ends;
use crate::failure::{SessionFailure, Stage};
use crate::hop::Hop;
use crate::idle::{IdleSessions, Shelf};
use crate::ourselves::is_ours;
use crate::outcome::Trouble;
use crate::patience::Overdue;
use crate::session::established::Session;
use crate::session::open::Unsettled;
use crate::session::plain::Plain;
use crate::session::strict::Strict;
use crate::trials::Tried;

/// How sessions of one trust come about, and where they wait for more mail.
trait Opened: Trust<Route: Send, Leave: Sync> + Sized + 'static {
    /// Where those are kept that nobody sends over.
    fn shelf(idle: &IdleSessions) -> &Shelf<Self>;

    /// A new one with `hop`, at this address.
    fn open(
        round: &mut Round<'_>,
        admitted: (Self::Route, &Admission<'_, Self>),
        hop: &Hop,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Session<Self>, SessionFailure>> + Send;

    /// What mail on it is protected by.
    fn protection(session: &Session<Self>) -> Protection;
}

impl Opened for Verified {
    fn shelf(idle: &IdleSessions) -> &Shelf<Self> {
        &idle.verified
    }

    async fn open(
        round: &mut Round<'_>,
        (route, admission): (VerifiedRoute, &Admission<'_, Self>),
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        round.verified((route, admission.start()), hop, address).await
    }

    fn protection(_session: &Session<Self>) -> Protection {
        Protection::Verified
    }
}

impl Opened for Demanded {
    fn shelf(idle: &IdleSessions) -> &Shelf<Self> {
        &idle.demanded
    }

    async fn open(
        round: &mut Round<'_>,
        (route, admission): (DemandedRoute, &Admission<'_, Self>),
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        round.verified((route, admission.start()), hop, address).await
    }

    fn protection(_session: &Session<Self>) -> Protection {
        Protection::Verified
    }
}

impl Opened for Unverified {
    fn shelf(idle: &IdleSessions) -> &Shelf<Self> {
        &idle.open
    }

    async fn open(
        round: &mut Round<'_>,
        admitted: (OpenRoute, &Admission<'_, Self>),
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        round.settled(admitted, hop, address).await
    }

    fn protection(session: &Session<Self>) -> Protection {
        Protection::of(Proof::None, session.channel())
    }
}

impl Round<'_> {
    /// Tries a host, in the way that is asked of sessions with it.
    pub(super) async fn try_host(&mut self, decision: &Decision, hop: &Hop) {
        let inputs = Inputs { decision, route: &hop.manner, host: &hop.host };
        match inputs.requirement() {
            Ok(Requirement::Demanded(admission)) => {
                Box::pin(self.try_admitted(&admission, hop)).await;
            }
            Ok(Requirement::Open(admission)) => Box::pin(self.try_admitted(&admission, hop)).await,
            Ok(Requirement::Verified(admission)) => {
                Box::pin(self.try_admitted(&admission, hop)).await;
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Notes why a host is not tried.
    fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::NoName(address) => {
                let text = "an address can prove no name".to_owned();
                self.troubles.push(Trouble::no_proof(&address.to_string(), text));
            }
            Refusal::NotNamed(mismatch) => self.pass_over(mismatch),
        }
    }

    /// Whether another host may be tried; then it is.
    fn may_try(&mut self) -> bool {
        if self.effort.is_spent(&self.client.settings) {
            self.effort.leave_out();
            return false;
        }
        self.effort.begin_host();
        true
    }

    /// Whether the host that is tried may be tried at another address.
    fn may_try_another_address(&self) -> bool {
        let settings = &self.client.settings;
        !self.is_over() && !self.has_met_ourselves() && self.effort.takes_another_address(settings)
    }

    /// Sends over a session with a host that is there already, or over a new one with the first of its
    /// addresses at which there is one.
    async fn try_admitted<T: Opened>(&mut self, admission: &Admission<'_, T>, hop: &Hop) {
        if !self.may_try() {
            return;
        }
        let (shelf, leave) = (T::shelf(&self.client.idle), admission.leave());
        self.go_on(shelf, leave, |idle, _| idle == hop).await;
        if self.asked.contains(hop) {
            return;
        }
        for address in self.addresses(hop).await {
            // A route is for one connection.
            let route = match admission.route() {
                Ok(route) => route,
                Err(refusal) => return self.refuse(refusal),
            };
            match T::open(self, (route, admission), hop, address).await {
                Ok(session) => {
                    self.client.observer.opened(T::protection(&session));
                    return self.converse(shelf, hop, session, leave).await;
                }
                Err(failure) => self.note(hop, address, &failure),
            }
            if !self.may_try_another_address() {
                return;
            }
        }
    }

    async fn verified<T: Trust<Route: Strict<Trust = T>>>(
        &mut self,
        (route, start): (T::Route, Start),
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Session<T>, SessionFailure> {
        let client = self.client;
        let (session, observation) = match start {
            Start::Starttls => self.greet(route, hop, address).await?.verify(&client.webpki).await,
            Start::Implicit => {
                let (stream, ends) = self.connect(hop, address).await?;
                let settings = Arc::clone(&client.settings);
                let stream = (stream, &self.patience);
                Session::implicit(route, stream, ends, settings, &client.webpki).await
            }
        };
        client.observer.observed(&observation);
        if let Err(SessionFailure::Tls(failure)) = &session {
            client.observer.tls_failed(failure.label());
        }
        match hop.manner.login() {
            Some(login) => session?.log_in(login).await,
            None => session,
        }
    }

    /// A session under TLS if that can be had; where TLS breaks, one in clear on a new connection.
    async fn settled(
        &mut self,
        (route, admission): (OpenRoute, &Admission<'_, Unverified>),
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Session<Unverified>, SessionFailure> {
        let plain = self.greet(route, hop, address).await?;
        let (session, observation) = plain.settle(&self.client.observing).await;
        self.client.observer.observed(&observation);
        match session {
            Ok(session) => Ok(session),
            Err(Unsettled::Failed(failure)) => Err(failure),
            Err(Unsettled::Broken(broken)) if self.patience.overdue().is_some() => {
                Err(broken.into_failure())
            }
            Err(Unsettled::Broken(broken)) => {
                self.client.observer.tls_failed(broken.label());
                let Ok(route) = admission.route() else { return Err(broken.into_failure()) };
                let plain = self.greet(route, hop, address).await?;
                Ok(plain.settle_in_clear(&broken))
            }
        }
    }

    async fn greet<Route>(
        &mut self,
        route: Route,
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<Plain<Route>, SessionFailure> {
        let (stream, ends) = self.connect(hop, address).await?;
        let settings = Arc::clone(&self.client.settings);
        let plain = Plain::greet_within(&self.patience, route, stream, ends, settings).await;
        if let Err(failure @ SessionFailure::Dialogue { error, .. }) = &plain
            && error.is_silence()
        {
            self.tried(address, Some(failure));
        }
        plain
    }

    /// A connection, unless the address is our own or has not answered a while ago. The next attempt
    /// begins with other hosts and other addresses unless these answer.
    async fn connect(
        &mut self,
        hop: &Hop,
        address: SocketAddr,
    ) -> Result<(TcpStream, Ends), SessionFailure> {
        let Client { settings, dead, clock, trials, addresses, .. } = self.client;
        // Ourselves keep our place, for hosts behind us are not tried.
        if is_ours(address, &settings.own_addresses) {
            return Err(SessionFailure::Ourselves);
        }
        trials.began(Tried::host(hop));
        let wishes = || self.lease.wishes();
        let trial = settings.timeouts.connect;
        if let Some((ago, why)) = dead.left_alone(address, clock.now(), trial, wishes) {
            return Err(SessionFailure::LeftAlone { ago, why });
        }
        let arrived = self.patience.wait_for(addresses.enter(address, settings.at_one_address()));
        let visit = arrived.await.map_err(unconnected)??;
        self.patience.arrive(visit);
        self.effort.begin_dial();
        trials.began(Tried::Address(address));
        let connected = self.patience.wait_for(connect(address, settings)).await;
        let connected = connected.map_err(unconnected).flatten();
        self.tried(address, connected.as_ref().err());
        connected
    }

    /// Remembers what came of trying an address.
    fn tried(&self, address: SocketAddr, failure: Option<&SessionFailure>) {
        let Client { settings, dead, clock, .. } = self.client;
        let now = (clock.now(), settings.dead_host_memory);
        dead.tried(address, failure, now, || self.lease.wishes());
    }

    /// Notes why there is no session with a host at one of its addresses.
    fn note(&mut self, hop: &Hop, addr: SocketAddr, failure: &SessionFailure) {
        let mx = hop.name();
        let warns = matches!(failure, SessionFailure::Tls(failure) if failure.is_attack());
        if warns {
            tracing::warn!(mx, %addr, error = %failure, "STARTTLS injection detected");
        } else {
            tracing::debug!(mx, %addr, error = %failure, "no session");
        }
        self.effort.failed(failure);
        self.troubles.push(Trouble::no_session(&mx, addr, failure));
    }

    /// The addresses of a host, best first; if there are none, that is noted.
    async fn addresses(&mut self, hop: &Hop) -> Vec<SocketAddr> {
        let at_port = |address| SocketAddr::new(address, hop.port);
        let name = match &hop.host {
            OpenHost::Literal(address) => return vec![canonical(at_port(*address))],
            OpenHost::Name(mx) => mx.as_str(),
        };
        let found = match Domain::parse(name) {
            Ok(domain) => self.patience.wait_for(self.client.dns.addresses(&domain)).await,
            Err(_not_a_name) => Ok(Ok(Lookup::NxDomain)),
        };
        let found = match found {
            Ok(found) => found,
            Err(_overdue) => Err(LookupError::TimedOut),
        };
        let trouble = match found {
            Ok(Lookup::Found(found)) => {
                let addresses = in_order(found.records, &self.client.settings);
                if !addresses.is_empty() {
                    return self.in_turn_at(addresses.into_iter().map(at_port).collect());
                }
                Trouble::no_address(name, "no address of a family that is in use".to_owned())
            }
            Ok(Lookup::NoData | Lookup::NxDomain) => {
                Trouble::no_address(name, "no address".to_owned())
            }
            Err(error) => Trouble::address_unknown(name, format!("no address: {error}")),
        };
        self.client.trials.began(Tried::host(hop));
        self.troubles.push(trouble);
        Vec::new()
    }

    /// As many addresses as one attempt goes through; in a further one those first that have not
    /// failed since they were last tried.
    fn in_turn_at(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if self.lease.attempts() > 0 {
            self.client.trials.in_turn(&mut addresses, |address| Tried::Address(*address));
        }
        addresses.truncate(ADDRESSES);
        addresses
    }
}

/// An attempt has ended before there was a connection.
fn unconnected(overdue: Overdue) -> SessionFailure {
    SessionFailure::Dialogue { stage: Stage::Connect, error: DialogueError::from(overdue) }
}

impl From<Silent> for SessionFailure {
    fn from(Silent { connections, silent }: Silent) -> Self {
        Self::Silent { connections, silent }
    }
}
