//! A handshake within its time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pkix::HandshakeError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::handshake_failure::HandshakeFailure;
use crate::line_io::Stream;

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
