//! STARTTLS with proof of who the peer is.

use std::sync::Arc;

use tokio_rustls::client::TlsStream;

use super::established::Session;
use super::opening::starttls;
use super::plain::Plain;
use super::proving::prove;
use super::strict::Strict;
use crate::capabilities::Capabilities;
use crate::dialogue::Dialogue;
use crate::failure::{SessionFailure, TlsFailure};
use crate::line_io::Stream;
use crate::settings::DeliverySettings;
use crate::tls::peer_seen::PeerSeen;
use crate::tls::webpki::WebPki;
use crate::tls_seen::TlsSeen;

impl<Route: Strict, S: Stream> Plain<Route, S> {
    /// Upgrades with STARTTLS, and has the peer prove what the route asks for: the host's name
    /// (RFC 8461 §4.2), a match of the host's TLSA records (RFC 7672 §2.2), or both.
    ///
    /// What was seen comes with it, under each policy that applies.
    pub async fn verify(
        self,
        tls: &WebPki,
    ) -> (Result<Session<Route::Trust, S>, SessionFailure>, TlsSeen) {
        let Self { route, dialogue, capabilities, ends, settings } = self;
        let patience = Arc::clone(dialogue.patience());
        let (stream, peer) = upgrade(&route, dialogue, &capabilities, tls, &settings).await;
        let records = route.records();
        let session = match stream {
            Ok(stream) => {
                let stream = (stream, patience);
                Session::under_tls(route, stream, peer.record(), ends, settings).await
            }
            Err(failure) => Err(SessionFailure::Tls(failure)),
        };
        let helo = capabilities.name().cloned();
        let seen = TlsSeen::of_peer((ends, helo), &session, &peer, records.as_ref());
        (session, seen)
    }
}

/// The verifying half of STARTTLS: after it the peer is the route's host.
async fn upgrade<S: Stream>(
    route: &impl Strict,
    mut dialogue: Dialogue<S>,
    capabilities: &Capabilities,
    tls: &WebPki,
    settings: &DeliverySettings,
) -> (Result<TlsStream<S>, TlsFailure>, PeerSeen) {
    if let Err(failure) = starttls(&mut dialogue, capabilities, settings).await {
        dialogue.quit(settings.timeouts.quit).await;
        return (Err(failure), PeerSeen::nothing());
    }
    let limit = dialogue.patience().at_most(settings.timeouts.tls);
    match dialogue.into_stream() {
        Ok(stream) => prove(route, stream, tls, limit).await,
        Err(left) => (Err(TlsFailure::Injected(left)), PeerSeen::nothing()),
    }
}
