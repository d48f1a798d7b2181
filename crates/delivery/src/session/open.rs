//! Sessions of open routes: under TLS with whoever answers, or in clear.
//!
//! Both take a [`SettledRoute`], which is made of a fallback and of the word of the DNS that no TLSA
//! records count (see [`super`]).

use std::sync::Arc;

use mail::{Channel, WhyClear};
use mta_sts::OpenHost;
use tls_policy::{HostRecords, SettledRoute, Unverified};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::established::Session;
use super::opening::{server_name, starttls};
use super::plain::Plain;
use crate::capabilities::Capabilities;
use crate::dialogue::Dialogue;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, TlsFailure};
use crate::line_io::Stream;
use crate::settings::DeliverySettings;
use crate::target::host_name;
use crate::tls::danger::{Observed, Observing};
use crate::tls::peer_seen::PeerSeen;
use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen, TlsaSeen};

impl<S: Stream> Plain<SettledRoute, S> {
    /// Upgrades where the host offers it, whoever it is, and carries on in clear where it does not.
    pub async fn settle(
        self,
        tls: &Observing,
    ) -> (Result<Session<Unverified, S>, Unsettled>, TlsSeen) {
        let Self { route, mut dialogue, capabilities, ends, settings } = self;
        let helo = capabilities.name().cloned();
        let refusal = match starttls(&mut dialogue, &capabilities, &settings).await {
            Ok(()) => {
                let noted = route.noted().cloned();
                let (session, outcome, peer) = encrypt(route, dialogue, ends, settings, tls).await;
                let tlsa = noted.map(|records| TlsaSeen::beside(&records, outcome, &peer));
                return (session, TlsSeen { ends, helo, outcome, tlsa });
            }
            Err(failure) => failure,
        };
        let (outcome, peer) = (TlsOutcome::of_failure(&refusal), PeerSeen::nothing());
        let tlsa = route.noted().map(|records| TlsaSeen::beside(records, outcome, &peer));
        let seen = TlsSeen { ends, helo, outcome, tlsa };
        let session = match refusal {
            // The host has not begun TLS, so the dialogue goes on where it was.
            TlsFailure::NotOffered | TlsFailure::Refused(_) => {
                let why = (WhyClear::NotOffered, ends);
                Ok(Session::in_clear(route, dialogue, capabilities, why, settings))
            }
            TlsFailure::Cut(_)
            | TlsFailure::Handshake(_)
            | TlsFailure::Injected(_)
            | TlsFailure::NotAName(_) => {
                Err(Unsettled::Broken(BrokenHandshake { failure: refusal.into() }))
            }
        };
        (session, seen)
    }

    /// Goes without TLS to a host with which TLS has just failed.
    pub fn settle_in_clear(self, broken: &BrokenHandshake) -> Session<Unverified, S> {
        let Self { route, dialogue, capabilities, ends, settings } = self;
        let (mx, addr) =
            (host_name(route.route().host()), ends.receiving.map(tracing::field::display));
        tracing::info!(mx, addr, error = %broken.failure, "TLS failed: continuing without TLS");
        let why = (WhyClear::AfterFailure, ends);
        Session::in_clear(route, dialogue, capabilities, why, settings)
    }
}

/// The accepting half of STARTTLS: after it nobody listens in, and the peer may be anyone.
async fn encrypt<S: Stream>(
    route: SettledRoute,
    dialogue: Dialogue<S>,
    ends: Endpoints,
    settings: Arc<DeliverySettings>,
    tls: &Observing,
) -> (Result<Session<Unverified, S>, Unsettled>, TlsOutcome, PeerSeen) {
    let patience = Arc::clone(dialogue.patience());
    let host = (route.route().host(), route.noted());
    let (stream, peer) = match shake(dialogue, host, &settings, tls).await {
        Ok(shaken) => shaken,
        Err(failure) => {
            let outcome = TlsOutcome::of_failure(&failure);
            // Who puts words into a connection would only do it again in clear.
            let unsettled = if failure.is_attack() {
                Unsettled::Failed(failure.into())
            } else {
                Unsettled::Broken(BrokenHandshake { failure: failure.into() })
            };
            return (Err(unsettled), outcome, PeerSeen::nothing());
        }
    };
    let record = peer.record();
    let session = Session::under_tls(route, (stream, patience), record, ends, settings).await;
    let outcome = TlsOutcome::of_session(&session, TlsFault::of_verdict(&peer.webpki));
    // A host that has shaken hands and then does not answer under TLS has as little of it as one
    // with which the handshake fails.
    let broken = |failure| Unsettled::Broken(BrokenHandshake { failure });
    (session.map_err(broken), outcome, peer)
}

/// Shakes hands with whoever is there, and says what its certificate is worth: by the authorities, and
/// by the records that the host may have.
pub(super) async fn shake<S: Stream>(
    dialogue: Dialogue<S>,
    (host, records): (&OpenHost, Option<&HostRecords>),
    settings: &DeliverySettings,
    tls: &Observing,
) -> Result<(TlsStream<S>, PeerSeen), TlsFailure> {
    let limit = dialogue.patience().at_most(settings.timeouts.tls);
    let stream = dialogue.into_stream().map_err(TlsFailure::Injected)?;
    let name = server_name(host)?;
    let usable = records.and_then(HostRecords::usable);
    let observed = tls.handshake_beside(stream, name, usable, limit).await;
    let Observed { stream, webpki, dane } = observed.map_err(TlsFailure::Handshake)?;
    Ok((stream, PeerSeen { webpki, dane, records: records.cloned() }))
}

/// Why an open route has no session yet.
#[derive(Debug)]
pub enum Unsettled {
    /// TLS failed; on a new connection the host may be talked to in clear, once.
    Broken(BrokenHandshake),
    /// There will be no session with the host.
    Failed(SessionFailure),
}

/// TLS failed on an open route, and nothing was sent yet.
#[derive(Debug)]
pub struct BrokenHandshake {
    failure: SessionFailure,
}

impl BrokenHandshake {
    /// What failed, where nothing is tried in its place.
    pub(crate) fn into_failure(self) -> SessionFailure {
        self.failure
    }

    /// What failed: TLS, or the first words under it.
    #[must_use]
    pub const fn failure(&self) -> &SessionFailure {
        &self.failure
    }

    /// A word for a metric.
    pub(crate) fn label(&self) -> &'static str {
        match &self.failure {
            SessionFailure::Tls(failure) => failure.label(),
            SessionFailure::Connect(_)
            | SessionFailure::ConnectTimedOut
            | SessionFailure::Dialogue { .. }
            | SessionFailure::LeftAlone { .. }
            | SessionFailure::Login(_)
            | SessionFailure::Ourselves
            | SessionFailure::Refused { .. }
            | SessionFailure::Silent { .. } => "ehlo",
        }
    }
}

impl<S: Stream> Session<Unverified, S> {
    /// A session in clear; a [`SettledRoute`] says that there may be one.
    fn in_clear(
        route: SettledRoute,
        dialogue: Dialogue<S>,
        capabilities: Capabilities,
        (why, ends): (WhyClear, Endpoints),
        settings: Arc<DeliverySettings>,
    ) -> Self {
        let channel = (Channel::Clear(why), ends);
        Self::with(route, dialogue.map(Either::Left), capabilities, channel, settings)
    }
}
