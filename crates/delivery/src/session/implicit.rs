//! Sessions under TLS from the first byte on (RFC 8314 §3), for next hops that are so configured.

use std::sync::Arc;

use mail::{CertificateVerdict, Channel};
use rustls::pki_types::ServerName;
use tls_policy::Trust;
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
use crate::tls_seen::{TlsOutcome, TlsSeen};

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
    ) -> (Result<Self, SessionFailure>, TlsSeen) {
        let session = Self::begin_implicit(route, (stream, patience), ends, settings, tls).await;
        let outcome = TlsOutcome::of_session(&session, Ok(()));
        (session, TlsSeen { ends, helo: None, outcome })
    }

    /// The same, before anything is said of it.
    async fn begin_implicit(
        route: T::Route,
        (stream, patience): (S, &Arc<Patience>),
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
        tls: &WebPki,
    ) -> Result<Self, SessionFailure> {
        let host = route.host().as_str().to_owned();
        let name =
            ServerName::try_from(host.clone()).map_err(|_invalid| TlsFailure::NotAName(host))?;
        let limit = patience.at_most(settings.timeouts.tls);
        let stream = tls.handshake(stream, name, limit).await.map_err(TlsFailure::Handshake)?;
        let tls = tls_record(stream.get_ref().1, CertificateVerdict::Valid);
        let channel = Channel::Tls(Arc::new(tls));
        let dialogue = Dialogue::within(Either::Right(Box::new(stream)), Arc::clone(patience));
        let dialogue = greeting(dialogue, &settings).await?;
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::Hello).await?;
        Ok(Self::with(route, dialogue, capabilities, (channel, ends), settings))
    }
}
