//! From a target to a session: the addresses of a host, connections to them, proof and login.

use std::net::SocketAddr;
use std::sync::Arc;

use dns::{Lookup, LookupError, Security};
use mta_sts::OpenHost;
use mta_sts::danger::{Accepted, ExceptedRoute};
use smtp::Domain;
use tls_policy::{
    Admission, Encrypted, EncryptedRoute, Excepted, NamedRoute, SettledRoute, TlsStart, Trust,
    Unverified,
};
use tokio::net::TcpStream;

use super::effort::{ADDRESSES, Effort, Mismatch};
use super::pass::Pass;
use crate::addresses::Silent;
use crate::client::Client;
use crate::connect::{canonical, connect, in_order};
use crate::dialogue::DialogueError;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, Stage};
use crate::host_failure::HostFailure;
use crate::limit::SourceAddresses;
use crate::observation::{is_named, of_connection, of_mismatch, of_records};
use crate::ourselves::is_ours;
use crate::patience::Overdue;
use crate::session::established::Session;
use crate::session::open::Unsettled;
use crate::session::plain::Plain;
use crate::session::strict::Strict;
use crate::target::Target;
use crate::tls_seen::TlsSeen;
use crate::trials::Tried;

impl Pass<'_> {
    /// A session with a host that has to prove who it is.
    pub(super) async fn verified<T: Trust<Route: Strict<Trust = T>>>(
        &self,
        effort: &mut Effort,
        (route, start): (T::Route, TlsStart),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<T>, SessionFailure> {
        let client = self.client;
        let (session, seen) = match start {
            TlsStart::Starttls => {
                self.greet(effort, route, target, address).await?.verify(&client.webpki).await
            }
            TlsStart::Implicit => {
                let (stream, ends) = self.connect(effort, target, address).await?;
                let settings = Arc::clone(&client.settings);
                let stream = (stream, &self.patience);
                Session::implicit(route, stream, ends, settings, &client.webpki).await
            }
        };
        self.observe(effort, target, &seen);
        if let Err(SessionFailure::Tls(failure)) = &session {
            client.observer.tls_failed(failure.label());
        }
        match target.requirement.login() {
            Some(login) => session?.log_in(login).await,
            None => session,
        }
    }

    /// A session with a host that does not meet the policy and that an exception lets pass. What it is
    /// counted as was told when its certificate failed; a host that is not named is told of here.
    pub(super) async fn excepted(
        &self,
        effort: &mut Effort,
        route: NamedRoute<ExceptedRoute>,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Excepted>, SessionFailure> {
        let is_told = match route.route().accepted() {
            Accepted::Certificates(_) => true,
            Accepted::Host(_) => false,
        };
        let plain = self.greet(effort, route, target, address).await?;
        let (session, seen) = plain.verify(&self.client.webpki).await;
        if !is_told {
            self.observe(effort, target, &seen);
        }
        if let Err(SessionFailure::Tls(failure)) = &session {
            self.client.observer.tls_failed(failure.label());
        }
        session
    }

    /// A session under TLS with whoever answers, or none.
    pub(super) async fn encrypted(
        &self,
        effort: &mut Effort,
        route: EncryptedRoute,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Encrypted>, SessionFailure> {
        let plain = self.greet(effort, route, target, address).await?;
        let (session, seen) = plain.encrypt(&self.client.observing).await;
        self.observe(effort, target, &seen);
        if let Err(SessionFailure::Tls(failure)) = &session {
            self.client.observer.tls_failed(failure.label());
        }
        session
    }

    /// A session under TLS if that can be had; where TLS breaks, one in clear on a new connection.
    pub(super) async fn settled(
        &self,
        effort: &mut Effort,
        (route, admission): (SettledRoute, &Admission<'_, Unverified>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Unverified>, SessionFailure> {
        let plain = self.greet(effort, route, target, address).await?;
        let (session, seen) = plain.settle(&self.client.observing).await;
        self.observe(effort, target, &seen);
        match session {
            Ok(session) => Ok(session),
            Err(Unsettled::Failed(failure)) => Err(failure),
            Err(Unsettled::Broken(broken)) if self.patience.overdue().is_some() => {
                Err(broken.into_failure())
            }
            Err(Unsettled::Broken(broken)) => {
                self.client.observer.tls_failed(broken.label());
                let Ok(route) = admission.route() else { return Err(broken.into_failure()) };
                let plain = self.greet(effort, route, target, address).await?;
                Ok(plain.settle_in_clear(&broken))
            }
        }
    }

    /// Tells what a connection is counted as, under each policy that applies; that the policy does not
    /// name a host is told once, however many connections to it there are.
    fn observe(&self, effort: &mut Effort, target: &Target, seen: &TlsSeen) {
        let by_policy = if is_named(self.decision, &target.host) {
            of_connection(self.decision, target, seen)
        } else {
            let is_news = effort.report_mismatch() == Mismatch::Unreported;
            is_news.then(|| of_mismatch(self.decision, target))
        };
        for observation in by_policy.iter().chain(&of_records(self.decision, target, seen)) {
            self.client.observer.observed(observation);
        }
    }

    async fn greet<Route>(
        &self,
        effort: &mut Effort,
        route: Route,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Plain<Route>, SessionFailure> {
        let (stream, ends) = self.connect(effort, target, address).await?;
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
        &self,
        effort: &mut Effort,
        target: &Target,
        address: SocketAddr,
    ) -> Result<(TcpStream, Endpoints), SessionFailure> {
        let Client { settings, dead, clock, trials, addresses, .. } = self.client;
        // Ourselves keep our place, for hosts behind us are not tried.
        if is_ours(address, &settings.own_addresses) {
            return Err(SessionFailure::Ourselves);
        }
        trials.began(Tried::host(target));
        let retry_epoch = || self.lease.retry_epoch();
        let trial = settings.timeouts.connect;
        if let Some((ago, why)) = dead.left_alone(address, clock.now(), trial, retry_epoch) {
            return Err(SessionFailure::LeftAlone { ago, why });
        }
        let arrived = self.patience.wait_for(addresses.enter(address, settings.at_one_address()));
        let visit = arrived.await.map_err(unconnected)??;
        self.patience.arrive(visit);
        effort.begin_dial();
        trials.began(Tried::Address(address));
        let source = self.make_room().await.or(settings.source);
        let connected = self.patience.wait_for(connect(address, settings, source)).await;
        let connected = connected.map_err(unconnected).flatten();
        self.tried(address, connected.as_ref().err());
        connected
    }

    /// Makes room for a connection under the limit of the present host, where connections that wait for
    /// a message take it; where it comes from.
    async fn make_room(&self) -> SourceAddresses {
        let Some(limit) = self.pace.limit() else { return SourceAddresses::default() };
        let Client { idle, paces, settings, .. } = self.client;
        while paces.is_crowded(&limit) {
            match idle.give_up_one(&limit) {
                Some(connection) => connection.quit().await,
                None => {
                    paces.until_room(&limit, settings.timeouts.quit).await;
                    break;
                }
            }
        }
        limit.source
    }

    /// Remembers what came of trying an address.
    fn tried(&self, address: SocketAddr, failure: Option<&SessionFailure>) {
        let Client { settings, dead, clock, .. } = self.client;
        let now = (clock.now(), settings.dead_host_memory);
        dead.tried(address, failure, now, || self.lease.retry_epoch());
    }

    /// The addresses of a host, best first, or why there are none.
    pub(super) async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, HostFailure> {
        let at_port = |address| SocketAddr::new(address, target.port);
        let name = match &target.host {
            OpenHost::Literal(address) => return Ok(vec![canonical(at_port(*address))]),
            OpenHost::Name(mx) => mx.as_str(),
        };
        let found = match Domain::parse(name) {
            Ok(domain) => self.patience.wait_for(self.client.dns.addresses(&domain)).await,
            Err(_not_a_name) => Ok(Ok(Lookup::NxDomain(Security::Insecure))),
        };
        let found = match found {
            Ok(found) => found,
            Err(_overdue) => Err(LookupError::TimedOut),
        };
        let failure = match found {
            Ok(Lookup::Found(found)) => {
                let addresses = in_order(found.records, &self.client.settings);
                if !addresses.is_empty() {
                    return Ok(self.in_turn_at(addresses.into_iter().map(at_port).collect()));
                }
                HostFailure::no_address(name, "no address of a family that is in use".to_owned())
            }
            Ok(Lookup::NoData(_) | Lookup::NxDomain(_)) => {
                HostFailure::no_address(name, "no address".to_owned())
            }
            Err(error) => HostFailure::address_unknown(name, format!("no address: {error}")),
        };
        self.client.trials.began(Tried::host(target));
        Err(failure)
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
