//! STARTTLS with proof of the host's name.

use std::sync::Arc;

use mail::CertificateVerdict;
use rustls::pki_types::ServerName;
use tokio_rustls::client::TlsStream;

use super::established::Session;
use super::opening::starttls;
use super::plain::Plain;
use super::strict::Strict;
use crate::capabilities::Capabilities;
use crate::dialogue::Dialogue;
use crate::failure::{SessionFailure, TlsFailure};
use crate::line_io::Stream;
use crate::settings::DeliverySettings;
use crate::tls::webpki::WebPki;
use crate::tls_seen::{TlsOutcome, TlsSeen};

impl<Route: Strict, S: Stream> Plain<Route, S> {
    /// Upgrades with STARTTLS, and has the peer prove the host's name (RFC 8461 §4.2).
    ///
    /// The name looked for is the route's own, and there is no other in reach.
    pub async fn verify(
        self,
        tls: &WebPki,
    ) -> (Result<Session<Route::Trust, S>, SessionFailure>, TlsSeen) {
        let Self { route, dialogue, capabilities, ends, settings } = self;
        let patience = Arc::clone(dialogue.patience());
        let stream = prove(&route, dialogue, &capabilities, tls, &settings).await;
        let session = match stream {
            Ok(stream) => {
                let verdict = CertificateVerdict::Valid;
                Session::under_tls(route, (stream, patience), verdict, ends, settings).await
            }
            Err(failure) => Err(SessionFailure::Tls(failure)),
        };
        let helo = capabilities.name().cloned();
        let outcome = TlsOutcome::of_session(&session, Ok(()));
        (session, TlsSeen { ends, helo, outcome })
    }
}

/// The verifying half of STARTTLS: after it the peer is the route's host.
async fn prove<S: Stream>(
    route: &impl Strict,
    mut dialogue: Dialogue<S>,
    capabilities: &Capabilities,
    tls: &WebPki,
    settings: &DeliverySettings,
) -> Result<TlsStream<S>, TlsFailure> {
    let mx = route.host().as_str();
    if let Err(failure) = starttls(&mut dialogue, capabilities, settings).await {
        dialogue.quit(settings.timeouts.quit).await;
        return Err(failure);
    }
    let limit = dialogue.patience().at_most(settings.timeouts.tls);
    let stream = dialogue.into_stream().map_err(TlsFailure::Injected)?;
    let name = ServerName::try_from(mx.to_owned())
        .map_err(|_invalid| TlsFailure::NotAName(mx.to_owned()))?;
    tls.handshake(stream, name, limit).await.map_err(TlsFailure::Handshake)
}
