//! What a handshake showed, as it is recorded.

use std::time::{Duration, UNIX_EPOCH};

use mail::{CertificateRecord, CertificateVerdict, DaneVerdict, TlsRecord, TlsVersion};
use pkix::summary;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, ProtocolVersion};

use super::danger::Verdict;
use super::digest::sha256;
use super::handshake_failure::result_type;

/// How many names of a certificate are recorded.
const NAMES_MAX: usize = 16;

/// What the peer of a connection is worth.
#[derive(Debug)]
pub(crate) struct PeerRecord {
    /// To a sender that verifies certificates.
    pub(crate) certificate: CertificateVerdict,
    /// Under the TLSA records of its host.
    pub(crate) dane: DaneVerdict,
}

/// The facts of a connection that has just begun, whose peer is worth this.
pub(crate) fn tls_record(tls: &ClientConnection, peer: PeerRecord) -> TlsRecord {
    let suite = tls.negotiated_cipher_suite();
    let certificate = tls.peer_certificates().and_then(|shown| shown.first());
    TlsRecord {
        version: version(tls),
        cipher_suite: suite.and_then(|suite| suite.suite().as_str()).map(str::to_owned),
        certificate: certificate.map(certificate_record),
        verdict: peer.certificate,
        dane: peer.dane,
    }
}

/// The version of TLS.
pub(crate) fn version(tls: &ClientConnection) -> TlsVersion {
    match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        Some(_) | None => TlsVersion::Other,
    }
}

fn certificate_record(certificate: &CertificateDer<'_>) -> CertificateRecord {
    let read = summary(certificate, NAMES_MAX);
    let not_after = read.as_ref().and_then(|read| read.not_after);
    let since_1970 = not_after.map(|end| Duration::from_secs(end.as_secs()));
    let (issuer, names) = read.map_or((None, Vec::new()), |read| (Some(read.issuer), read.names));
    CertificateRecord {
        digest: sha256(certificate),
        issuer,
        names,
        not_after: since_1970.and_then(|span| UNIX_EPOCH.checked_add(span)),
    }
}

impl From<&Verdict> for CertificateVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Invalid(error) => {
                Self::Invalid { result_type: result_type(error.error()), reason: error.to_string() }
            }
            Verdict::Unknown => Self::NotShown,
            Verdict::Valid => Self::Valid,
        }
    }
}
