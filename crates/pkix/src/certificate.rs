//! What a certificate says (RFC 5280 §4.1), read more leniently than rustls does.
//!
//! Nothing here is a verification. It is for words about a certificate that was refused, for the
//! dates of one that an operator has named, and for the key of one of an earlier version.

use std::time::Duration;

use rustls::pki_types::UnixTime;

use crate::der::{Reader, oid_text, tag};
use crate::words::shown;

/// id-ce-subjectAltName (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// id-ce-nameConstraints (RFC 5280 §4.2.1.10).
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

/// rsaEncryption (RFC 3279 §2.3.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A certificate, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Certificate<'a> {
    /// The content of the issuer's name.
    pub(crate) issuer: &'a [u8],
    /// The content of the subject's name.
    pub(crate) subject: &'a [u8],
    /// The subject's public key with its algorithm, as an encoding of its own.
    pub(crate) spki: &'a [u8],
    validity: Reader<'a>,
    /// None in a certificate of version 1.
    version: Option<&'a [u8]>,
    extensions: &'a [u8],
}

/// The first and the last moment at which a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

/// A subject's public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicKey<'a> {
    /// The content of the sequence that holds both, as a trust anchor takes it.
    pub content: &'a [u8],
    /// The algorithm's identifier with its parameters, without the sequence around them.
    pub algorithm: &'a [u8],
    /// The key.
    pub key: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate of any version.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut signed = Reader::new(Reader::new(der).expect(tag::SEQUENCE)?);
        let mut body = Reader::new(signed.expect(tag::SEQUENCE)?);
        let version = body.optional(tag::constructed(0));
        let _serial = body.expect(tag::INTEGER)?;
        let _algorithm = body.expect(tag::SEQUENCE)?;
        let issuer = body.expect(tag::SEQUENCE)?;
        let validity = Reader::new(body.expect(tag::SEQUENCE)?);
        let subject = body.expect(tag::SEQUENCE)?;
        let spki = body.whole(tag::SEQUENCE)?;
        let extensions = body.find(|(found, _)| *found == tag::constructed(3));
        let list = extensions.and_then(|(_, content)| Reader::new(content).expect(tag::SEQUENCE));
        let extensions = list.unwrap_or_default();
        Some(Self { issuer, subject, spki, validity, version, extensions })
    }

    /// Its dates.
    pub(crate) fn validity(&self) -> Option<Validity> {
        let mut dates = self.validity;
        let (not_before, not_after) = (time(dates.element()?)?, time(dates.element()?)?);
        Some(Validity { not_before, not_after })
    }

    /// Its key.
    pub(crate) fn public_key(&self) -> Option<PublicKey<'a>> {
        PublicKey::read(self.spki)
    }

    /// Whether it is of X.509 version 1, which knows no extensions.
    pub(crate) const fn is_version_1(&self) -> bool {
        self.version.is_none()
    }

    /// The DNS names and addresses it names, which alone count (RFC 6125 §6.4.4).
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let list = self.extension(SUBJECT_ALT_NAME);
        let names = list.and_then(|list| Reader::new(list).expect(tag::SEQUENCE));
        let text = |(found, content): (u8, &[u8])| {
            if found == tag::context(2) {
                Some(shown(&String::from_utf8_lossy(content)))
            } else if found == tag::context(7) {
                address(content)
            } else {
                None
            }
        };
        Reader::new(names.unwrap_or_default()).filter_map(text)
    }

    /// Whether it limits what it may issue for by names of directories (RFC 5280 §4.2.1.10).
    pub(crate) fn limits_directory_names(&self) -> bool {
        let constraints = self.extension(NAME_CONSTRAINTS);
        let Some(lists) = constraints.and_then(|list| Reader::new(list).expect(tag::SEQUENCE))
        else {
            return false;
        };
        let is_directory =
            |(_, base): (u8, &[u8])| Reader::new(base).expect(tag::constructed(4)).is_some();
        Reader::new(lists).any(|(_, subtrees)| Reader::new(subtrees).any(is_directory))
    }

    /// The content of an extension's octet string.
    pub(crate) fn extension(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        Reader::new(self.extensions).find_map(|(_, extension)| {
            let mut parts = Reader::new(extension);
            if parts.expect(tag::OID)? != wanted {
                return None;
            }
            let _critical = parts.optional(tag::BOOLEAN);
            parts.expect(tag::OCTET_STRING)
        })
    }
}

impl<'a> PublicKey<'a> {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) and nothing behind it.
    #[must_use]
    pub fn read(spki: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(spki);
        let content = outer.expect(tag::SEQUENCE)?;
        let mut parts = Reader::new(content);
        let algorithm = parts.expect(tag::SEQUENCE)?;
        // No bits are left unused at the end of a key.
        let key = parts.expect(tag::BIT_STRING)?.strip_prefix(&[0])?;
        outer.is_empty().then_some(Self { content, algorithm, key })
    }

    /// The length of an RSA key's modulus; none for other keys.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        if Reader::new(self.algorithm).expect(tag::OID)? != RSA {
            return None;
        }
        let modulus =
            Reader::new(Reader::new(self.key).expect(tag::SEQUENCE)?).expect(tag::INTEGER)?;
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        modulus.len().checked_mul(8)
    }
}

