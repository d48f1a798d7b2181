//! Which TLSA records SMTP can use (RFC 7672 §3.1).

use aws_lc_rs::digest;
use pkix::{PublicKey, subject_public_key_info};
use rustls::pki_types::CertificateDer;
use webpki::anchor_from_trusted_cert;

use crate::tlsa::{CertificateUsage, MatchingType, Selector, TlsaRecord};

impl TlsaRecord {
    /// How SMTP uses the record, or why it cannot (RFC 7672 §3.1.3).
    ///
    /// A record that is unusable here still counts: where a host has records but none of use, TLS is
    /// mandatory though unauthenticated (RFC 7672 §2.2).
    ///
    /// ```
    /// use dane::{SmtpUsage, TlsaRecord};
    ///
    /// let mut rdata = vec![3, 1, 1];
    /// rdata.extend([0xab; 32]);
    /// let record = TlsaRecord::from_rdata(&rdata)?;
    /// assert_eq!(record.usable_for_smtp(), Ok(SmtpUsage::DaneEe));
    /// # Ok::<(), dane::RdataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Says why the record is unusable.
    pub fn usable_for_smtp(&self) -> Result<SmtpUsage, Unusable> {
        Usable::of(self).map(|usable| usable.usage)
    }
}

/// A record with which SMTP can tell one server from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usable {
    pub(crate) record: TlsaRecord,
    pub(crate) usage: SmtpUsage,
    pub(crate) selected: Selected,
    pub(crate) compared: Compared,
}

/// The part of a certificate that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// All of it.
    Certificate,
    /// Its public key with the algorithm.
    Key,
}

/// How that part is compared; of two digests the greater is the stronger (RFC 7671 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Compared {
    /// Octet by octet.
    Whole,
    /// By its SHA-256 digest.
    Sha256,
    /// By its SHA-512 digest.
    Sha512,
}

impl Usable {
    /// Reads a record.
    pub(crate) fn of(record: &TlsaRecord) -> Result<Self, Unusable> {
        let usage = match record.usage {
            CertificateUsage::DaneTa => SmtpUsage::DaneTa,
            CertificateUsage::DaneEe => SmtpUsage::DaneEe,
            CertificateUsage::PkixTa | CertificateUsage::PkixEe => return Err(Unusable::Pkix),
            CertificateUsage::Other(_) => return Err(Unusable::Usage),
        };
        let selected = match record.selector {
            Selector::Cert => Selected::Certificate,
            Selector::Spki => Selected::Key,
            Selector::Other(_) => return Err(Unusable::Selector),
        };
        let compared = match record.matching {
            MatchingType::Full => Compared::Whole,
            MatchingType::Sha256 => Compared::Sha256,
            MatchingType::Sha512 => Compared::Sha512,
            MatchingType::Other(_) => return Err(Unusable::Matching),
        };
        let usable = Self { record: record.clone(), usage, selected, compared };
        usable.check_data().map(|()| usable)
    }

    /// Whether the data can equal anything.
    fn check_data(&self) -> Result<(), Unusable> {
        let data = self.record.data.as_slice();
        let length = match self.compared {
            Compared::Whole if data.is_empty() => return Err(Unusable::DataLength),
            Compared::Whole if self.is_readable() => return Ok(()),
            Compared::Whole => return Err(Unusable::Unreadable),
            Compared::Sha256 => digest::SHA256_OUTPUT_LEN,
            Compared::Sha512 => digest::SHA512_OUTPUT_LEN,
        };
        if data.len() == length { Ok(()) } else { Err(Unusable::DataLength) }
    }

    /// Whether data in full are what they have to be.
    fn is_readable(&self) -> bool {
        let certificate = CertificateDer::from(self.record.data.as_slice());
        match (self.selected, self.usage) {
            (Selected::Certificate, SmtpUsage::DaneEe) => {
                subject_public_key_info(&certificate).is_some()
            }
            (Selected::Certificate, SmtpUsage::DaneTa) => {
                anchor_from_trusted_cert(&certificate).is_ok()
            }
            (Selected::Key, SmtpUsage::DaneEe | SmtpUsage::DaneTa) => {
                PublicKey::read(&self.record.data).is_some()
            }
        }
    }

    /// Whether this certificate is the one that the record means (RFC 6698 §2.1.4).
    pub(crate) fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let part = match self.selected {
            Selected::Certificate => Some(certificate.as_ref()),
            Selected::Key => subject_public_key_info(certificate),
        };
        let Some(part) = part else { return false };
        let expected = self.record.data.as_slice();
        match self.compared {
            Compared::Whole => part == expected,
            Compared::Sha256 => digest::digest(&digest::SHA256, part).as_ref() == expected,
            Compared::Sha512 => digest::digest(&digest::SHA512, part).as_ref() == expected,
        }
    }

    /// The certificate that a `2 0 0` or `3 0 0` record holds.
    pub(crate) fn certificate(&self) -> Option<CertificateDer<'_>> {
        let is_whole = (self.selected, self.compared) == (Selected::Certificate, Compared::Whole);
        is_whole.then(|| CertificateDer::from(self.record.data.as_slice()))
    }

    /// The key that a `2 1 0` or `3 1 0` record holds.
    pub(crate) fn bare_key(&self) -> Option<PublicKey<'_>> {
        let is_bare = (self.selected, self.compared) == (Selected::Key, Compared::Whole);
        is_bare.then(|| PublicKey::read(&self.record.data)).flatten()
    }
}

