//! Sessions under TLS from the first byte on (RFC 8314 §3), for next hops that are so configured.

use std::sync::Arc;

use mail::{CertificateVerdict, Channel};
use rustls::pki_types::ServerName;
use tls_policy::Trust;
use tls_rpt::Observation;
use tokio_util::either::Either;

use super::established::Session;
use super::opening::{greeting, hello};
use super::strict::Strict;
use crate::dialogue::Dialogue;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::line_io::Stream;
use crate::patience::Patience;
use crate::settings::DeliverySettings;
use crate::tls::record::tls_record;
use crate::tls::webpki::WebPki;

impl<T, S> Session<T, S>
where
    T: Trust<Route: Strict<Trust = T>>,
    S: Stream,
{
    /// Begins TLS on a connection on which nothing was said, and has the peer prove the route's
    /// host's name; then hears its greeting and says EHLO.
    pub(crate) async fn implicit(
        route: T::Route,
        (stream, patience): (S, &Arc<Patience>),
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
        tls: &WebPki,
    ) -> (Result<Self, SessionFailure>, Observation) {
        let host = route.host().as_str().to_owned();
        let shaken = match ServerName::try_from(host.clone()) {
            Ok(name) => {
                let limit = patience.at_most(settings.timeouts.tls);
                tls.handshake(stream, name, limit).await
            }
            Err(_invalid) => {
                let failure = TlsFailure::NotAName(host);
                let observation = route.observed(ends, Err(&failure));
                return (Err(failure.into()), observation);
            }
        };
        let shaken = shaken.map_err(TlsFailure::Handshake);
        let observation = route.observed(ends, shaken.as_ref().map(|_| ()));
        let stream = match shaken {
            Ok(stream) => stream,
            Err(failure) => return (Err(failure.into()), observation),
        };
        let tls = tls_record(stream.get_ref().1, CertificateVerdict::Valid);
        let channel = Channel::Tls(Arc::new(tls));
        let dialogue = Dialogue::within(Either::Right(Box::new(stream)), Arc::clone(patience));
        let session = async {
            let dialogue = greeting(dialogue, &settings).await?;
            let (dialogue, capabilities) = hello(dialogue, &settings, Stage::Hello).await?;
            Ok(Self::with(route, dialogue, capabilities, (channel, ends), Arc::clone(&settings)))
        };
        (session.await, observation)
    }
}
