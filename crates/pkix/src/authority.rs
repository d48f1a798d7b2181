//! What a certificate says of its own power to issue others (RFC 5280 §4.2.1, §6.1.4).
//!
//! rustls asks this of every issuer but the trust anchor, whose owner is assumed to have asked
//! already. Where an anchor is shown by the peer, nobody has.

use rustls::pki_types::{CertificateDer, UnixTime};

use crate::certificate::Certificate;
use crate::der::{Reader, tag};

/// id-ce-keyUsage (RFC 5280 §4.2.1.3).
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// id-ce-basicConstraints (RFC 5280 §4.2.1.9).
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// id-ce-extKeyUsage (RFC 5280 §4.2.1.12).
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// id-kp-serverAuth (RFC 5280 §4.2.1.12).
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// keyCertSign, the sixth bit of a key usage.
const KEY_CERT_SIGN: u8 = 0x04;

/// An issuer of servers' certificates, by what its own certificate says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Authority {
    /// The first moment at which it holds.
    pub not_before: UnixTime,
    /// The last moment at which it holds.
    pub not_after: UnixTime,
    /// Whether its issuer has its own name.
    pub is_self_issued: bool,
    /// The most authorities that may stand between it and a server.
    pub path_length: Option<usize>,
}

/// Why a certificate may not issue that of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoAuthority {
    /// It cannot be read.
    #[error("certificate is malformed")]
    Malformed,
    /// It issues for other purposes than servers.
    #[error("certificate is not for issuers of servers (extended key usage)")]
    Purpose,
    /// It is that of a server, or of somebody else who issues nothing.
    #[error("certificate is that of no authority")]
    Subject,
}

impl Authority {
    /// Reads what a certificate says of its power to issue.
    ///
    /// # Errors
    ///
    /// [`NoAuthority`] where it has none.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, NoAuthority> {
        let read = Certificate::read(certificate).ok_or(NoAuthority::Malformed)?;
        let validity = read.validity().ok_or(NoAuthority::Malformed)?;
        let signs = read.extension(KEY_USAGE).map(signs_certificates);
        let constraints = read.extension(BASIC_CONSTRAINTS).map(BasicConstraints::read);
        let is_self_issued = read.issuer == read.subject;
        let path_length = match (signs, constraints) {
            (Some(false), _) => return Err(NoAuthority::Subject),
            (_, Some(None)) => return Err(NoAuthority::Malformed),
            (_, Some(Some(constraints))) if constraints.is_authority => constraints.path_length,
            (Some(true), None) => None,
            // Version 1 has no extensions to say it with: roots of that age are taken as they are.
            (None, None) if read.is_version_1() && is_self_issued => None,
            (None, None) | (_, Some(Some(_))) => return Err(NoAuthority::Subject),
        };
        if read.extension(EXTENDED_KEY_USAGE).is_some_and(|purposes| !serves(purposes)) {
            return Err(NoAuthority::Purpose);
        }
        let (not_before, not_after) = (validity.not_before, validity.not_after);
        Ok(Self { not_before, not_after, is_self_issued, path_length })
    }
}

/// What basicConstraints say.
struct BasicConstraints {
    is_authority: bool,
    path_length: Option<usize>,
}

impl BasicConstraints {
    /// None where they are malformed.
    fn read(extension: &[u8]) -> Option<Self> {
        let mut parts = Reader::new(Reader::new(extension).expect(tag::SEQUENCE)?);
        let is_authority = parts.optional(tag::BOOLEAN) == Some(&[0xff]);
        let path_length = parts.optional(tag::INTEGER).map(number);
        parts.is_empty().then_some(Self { is_authority, path_length })
    }
}

/// A count; one that is too large to be counted to limits nothing, and a negative one allows none.
fn number(octets: &[u8]) -> usize {
    let is_negative = octets.first().is_none_or(|first| first & 0x80 != 0);
    let add = |sum: usize, octet: &u8| sum.checked_mul(256)?.checked_add(usize::from(*octet));
    if is_negative { 0 } else { octets.iter().try_fold(0, add).unwrap_or(usize::MAX) }
}

/// Whether a key usage allows to sign certificates.
fn signs_certificates(extension: &[u8]) -> bool {
    let bits = Reader::new(extension).expect(tag::BIT_STRING);
    let first = bits.and_then(|bits| bits.get(1));
    first.is_some_and(|first| first & KEY_CERT_SIGN != 0)
}

/// Whether the purposes of an extended key usage include servers.
fn serves(extension: &[u8]) -> bool {
    let purposes = Reader::new(extension).expect(tag::SEQUENCE).unwrap_or_default();
    Reader::new(purposes).any(|(found, purpose)| found == tag::OID && purpose == SERVER_AUTH)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use rcgen::{KeyUsagePurpose, date_time_ymd};

    use super::*;

    fn read(change: impl FnOnce(&mut CertificateParams)) -> Result<Authority, NoAuthority> {
        let mut params = CertificateParams::new(vec!["ca.example.org".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 1, 1);
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Authority::read(certificate.der())
    }

    #[test]
    fn an_authority_says_so_and_how_long_its_paths_are() {
        let any = IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(read(|params| params.is_ca = any).unwrap().path_length, None);
        let one = IsCa::Ca(BasicConstraints::Constrained(1));
        let authority = read(|params| params.is_ca = one).unwrap();
        assert_eq!(authority.path_length, Some(1));
        assert!(authority.is_self_issued);
        assert_eq!(authority.not_after.as_secs(), 1_893_456_000);
        let by_key_usage = read(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
        assert_eq!(by_key_usage.unwrap().path_length, None);
        let serving = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let serving = read(|params| {
            params.is_ca = any;
            params.extended_key_usages = serving;
        });
        assert!(serving.is_ok());
    }

    #[test]
    fn who_may_not_issue_is_no_authority() {
        let any = || IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(read(|_| {}), Err(NoAuthority::Subject));
        assert_eq!(read(|params| params.is_ca = IsCa::ExplicitNoCa), Err(NoAuthority::Subject));
        let signs_crls_alone = read(|params| {
            params.is_ca = any();
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
        });
        assert_eq!(signs_crls_alone, Err(NoAuthority::Subject));
        let for_mail = read(|params| {
            params.is_ca = any();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
        });
        assert_eq!(for_mail, Err(NoAuthority::Purpose));
        let odd = CertificateDer::from(vec![0x30, 0x00]);
        assert_eq!(Authority::read(&odd), Err(NoAuthority::Malformed));
    }

    #[test]
    fn odd_counts_limit_as_far_as_they_can_be_read() {
        for (octets, counted) in
            [(&[0][..], 0), (&[1, 0], 256), (&[0xff], 0), (&[], 0), (&[0x7f; 20], usize::MAX)]
        {
            assert_eq!(number(octets), counted, "{octets:?}");
        }
    }
}
