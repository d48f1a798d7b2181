//! What became of a server's certificates: which record matched, or why none did.

use pkix::NoAuthority;
use rustls::pki_types::UnixTime;

use crate::tlsa::TlsaRecord;

/// A record that a server's certificates match.
///
/// Nothing but the comparison makes one:
///
/// ```compile_fail,E0451
/// # fn forge(record: dane::TlsaRecord, certificate: dane::MatchedCertificate) {
/// let forged = dane::Matched { record, certificate };
/// # }
/// ```
///
/// ```
/// # fn read(matched: &dane::Matched) {
/// let (record, certificate) = (matched.record(), matched.certificate());
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    record: TlsaRecord,
    certificate: MatchedCertificate,
}

/// Which certificate a record matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedCertificate {
    /// None that was shown: the record itself holds the anchor's certificate or key.
    OfTheRecord,
    /// That at this place of the chain; the server's own is at 0.
    Shown(usize),
}

impl Matched {
    pub(crate) const fn new(record: TlsaRecord, certificate: MatchedCertificate) -> Self {
        Self { record, certificate }
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &TlsaRecord {
        &self.record
    }

    /// The certificate that it matched.
    #[must_use]
    pub const fn certificate(&self) -> MatchedCertificate {
        self.certificate
    }
}

/// Why a server's certificates match none of a host's records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The trust anchor of a record was shown, and may not issue for servers.
    #[error("trust anchor: {0}")]
    Anchor(NoAuthority),
    /// The chain to the anchor has a signature that its issuer did not make.
    #[error("a certificate's signature does not match its issuer's key")]
    BadSignature,
    /// The certificate, an issuer's or a root's is out of date.
    #[error("certificate expired")]
    Expired {
        /// Its last moment.
        not_after: UnixTime,
    },
    /// A certificate cannot be read.
    #[error("certificate is malformed")]
    Malformed,
    /// A name of the certificate is one that an issuer may not issue for.
    #[error("certificate has a name that its issuer may not issue for")]
    NameConstraint,
    /// The handshake showed no certificate.
    #[error("no certificate was shown")]
    NoCertificate,
    /// No certificate is one of those that the records mean.
    #[error("certificates match no TLSA record")]
    NoMatch,
    /// The anchor of a record was shown, but it has not issued the server's certificate.
    #[error("certificate was not issued by the trust anchor of a TLSA record")]
    NotIssued,
    /// The certificate, an issuer's or a root's is not valid yet.
    #[error("certificate is not valid yet")]
    NotYetValid {
        /// Its first moment.
        not_before: UnixTime,
    },
    /// The chain breaks another rule of PKIX; by the verifier's name for it.
    #[error("certificate refused: {0}")]
    Other(String),
    /// More issuers than an issuer or the anchor allows.
    #[error("certificate has more issuers than allowed")]
    PathLength,
    /// The certificate or an issuer's is for other purposes than servers.
    #[error("certificate is not for servers (extended key usage)")]
    Purpose,
    /// A certificate is signed in a way that this library does not verify.
    #[error("certificate is signed with an algorithm that is not accepted")]
    UnsupportedSignature,
    /// The certificate has none of the reference names.
    #[error("certificate is for another name")]
    WrongName {
        /// The first few names that it has, in plain ASCII.
        presented: Vec<String>,
    },
}
