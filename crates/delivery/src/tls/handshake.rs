//! A handshake within its time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use pkix::{HandshakeError, config_without_resumption};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::handshake_failure::HandshakeFailure;
use super::wall_clock::WallClock;
use crate::line_io::Stream;

/// Shakes hands under a configuration for this connection alone, in which `verifier` judges the peer at
/// the time that `clock` tells: it must not hear of another's certificate.
pub(super) async fn shake_once<S: Stream>(
    verifier: Arc<impl ServerCertVerifier + 'static>,
    (provider, clock): (&Arc<CryptoProvider>, &Arc<dyn Clock>),
    name: ServerName<'static>,
    stream: S,
    limit: Duration,
) -> Result<TlsStream<S>, HandshakeFailure> {
    let time = Arc::new(WallClock::new(Arc::clone(clock)));
    let config = config_without_resumption(Arc::clone(provider), time, verifier)
        .map_err(|error| HandshakeFailure::Tls(error.into()))?;
    shake(Arc::new(config), name, stream, limit, HandshakeError::from).await
}

/// Shakes hands under `config`, within `limit`; `explain` says what an error of the stream means.
pub(super) async fn shake<S: Stream>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: S,
    limit: Duration,
    explain: impl FnOnce(io::Error) -> HandshakeError,
) -> Result<TlsStream<S>, HandshakeFailure> {
    let shaken = TlsConnector::from(config).connect(name, stream);
    match tokio::time::timeout(limit, shaken).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(explain(error).into()),
        Err(_elapsed) => Err(HandshakeFailure::TimedOut),
    }
}
