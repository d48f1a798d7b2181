//! Our side of TLS: the certificate that is shown, and how it is exchanged while clients come.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, CommonState, ServerConfig};

/// The certificate and key that clients are shown.
///
/// One is loaded for all listeners; [`reload`](Self::reload) exchanges it for clients that connect
/// from then on.
#[derive(Clone)]
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is no PEM file of what it should hold.
    #[error("{}: no {what} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        #[source]
        source: pem::Error,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key is of a kind that is not known, or not that of the certificate.
    #[error("{} and {} are not a certificate and its key", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// TLS itself cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// How a connection is encrypted, for logs and the Received header field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub(crate) version: &'static str,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub(crate) cipher: &'static str,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ServerTls {
    /// Loads a chain of certificates, the server's own first, and its key.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]; a key that is not the certificate's is found out here.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let loaded = read(certificate, key, &provider)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(loaded))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&shown);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            shown,
            config: Arc::new(config),
        })
    }

    /// When the certificate that is shown ends; none where it does not say so.
    #[must_use]
    pub fn ends(&self) -> Option<SystemTime> {
        let shown = Arc::clone(&self.shown.0.read().unwrap_or_else(PoisonError::into_inner));
        let not_after = pkix::summary(shown.cert.first()?, 0)?.not_after?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
    }

    /// Loads both files again.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]: what was shown before is shown further on.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let loaded = read(&self.certificate, &self.key, self.config.crypto_provider())?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(())
    }

    /// The files it is loaded from.
    #[must_use]
    pub fn files(&self) -> [&Path; 2] {
        [&self.certificate, &self.key]
    }

    /// How hands are shaken with clients.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl TlsFacts {
    /// What was agreed on in a handshake that is done.
    pub(crate) fn of(state: &CommonState) -> Self {
        let version = match state.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(_) | None => "TLS",
        };
        let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
        // The names of RFC 8446 §B.4, which rustls writes in a way of its own.
        let cipher = match suite {
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
            Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
            Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
            Some(suite) => suite.as_str().unwrap_or("unknown"),
            None => "unknown",
        };
        Self { version, cipher }
    }
}

/// Reads a certificate chain and its key.
fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { path, what, source }
    };
    let chain = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(pem(certificate, "certificate")(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(pem(key, "private key"))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| CertificateError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// The bytes of a file.
fn bytes(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}
