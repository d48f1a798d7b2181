//! Why a handshake failed, and what that is called in a report (RFC 8460 §4.3).

use std::io;

use pkix::{HandshakeError, TlsError};
use rustls::CertificateError;
use tls_rpt::ResultType;

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
