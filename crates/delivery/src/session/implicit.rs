//! Sessions under TLS from the first byte on (RFC 8314 §3), for next hops that are so configured.

use std::sync::Arc;

use mail::Channel;
use tls_policy::Trust;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::established::Session;
use super::opening::{greeting, hello};
use super::proving::prove;
use super::strict::Strict;
use crate::dialogue::Dialogue;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, Stage};
use crate::line_io::Stream;
use crate::patience::Patience;
use crate::settings::DeliverySettings;
use crate::tls::record::{PeerRecord, tls_record};
use crate::tls::webpki::WebPki;
use crate::tls_seen::TlsSeen;

impl<T, S> Session<T, S>
where
    T: Trust<Route: Strict<Trust = T>>,
    S: Stream,
{
    /// Begins TLS on a connection on which nothing was said, and has the peer prove what the route
    /// asks for; then hears its greeting and says EHLO.
    pub(crate) async fn implicit(
        route: T::Route,
        (stream, patience): (S, &Arc<Patience>),
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
        tls: &WebPki,
    ) -> (Result<Self, SessionFailure>, TlsSeen) {
        let limit = patience.at_most(settings.timeouts.tls);
        let (shaken, peer) = prove(&route, stream, tls, limit).await;
        let records = route.records();
        let session = match shaken {
            Ok(stream) => {
                let stream = (stream, patience);
                Self::greeted(route, stream, peer.record(), ends, settings).await
            }
            Err(failure) => Err(failure.into()),
        };
        let seen = TlsSeen::of_peer((ends, None), &session, &peer, records.as_ref());
        (session, seen)
    }

    /// The session once the peer has proved itself.
    async fn greeted(
        route: T::Route,
        (stream, patience): (TlsStream<S>, &Arc<Patience>),
        peer: PeerRecord,
        ends: Endpoints,
        settings: Arc<DeliverySettings>,
    ) -> Result<Self, SessionFailure> {
        let channel = Channel::Tls(Arc::new(tls_record(stream.get_ref().1, peer)));
        let dialogue = Dialogue::within(Either::Right(Box::new(stream)), Arc::clone(patience));
        let dialogue = greeting(dialogue, &settings).await?;
        let (dialogue, capabilities) = hello(dialogue, &settings, Stage::Hello).await?;
        Ok(Self::with(route, dialogue, capabilities, (channel, ends), settings))
    }
}
