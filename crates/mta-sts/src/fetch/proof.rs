//! Who proves that a policy host is one (RFC 8461 §3.3): a program's own trust in certificates.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig};

/// Judges the certificates of policy hosts in the place of rustls, and says what is wrong with them.
///
/// A program that trusts more than authorities, or has words of its own for failures, brings one;
/// what it accepts must be no less than RFC 8461 §3.3 asks for.
pub trait HostProof: Debug + Send + Sync {
    /// `config` for one connection.
    fn for_connection(&self, config: &ClientConfig) -> Connection;
}

/// The configuration of one connection, and who can say afterwards why it failed.
pub struct Connection {
    /// The configuration.
    pub config: Arc<ClientConfig>,
    /// Says why the handshake failed.
    pub explain: Box<dyn FnOnce(std::io::Error) -> ProofError + Send>,
}

/// Why a TLS handshake with a policy host failed.
#[derive(Debug)]
pub enum ProofError {
    /// The host did not prove its name, and what its certificate lacks.
    Certificate(CertificateFault, Box<dyn Error + Send + Sync>),
    /// Anything else.
    Tls(Box<dyn Error + Send + Sync>),
}

/// What a certificate lacks that proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateFault {
    /// It has ended; a clock that is wrong may be all there is to it.
    Expired,
    /// It has not begun; a clock that is wrong may be all there is to it.
    NotValidYet,
    /// It is for another name.
    OtherName,
    /// It was revoked.
    Revoked,
    /// It leads to no authority that is trusted.
    UnknownIssuer,
    /// Anything else.
    Other,
}

impl CertificateFault {
    /// What rustls found.
    #[must_use]
    pub const fn of(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(fault) = error else { return Self::Other };
        if matches!(fault, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
            Self::Expired
        } else if matches!(
            fault,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
        ) {
            Self::NotValidYet
        } else if matches!(
            fault,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ) {
            Self::OtherName
        } else if matches!(fault, CertificateError::Revoked) {
            Self::Revoked
        } else if matches!(fault, CertificateError::UnknownIssuer) {
            Self::UnknownIssuer
        } else {
            Self::Other
        }
    }
}

/// Roots alone, and rustls's own words.
#[derive(Debug)]
pub(super) struct ByRoots;

impl HostProof for ByRoots {
    fn for_connection(&self, config: &ClientConfig) -> Connection {
        Connection { config: Arc::new(config.clone()), explain: Box::new(explain) }
    }
}

fn explain(error: std::io::Error) -> ProofError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    match inner {
        Some(
            error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
        ) => ProofError::Certificate(CertificateFault::of(&error), error.into()),
        Some(error) => ProofError::Tls(error.into()),
        None => ProofError::Tls(error.into()),
    }
}
