//! Which TLSA records SMTP can use (RFC 7672 §3.1).

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
        let usage = match self.usage {
            CertificateUsage::DaneTa => SmtpUsage::DaneTa,
            CertificateUsage::DaneEe => SmtpUsage::DaneEe,
            CertificateUsage::PkixTa | CertificateUsage::PkixEe => return Err(Unusable::Pkix),
            CertificateUsage::Other(_) => return Err(Unusable::Usage),
        };
        match self.selector {
            Selector::Cert | Selector::Spki => {}
            Selector::Other(_) => return Err(Unusable::Selector),
        }
        let fits = match self.matching {
            MatchingType::Full => !self.data.is_empty(),
            MatchingType::Sha256 => self.data.len() == 32,
            MatchingType::Sha512 => self.data.len() == 64,
            MatchingType::Other(_) => return Err(Unusable::Matching),
        };
        if fits { Ok(usage) } else { Err(Unusable::DataLength) }
    }
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
            ((3, 0, 0, 1), Ok(SmtpUsage::DaneEe)),
            ((2, 0, 1, 32), Ok(SmtpUsage::DaneTa)),
            ((2, 1, 1, 32), Ok(SmtpUsage::DaneTa)),
            ((2, 0, 2, 64), Ok(SmtpUsage::DaneTa)),
            ((2, 0, 0, 700), Ok(SmtpUsage::DaneTa)),
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
}
