//! TLS towards an MX host: the trust roots, the configuration that verifies, and what its failures
//! are called.
//!
//! There are two configurations and they are two types. [`WebPki`] proves the peer's name or fails;
//! `Observing`, in [`danger`], accepts any certificate and notes what would have failed. No
//! session is ever resumed in either: a resumed session does not show its certificate again.

pub(crate) mod danger;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clock::Clock;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, HandshakeKind, RootCertStore};
use tls_rpt::ResultType;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::line_io::Stream;

/// Whom we trust to say who a host is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustSettings {
    /// A file of certificates in PEM.
    pub ca_file: Option<PathBuf>,
    /// What becomes of the system's own roots where there is such a file.
    pub system_roots: SystemRoots,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self { ca_file: None, system_roots: SystemRoots::Kept }
    }
}

/// Whether the system's roots are trusted beside `ca_file`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SystemRoots {
    /// The file is added to them.
    Kept,
    /// The file takes their place.
    Replaced,
}

/// Reads the trust roots.
///
/// # Errors
///
/// [`RootsError`]: without a root nothing can be verified, and mail under an enforced policy would
/// wait for its whole lifetime.
pub fn load_roots(trust: &TrustSettings) -> Result<Arc<RootCertStore>, RootsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &trust.ca_file {
        let unreadable = |source| RootsError::Unreadable { path: path.clone(), source };
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            let unfit = |source| RootsError::Unfit { path: path.clone(), source };
            roots.add(certificate.map_err(unreadable)?).map_err(unfit)?;
        }
        if roots.is_empty() {
            return Err(RootsError::Empty { path: path.clone() });
        }
    }
    if trust.ca_file.is_none() || trust.system_roots == SystemRoots::Kept {
        add_system_roots(&mut roots);
    }
    if roots.is_empty() { Err(RootsError::NoneFound) } else { Ok(Arc::new(roots)) }
}

fn add_system_roots(roots: &mut RootCertStore) {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "system trust root unreadable");
    }
    let (_added, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::warn!(ignored, "system trust roots ignored");
    }
}

/// Why there are no trust roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file holds no certificate.
    #[error("{path} holds no certificate", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither a file nor the system gives any.
    #[error("no trust roots: the system has none, and no ca_file is set")]
    NoneFound,
    /// A certificate of the file cannot be a root.
    #[error("{path}: a certificate cannot be a trust root", path = .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The file cannot be read, or is not PEM.
    #[error("{path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
}

/// The configuration that proves a peer's name (RFC 8461 §4.2).
///
/// A verified session needs one, and nothing that accepts less has this type.
#[derive(Clone, Debug)]
pub struct WebPki {
    config: Arc<ClientConfig>,
}

impl WebPki {
    /// Verifies against `roots`, at the time `clock` tells.
    ///
    /// # Errors
    ///
    /// [`TlsSetupError`] where `roots` is empty.
    pub fn new(roots: Arc<RootCertStore>, clock: Arc<dyn Clock>) -> Result<Self, TlsSetupError> {
        let provider = provider();
        let verifier = verifier(roots, &provider)?;
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallClock(clock)))
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// Shakes hands with a peer that must prove to be `name`.
    pub(crate) async fn handshake<S: Stream>(
        &self,
        stream: S,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<TlsStream<S>, HandshakeFailure> {
        let stream = handshake(Arc::clone(&self.config), stream, name, limit).await?;
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => Ok(stream),
            Some(HandshakeKind::Resumed) | None => Err(HandshakeFailure::NotVerified),
        }
    }
}

/// TLS cannot be set up at all: our own mistake, not a peer's.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The cryptographic provider lacks what a configuration needs.
    #[error("the cryptographic provider is unfit")]
    Provider(#[from] rustls::Error),
    /// The trust roots are unfit.
    #[error("the trust roots are unfit")]
    Roots(#[from] rustls::client::VerifierBuilderError),
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailure {
    /// The stream broke.
    #[error("the connection broke in the handshake: {0}")]
    Broken(#[source] io::Error),
    /// The handshake ended without a look at the certificate.
    #[error("the certificate was not verified")]
    NotVerified,
    /// The peer was too slow.
    #[error("the handshake took too long")]
    TimedOut,
    /// TLS refused the peer, or the peer us.
    #[error("{0}")]
    Tls(#[source] rustls::Error),
}

impl HandshakeFailure {
    /// RFC 8460 §4.3.
    #[must_use]
    pub fn result_type(&self) -> ResultType {
        match self {
            Self::Tls(error) => result_type(error),
            Self::Broken(_) | Self::NotVerified | Self::TimedOut => ResultType::ValidationFailure,
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

async fn handshake<S: Stream>(
    config: Arc<ClientConfig>,
    stream: S,
    name: ServerName<'static>,
    limit: Duration,
) -> Result<TlsStream<S>, HandshakeFailure> {
    match tokio::time::timeout(limit, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failure(error)),
        Err(_elapsed) => Err(HandshakeFailure::TimedOut),
    }
}

/// Takes rustls's own error out of the I/O error that carries it.
fn failure(error: io::Error) -> HandshakeFailure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    tls.map_or(HandshakeFailure::Broken(error), HandshakeFailure::Tls)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn verifier(
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsSetupError> {
    Ok(WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build()?)
}

/// Lets certificates be judged at the relay's own time.
#[derive(Debug)]
struct WallClock(Arc<dyn Clock>);

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[cfg(test)]
mod tests;