/// The records that count (RFC 7671 §9): for each usage and selector those in full, and those with
/// the strongest digest in use.
pub(crate) fn strongest(mut usable: Vec<Usable>) -> Vec<Usable> {
    let kind = |one: &Usable| (one.usage, one.selected);
    let is_weaker = |one: &Usable, other: &Usable| {
        kind(one) == kind(other) && one.compared != Compared::Whole && one.compared < other.compared
    };
    let all = usable.clone();
    usable.retain(|one| !all.iter().any(|other| is_weaker(one, other)));
    usable
}

/// The usages that SMTP knows (RFC 7672 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SmtpUsage {
    /// The chain must lead to this trust anchor and name the host (RFC 7672 §3.1.2).
    DaneTa,
    /// The server must have this certificate or key; its names and dates do not count
    /// (RFC 7672 §3.1.1).
    DaneEe,
}

/// Why SMTP cannot use a record (RFC 7672 §3.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Unusable {
    /// The data has not the length of the digest, or is empty.
    #[error("association data of the wrong length")]
    DataLength,
    /// The matching type is unknown.
    #[error("unknown matching type")]
    Matching,
    /// Usages 0 and 1 depend on CAs that SMTP has not agreed on.
    #[error("usage PKIX-TA or PKIX-EE")]
    Pkix,
    /// The selector is unknown.
    #[error("unknown selector")]
    Selector,
    /// The data in full are neither a certificate nor a key, or not the one that is selected.
    #[error("association data that cannot be read")]
    Unreadable,
    /// The usage is unknown.
    #[error("unknown certificate usage")]
    Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, length: usize) -> TlsaRecord {
        let mut rdata = vec![usage, selector, matching];
        rdata.resize(3 + length, 0xab);
        TlsaRecord::from_rdata(&rdata).unwrap()
    }

    #[test]
    fn smtp_uses_dane_ta_and_dane_ee_with_digests_of_the_right_length() {
        let table = [
            ((3, 1, 1, 32), Ok(SmtpUsage::DaneEe)),
            ((3, 0, 1, 32), Ok(SmtpUsage::DaneEe)),
            ((3, 1, 2, 64), Ok(SmtpUsage::DaneEe)),
            ((3, 0, 0, 1), Err(Unusable::Unreadable)),
            ((2, 0, 1, 32), Ok(SmtpUsage::DaneTa)),
            ((2, 1, 1, 32), Ok(SmtpUsage::DaneTa)),
            ((2, 0, 2, 64), Ok(SmtpUsage::DaneTa)),
            ((2, 0, 0, 700), Err(Unusable::Unreadable)),
            ((2, 1, 0, 91), Err(Unusable::Unreadable)),
            ((0, 1, 1, 32), Err(Unusable::Pkix)),
            ((1, 1, 1, 32), Err(Unusable::Pkix)),
            ((4, 1, 1, 32), Err(Unusable::Usage)),
            ((255, 1, 1, 32), Err(Unusable::Usage)),
            ((3, 2, 1, 32), Err(Unusable::Selector)),
            ((3, 255, 1, 32), Err(Unusable::Selector)),
            ((3, 1, 3, 32), Err(Unusable::Matching)),
            ((3, 1, 255, 32), Err(Unusable::Matching)),
            ((3, 1, 1, 31), Err(Unusable::DataLength)),
            ((3, 1, 1, 33), Err(Unusable::DataLength)),
            ((3, 1, 1, 64), Err(Unusable::DataLength)),
            ((3, 1, 2, 32), Err(Unusable::DataLength)),
            ((3, 1, 1, 0), Err(Unusable::DataLength)),
            ((3, 0, 0, 0), Err(Unusable::DataLength)),
        ];
        for ((usage, selector, matching, length), verdict) in table {
            let record = record(usage, selector, matching, length);
            assert_eq!(record.usable_for_smtp(), verdict, "{usage} {selector} {matching} {length}");
        }
    }

    #[test]
    fn data_in_full_are_a_certificate_or_a_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let spki = subject_public_key_info(certificate.der()).unwrap();
        let usable = |usage, selector, data: &[u8]| {
            let rdata = [&[usage, selector, 0], data].concat();
            TlsaRecord::from_rdata(&rdata).unwrap().usable_for_smtp()
        };
        for (usage, means) in [(2, SmtpUsage::DaneTa), (3, SmtpUsage::DaneEe)] {
            assert_eq!(usable(usage, 0, certificate.der()), Ok(means));
            assert_eq!(usable(usage, 1, spki), Ok(means));
            assert_eq!(usable(usage, 1, certificate.der()), Err(Unusable::Unreadable));
            assert_eq!(usable(usage, 0, spki), Err(Unusable::Unreadable));
            assert_eq!(usable(usage, 1, &[spki, &[0]].concat()), Err(Unusable::Unreadable));
        }
    }

    #[test]
    fn only_full_data_and_the_strongest_digest_of_each_usage_and_selector_count() {
        let numbers = |kept: Vec<Usable>| -> Vec<[u8; 3]> {
            kept.iter().map(|usable| usable.record.numbers()).collect()
        };
        let usable = |rows: &[(u8, u8, u8, usize)]| -> Vec<Usable> {
            let of = |&(u, s, m, length): &_| Usable::of(&record(u, s, m, length)).unwrap();
            rows.iter().map(of).collect()
        };
        let weak = usable(&[(3, 1, 1, 32), (2, 0, 1, 32)]);
        assert_eq!(numbers(strongest(weak)), [[3, 1, 1], [2, 0, 1]]);
        let mixed =
            usable(&[(3, 1, 1, 32), (3, 1, 2, 64), (3, 0, 1, 32), (2, 0, 1, 32), (2, 0, 2, 64)]);
        assert_eq!(numbers(strongest(mixed)), [[3, 1, 2], [3, 0, 1], [2, 0, 2]]);
    }
}
