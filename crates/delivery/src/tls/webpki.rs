//! The configuration that verifies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use pkix::{Roots, SetupError, Verification};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio_rustls::client::TlsStream;

use super::handshake::shake;
use super::handshake_failure::HandshakeFailure;
use super::wall_clock::WallClock;
use crate::line_io::Stream;

/// The configuration that proves who a peer is: by its name (RFC 8461 §4.2), by the TLSA records of
/// its host (RFC 7672), or by both.
///
/// A session with proof needs one, and nothing that accepts less has this type.
#[derive(Clone)]
pub struct WebPki {
    pub(super) verification: Verification,
    config: Arc<ClientConfig>,
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Debug for WebPki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPki").finish_non_exhaustive()
    }
}

impl WebPki {
    /// Verifies against `roots`, at the time `clock` tells.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    pub fn new(roots: impl Into<Roots>, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let verification =
            Verification::new(roots.into(), Arc::new(aws_lc_rs::default_provider()))?;
        let config = verification.config(Arc::new(WallClock::new(Arc::clone(&clock))))?;
        Ok(Self { verification, config: Arc::new(config), clock })
    }

    /// Shakes hands with a peer that must prove to be `name`.
    pub(crate) async fn handshake<S: Stream>(
        &self,
        stream: S,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<TlsStream<S>, HandshakeFailure> {
        let (config, witness) = self.verification.witnessed(&self.config);
        let stream = shake(config, name, stream, limit, |error| witness.explain(error)).await?;
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => Ok(stream),
            Some(HandshakeKind::Resumed) | None => Err(HandshakeFailure::NotVerified),
        }
    }
}