/// An IPv4 or IPv6 address.
fn address(octets: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(octets).map(|octets| std::net::IpAddr::from(octets).to_string());
    let sixteen =
        || <[u8; 16]>::try_from(octets).map(|octets| std::net::IpAddr::from(octets).to_string());
    four.or_else(|_other| sixteen()).ok()
}

/// A time of either type, in the forms of RFC 5280 §4.1.2.5.
fn time((found, content): (u8, &[u8])) -> Option<UnixTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match found {
        tag::UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            let century = if year >= 50 { 1900 } else { 2000 };
            (century + year, rest)
        }
        tag::GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut parts = [0_i8; 5];
    let mut left = rest;
    for part in &mut parts {
        let (digits, rest) = left.split_at_checked(2)?;
        (*part, left) = (digits.parse().ok()?, rest);
    }
    let [month, day, hour, minute, second] = parts;
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let seconds = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    // What is before 1970 is long over, and all the same to any clock.
    let seconds = u64::try_from(seconds).unwrap_or_default();
    left.is_empty().then(|| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The most attributes that are shown of a name.
const ATTRIBUTES_MAX: usize = 8;

/// A distinguished name as people write it, the most telling attribute first: `CN=R3, O=..`.
pub(crate) fn directory_name(name: &[u8]) -> String {
    let sets = Reader::new(name).filter(|(found, _)| *found == tag::SET);
    let attributes = sets.flat_map(|(_, set)| Reader::new(set)).filter_map(|(_, attribute)| {
        let mut parts = Reader::new(attribute);
        let (kind, (encoding, value)) = (parts.expect(tag::OID)?, parts.element()?);
        Some(format!("{}={}", attribute_name(kind), shown(&text(encoding, value))))
    });
    let mut attributes: Vec<String> = attributes.take(ATTRIBUTES_MAX).collect();
    attributes.reverse();
    if attributes.is_empty() { "(no name)".to_owned() } else { attributes.join(", ") }
}

fn attribute_name(kind: &[u8]) -> String {
    let known = match kind {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        _ => return oid_text(kind),
    };
    known.to_owned()
}

/// The characters of a string of any of the types in use; those of the old ones are taken for
/// Latin-1, which most of their writers meant.
fn text(encoding: u8, value: &[u8]) -> String {
    match encoding {
        tag::UTF8_STRING => String::from_utf8_lossy(value).into_owned(),
        tag::BMP_STRING => {
            let units: Vec<u16> = value
                .chunks_exact(2)
                .filter_map(|unit| <[u8; 2]>::try_from(unit).ok())
                .map(u16::from_be_bytes)
                .collect();
            String::from_utf16_lossy(&units)
        }
        _ => value.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn what_a_certificate_says_is_read() {
        let names = ["mx.example.org", "*.example.org", "192.0.2.7", "2001:db8::7"];
        let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Example\nLtd");
        params.distinguished_name.push(DnType::CommonName, "mx.example.org");
        params.not_before = date_time_ymd(2026, 1, 2);
        params.not_after = date_time_ymd(2055, 12, 31);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::read(der.der()).unwrap();
        assert_eq!(certificate.names().collect::<Vec<_>>(), names);
        let issuer = directory_name(certificate.issuer);
        assert!(
            issuer.contains("CN=mx.example.org") && issuer.contains("O=Example?Ltd"),
            "{issuer}"
        );
        assert_eq!(certificate.issuer, certificate.subject);
        let validity = certificate.validity().unwrap();
        assert_eq!(validity.not_before.as_secs(), 1_767_312_000);
        assert_eq!(validity.not_after.as_secs(), 2_713_824_000);
        assert!(certificate.public_key().unwrap().rsa_bits().is_none());
        assert!(!certificate.limits_directory_names());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_read(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<usize>(),
        ) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            let at = at % der.len();
            let end = (at + bytes.len() / 8).min(der.len());
            der.splice(at..end, bytes.iter().copied().take(end - at));
            for der in [&bytes, &der] {
                if let Some(certificate) = Certificate::read(der) {
                    prop_assert!(certificate.names().count() <= der.len());
                    prop_assert!(certificate.validity().is_none_or(|dates| dates.not_after.as_secs() < u64::MAX));
                    prop_assert!(certificate.public_key().is_none_or(|key| key.key.len() < 1000));
                    prop_assert!(!certificate.limits_directory_names() || !der.is_empty());
                    prop_assert!(directory_name(certificate.issuer).is_ascii());
                }
            }
        }
    }
}
