//! The trust roots: the system's, and those in a file that the operator names.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::failure::TlsError;

/// Whom we trust to say who a host is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustSettings {
    /// A file of certificates in PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether the system's own roots count where there is such a file.
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

/// Certificates that are trusted because the operator or the system says so. Clones share them.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    /// Those of the operator's file, whole: one of them may be a host's own.
    named: Arc<[CertificateDer<'static>]>,
}

impl Roots {
    /// The authorities.
    #[must_use]
    pub const fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }

    /// How many authorities there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Whether the operator has named this very certificate.
    #[must_use]
    pub fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|named| named == certificate)
    }
}

impl From<Arc<RootCertStore>> for Roots {
    /// Authorities alone: no certificate of a host is among them.
    fn from(store: Arc<RootCertStore>) -> Self {
        Self { store, named: Arc::from([]) }
    }
}

/// Reads the trust roots.
///
/// # Errors
///
/// [`RootsError`]: without a root nothing can be verified, and mail under an enforced policy would
/// wait for its whole lifetime.
pub fn load_roots(trust: &TrustSettings) -> Result<Roots, RootsError> {
    let mut store = RootCertStore::empty();
    let mut named = Vec::new();
    if let Some(path) = &trust.ca_file {
        let unreadable = |source| RootsError::Unreadable { path: path.clone(), source };
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            let unfit = |error: rustls::Error| RootsError::Unfit {
                path: path.clone(),
                source: error.into(),
            };
            let certificate = certificate.map_err(unreadable)?;
            store.add(certificate.clone()).map_err(unfit)?;
            named.push(certificate);
        }
        if store.is_empty() {
            return Err(RootsError::Empty { path: path.clone() });
        }
    }
    if trust.ca_file.is_none() || trust.system_roots == SystemRoots::Kept {
        add_system_roots(&mut store);
    }
    if store.is_empty() {
        return Err(RootsError::NoneFound);
    }
    Ok(Roots { store: Arc::new(store), named: named.into() })
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
        source: TlsError,
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> rcgen::Certificate {
        let params = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn roots_come_from_the_file_alone_where_it_replaces_the_systems() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let named = certificate();
        file.write_all(named.pem().as_bytes()).unwrap();
        let ca_file = Some(file.path().to_owned());
        let trust = TrustSettings { ca_file, system_roots: SystemRoots::Replaced };
        let roots = load_roots(&trust).unwrap();
        assert_eq!(roots.len(), 1);
        assert!(roots.names(named.der()));
        assert!(!roots.names(certificate().der()));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let trust = TrustSettings { ca_file: Some(file.path().into()), ..TrustSettings::default() };
        assert!(matches!(load_roots(&trust), Err(RootsError::Empty { .. })));
        file.write_all(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(load_roots(&trust), Err(RootsError::Unfit { .. })));
        let missing = TrustSettings { ca_file: Some("/nonexistent/ca.pem".into()), ..trust };
        assert!(matches!(load_roots(&missing), Err(RootsError::Unreadable { .. })));
    }
}
