//! What a handshake showed, as it is recorded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mail::{
    CertificateRecord, CertificateVerdict, DaneVerdict, ShownCertificate, TlsRecord, TlsVersion,
};
use pkix::summary;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{ClientConnection, ProtocolVersion};
use tls_rpt::TlsaRecord;

use super::digest::sha256;
use super::handshake_failure::result_type;
use super::verdict::Verdict;

/// How many names of a certificate are recorded.
const NAMES_MAX: usize = 16;

/// How many certificates of a chain are recorded: more than authorities have above each other.
const CHAIN_MAX: usize = 8;

/// What the peer of a connection is worth.
#[derive(Debug)]
pub(crate) struct PeerRecord {
    /// To a sender that verifies certificates.
    pub(crate) certificate: CertificateVerdict,
    /// Under the TLSA records of its host.
    pub(crate) dane: DaneVerdict,
    /// The records that it was verified with.
    pub(crate) tlsa: Vec<TlsaRecord>,
}

/// The facts of a connection that has just begun, whose peer is worth this.
pub(crate) fn tls_record(tls: &ClientConnection, peer: PeerRecord) -> TlsRecord {
    let suite = tls.negotiated_cipher_suite();
    let chain = tls.peer_certificates().unwrap_or_default();
    TlsRecord {
        version: version(tls),
        cipher_suite: suite.and_then(|suite| suite.suite().as_str()).map(str::to_owned),
        key_exchange: tls
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name())),
        certificate: chain.first().map(certificate_record),
        chain: chain.iter().take(CHAIN_MAX).filter_map(shown).collect(),
        verdict: peer.certificate,
        dane: peer.dane,
        tlsa: peer.tlsa,
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
    let not_before = read.as_ref().and_then(|read| read.not_before).and_then(system_time);
    let not_after = read.as_ref().and_then(|read| read.not_after).and_then(system_time);
    let (issuer, names) = read.map_or((None, Vec::new()), |read| (Some(read.issuer), read.names));
    CertificateRecord { digest: sha256(certificate), issuer, names, not_before, not_after }
}

/// A certificate as it was shown.
fn shown(certificate: &CertificateDer<'_>) -> Option<ShownCertificate> {
    let digest = sha256(certificate)?;
    Some(ShownCertificate { digest, der: certificate.as_ref().into() })
}

fn system_time(time: UnixTime) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()))
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
