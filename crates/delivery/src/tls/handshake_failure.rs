//! Why a handshake failed, and what that is called in a report (RFC 8460 §4.3).

use std::io;

use dane::Mismatch;
use pkix::{HandshakeError, TlsError};
use rustls::{CertificateError, PeerIncompatible};
use tls_rpt::{FailureReason, ResultType};

use super::no_match::NoMatch;

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailure {
    /// The stream broke.
    #[error("connection lost during TLS handshake: {words}", words = pkix::io_words(.0))]
    Broken(io::Error),
    /// The peer matches none of its host's TLSA records.
    #[error("TLSA records not matched: {0}")]
    NoMatch(Box<NoMatch>),
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
            Self::NoMatch(failure) => mismatch_type(failure.mismatch()),
            Self::Tls(error) => result_type(error.error()),
            Self::Broken(_) | Self::NotVerified | Self::TimedOut => ResultType::ValidationFailure,
        }
    }

    /// A word for a metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Broken(_) => "closed",
            Self::NoMatch(_) => "dane",
            Self::NotVerified => "certificate",
            Self::TimedOut => "timeout",
            Self::Tls(error) => error.label(),
        }
    }
}

/// What RFC 8460 §4.3 calls a mismatch: what is wrong with a chain to a DANE-TA anchor has the names
/// that it has anywhere, and what matches no record has none of its own (§4.3.2.1).
#[must_use]
pub const fn mismatch_type(mismatch: &Mismatch) -> ResultType {
    match mismatch {
        Mismatch::Expired { .. } => ResultType::CertificateExpired,
        Mismatch::WrongName { .. } => ResultType::CertificateHostMismatch,
        Mismatch::Anchor(_)
        | Mismatch::BadSignature
        | Mismatch::NameConstraint
        | Mismatch::NotIssued
        | Mismatch::NotYetValid { .. }
        | Mismatch::Other(_)
        | Mismatch::PathLength
        | Mismatch::Purpose
        | Mismatch::UnsupportedSignature => ResultType::CertificateNotTrusted,
        Mismatch::Malformed | Mismatch::NoCertificate | Mismatch::NoMatch => {
            ResultType::ValidationFailure
        }
    }
}

/// What the result type of a mismatch leaves open.
pub(crate) const fn mismatch_reason(mismatch: &Mismatch) -> Option<FailureReason> {
    match mismatch {
        Mismatch::Expired { .. } | Mismatch::WrongName { .. } => None,
        Mismatch::BadSignature | Mismatch::UnsupportedSignature => {
            Some(FailureReason::BadSignature)
        }
        Mismatch::NoCertificate => Some(FailureReason::NoCertificate),
        Mismatch::NoMatch => Some(FailureReason::DaneNoMatch),
        Mismatch::NotIssued => Some(FailureReason::UnknownIssuer),
        Mismatch::NotYetValid { .. } => Some(FailureReason::NotValidYet),
        Mismatch::Purpose => Some(FailureReason::WrongPurpose),
        Mismatch::Anchor(_)
        | Mismatch::Malformed
        | Mismatch::NameConstraint
        | Mismatch::Other(_)
        | Mismatch::PathLength => Some(FailureReason::InvalidCertificate),
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

/// What the result type of a failure that rustls names leaves open; one of a few words, and nothing
/// that the peer could choose.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add further errors")]
pub(crate) fn reason(error: &rustls::Error) -> Option<FailureReason> {
    match error {
        rustls::Error::InvalidCertificate(certificate) => of_certificate(certificate),
        rustls::Error::AlertReceived(alert) => Some(FailureReason::TlsAlert(u8::from(*alert))),
        rustls::Error::NoCertificatesPresented => Some(FailureReason::NoCertificate),
        rustls::Error::PeerIncompatible(incompatible) => Some(of_incompatible(incompatible)),
        _ => Some(FailureReason::TlsProtocol),
    }
}

/// What "not trusted" leaves open; "expired" and "host mismatch" leave nothing open.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add further errors")]
fn of_certificate(error: &CertificateError) -> Option<FailureReason> {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => None,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some(FailureReason::NotValidYet)
        }
        CertificateError::Revoked => Some(FailureReason::Revoked),
        CertificateError::UnknownIssuer => Some(FailureReason::UnknownIssuer),
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Some(FailureReason::BadSignature)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Some(FailureReason::WrongPurpose)
        }
        _ => Some(FailureReason::InvalidCertificate),
    }
}

/// What two ends that have no TLS in common lack.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add further errors")]
fn of_incompatible(incompatible: &PeerIncompatible) -> FailureReason {
    match incompatible {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => FailureReason::NoCommonVersion,
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon => FailureReason::NoCommonCipher,
        _ => FailureReason::TlsProtocol,
    }
}
