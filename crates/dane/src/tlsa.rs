//! The TLSA resource record (RFC 6698 §2).

/// A TLSA record: what the certificate of a server must match, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsaRecord {
    /// Which certificate of the chain is meant, and whether PKIX has a say.
    pub usage: CertificateUsage,
    /// Which part of that certificate.
    pub selector: Selector,
    /// How it is compared.
    pub matching: MatchingType,
    /// What it is compared with.
    pub data: Vec<u8>,
}

impl TlsaRecord {
    /// Reads the record's RDATA (RFC 6698 §2.1).
    ///
    /// # Errors
    ///
    /// The three octets that every record begins with are not there.
    pub fn from_rdata(rdata: &[u8]) -> Result<Self, RdataError> {
        match rdata {
            [usage, selector, matching, data @ ..] => Ok(Self {
                usage: CertificateUsage::from(*usage),
                selector: Selector::from(*selector),
                matching: MatchingType::from(*matching),
                data: data.to_vec(),
            }),
            [..] => Err(RdataError),
        }
    }

    /// The record's RDATA.
    #[must_use]
    pub fn to_rdata(&self) -> Vec<u8> {
        [&self.numbers(), self.data.as_slice()].concat()
    }

    /// Usage, selector and matching type.
    pub(crate) fn numbers(&self) -> [u8; 3] {
        [self.usage.into(), self.selector.into(), self.matching.into()]
    }
}

/// Which certificate a record is about (RFC 6698 §2.1.1, names of RFC 7218 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateUsage {
    /// 0: a CA in a chain that PKIX accepts.
    PkixTa,
    /// 1: the server's own, in a chain that PKIX accepts.
    PkixEe,
    /// 2: the trust anchor.
    DaneTa,
    /// 3: the server's own.
    DaneEe,
    /// A number without a meaning yet.
    Other(u8),
}

impl From<u8> for CertificateUsage {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::PkixTa,
            1 => Self::PkixEe,
            2 => Self::DaneTa,
            3 => Self::DaneEe,
            other => Self::Other(other),
        }
    }
}

impl From<CertificateUsage> for u8 {
    fn from(usage: CertificateUsage) -> Self {
        match usage {
            CertificateUsage::PkixTa => 0,
            CertificateUsage::PkixEe => 1,
            CertificateUsage::DaneTa => 2,
            CertificateUsage::DaneEe => 3,
            CertificateUsage::Other(number) => number,
        }
    }
}

/// Which part of the certificate is compared (RFC 6698 §2.1.2, names of RFC 7218 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// 0: all of it.
    Cert,
    /// 1: its public key.
    Spki,
    /// A number without a meaning yet.
    Other(u8),
}

impl From<u8> for Selector {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Cert,
            1 => Self::Spki,
            other => Self::Other(other),
        }
    }
}

impl From<Selector> for u8 {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Cert => 0,
            Selector::Spki => 1,
            Selector::Other(number) => number,
        }
    }
}

/// How the selected part is compared (RFC 6698 §2.1.3, names of RFC 7218 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchingType {
    /// 0: octet by octet.
    Full,
    /// 1: by its SHA-256 digest.
    Sha256,
    /// 2: by its SHA-512 digest.
    Sha512,
    /// A number without a meaning yet.
    Other(u8),
}

impl From<u8> for MatchingType {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Full,
            1 => Self::Sha256,
            2 => Self::Sha512,
            other => Self::Other(other),
        }
    }
}

impl From<MatchingType> for u8 {
    fn from(matching: MatchingType) -> Self {
        match matching {
            MatchingType::Full => 0,
            MatchingType::Sha256 => 1,
            MatchingType::Sha512 => 2,
            MatchingType::Other(number) => number,
        }
    }
}

/// RDATA of fewer than three octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TLSA record of fewer than three octets")]
pub struct RdataError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_kept_whatever_it_means() {
        for number in 0..=u8::MAX {
            assert_eq!(u8::from(CertificateUsage::from(number)), number);
            assert_eq!(u8::from(Selector::from(number)), number);
            assert_eq!(u8::from(MatchingType::from(number)), number);
        }
    }

    #[test]
    fn rdata_is_read_field_by_field() {
        let read = TlsaRecord::from_rdata(&[2, 0, 1, 7, 8, 9]).unwrap();
        assert_eq!(read.usage, CertificateUsage::DaneTa);
        assert_eq!(read.selector, Selector::Cert);
        assert_eq!(read.matching, MatchingType::Sha256);
        assert_eq!(read.data, [7, 8, 9]);
        for short in [&[][..], &[3], &[3, 1]] {
            assert_eq!(TlsaRecord::from_rdata(short), Err(RdataError));
        }
        assert_eq!(TlsaRecord::from_rdata(&[3, 1, 1]).unwrap().data, []);
    }
}
