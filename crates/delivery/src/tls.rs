//! TLS towards an MX host: the configuration that verifies, and what its failures are called.
//!
//! There are two configurations and they are two types. [`WebPki`] proves the peer's name or fails;
//! `Observing`, in [`danger`], accepts any certificate and notes what would have failed. No
//! session is ever resumed in either: a resumed session does not show its certificate again.
//!
//! The reasons: `docs/decisions/0002-crypto-provider.md`.

pub(crate) mod danger;
pub(crate) mod record;

use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clock::Clock;
use pkix::{HandshakeError, Roots, SetupError, TlsError, Verification};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, HandshakeKind};
use tls_rpt::ResultType;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::line_io::Stream;

/// The configuration that proves a peer's name (RFC 8461 §4.2).
///
/// A verified session needs one, and nothing that accepts less has this type.
#[derive(Clone, Debug)]
pub struct WebPki {
    verification: Verification,
    config: Arc<ClientConfig>,
}

impl WebPki {
    /// Verifies against `roots`, at the time `clock` tells.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    pub fn new(roots: impl Into<Roots>, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let verification = Verification::new(roots.into(), provider())?;
        let config = verification.config(Arc::new(WallClock(clock)))?;
        Ok(Self { verification, config: Arc::new(config) })
    }

    /// Shakes hands with a peer that must prove to be `name`.
    pub(crate) async fn handshake<S: Stream>(
        &self,
        stream: S,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<TlsStream<S>, HandshakeFailure> {
        let (config, witness) = self.verification.witnessed(&self.config);
        let shaken = TlsConnector::from(config).connect(name, stream);
        let stream = match tokio::time::timeout(limit, shaken).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(witness.explain(error).into()),
            Err(_elapsed) => return Err(HandshakeFailure::TimedOut),
        };
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => Ok(stream),
            Some(HandshakeKind::Resumed) | None => Err(HandshakeFailure::NotVerified),
        }
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailure {
    /// The stream broke.
    #[error("connection lost during TLS handshake: {words}", words = pkix::io_words(.0))]
    Broken(io::Error),
    /// The handshake ended without a look at the certificate.
    #[error("certificate verification failed: the host showed no certificate")]
    NotVerified,
    /// The peer was too slow.
    #[error("TLS handshake timed out")]
    TimedOut,
    /// TLS refused the peer, or the peer us.
    #[error("{what}: {0}", what = about(.0))]
    Tls(TlsError),
}

/// What failed, before the reason why.
const fn about(error: &TlsError) -> &'static str {
    if error.is_about_certificate() {
        "certificate verification failed"
    } else {
        "TLS handshake failed"
    }
}

impl From<HandshakeError> for HandshakeFailure {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Broken(error) => Self::Broken(error),
            HandshakeError::Tls(error) => Self::Tls(error),
        }
    }
}

impl HandshakeFailure {
    /// RFC 8460 §4.3.
    #[must_use]
    pub fn result_type(&self) -> ResultType {
        match self {
            Self::Tls(error) => result_type(error.error()),
            Self::Broken(_) | Self::NotVerified | Self::TimedOut => ResultType::ValidationFailure,
        }
    }

    /// A word for a metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Broken(_) => "closed",
            Self::NotVerified => "certificate",
            Self::TimedOut => "timeout",
            Self::Tls(error) => error.label(),
        }
    }
}

/// What RFC 8460 §4.3 calls a failure that rustls names.
///
/// "Not valid yet" has no name of its own there; it counts as not trusted.
#[must_use]
pub fn result_type(error: &rustls::Error) -> ResultType {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return ResultType::ValidationFailure;
    };
    if matches!(certificate, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        ResultType::CertificateExpired
    } else if matches!(
        certificate,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        ResultType::CertificateHostMismatch
    } else {
        ResultType::CertificateNotTrusted
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Lets certificates be judged by the wall clock, whose dates they bear.
#[derive(Debug)]
pub struct WallClock(Arc<dyn Clock>);

impl WallClock {
    /// The wall clock of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.wall().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[cfg(test)]
mod tests;
