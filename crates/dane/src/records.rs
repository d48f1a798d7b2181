//! The TLSA records of one host, as DNSSEC proved them, and what they ask for (RFC 7672 §2.2).

use crate::association::Association;
use crate::names::ReferenceNames;
use crate::tlsa::TlsaRecord;
use crate::usable::{Unusable, Usable, strongest};

/// TLSA records that a trusted validator found secure: at least one.
///
/// Only who asks the DNS can say so, and says it with [`SecureRecords::assertion`]. Records that
/// nobody vouches for cannot become any:
///
/// ```compile_fail,E0451
/// # let records: Vec<dane::TlsaRecord> = Vec::new();
/// let forged = dane::SecureRecords { records };
/// ```
///
/// ```
/// # let records: Vec<dane::TlsaRecord> = vec!["3 1 1 00".parse().unwrap()];
/// let secure = dane::SecureRecords::assertion(records)?;
/// # Ok::<(), dane::RecordsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureRecords {
    /// In order, and each once.
    records: Vec<TlsaRecord>,
}

impl SecureRecords {
    /// The most records of a host that are read.
    pub const MAX_RECORDS: usize = 64;

    /// The longest association data.
    pub const MAX_OCTETS: usize = 4096;

    /// Asserts that a validator found this record set secure, from the host to the end of all aliases.
    ///
    /// # Errors
    ///
    /// [`RecordsError`]: there is none, or there is more than will be read. A host whose records are
    /// not read is passed over: to go on without them would be a downgrade.
    pub fn assertion(mut records: Vec<TlsaRecord>) -> Result<Self, RecordsError> {
        if records.is_empty() {
            return Err(RecordsError::None);
        }
        if records.len() > Self::MAX_RECORDS {
            return Err(RecordsError::TooMany);
        }
        if records.iter().any(|record| record.data.len() > Self::MAX_OCTETS) {
            return Err(RecordsError::TooLong);
        }
        records.sort_unstable();
        records.dedup();
        Ok(Self { records })
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &[TlsaRecord] {
        &self.records
    }

    /// What a server under these names has to match: one of the usable records.
    ///
    /// # Errors
    ///
    /// [`NoneUsable`]: TLS is mandatory all the same, with whoever answers (RFC 7672 §2.2).
    pub fn associate(self, names: ReferenceNames) -> Result<Association, NoneUsable> {
        let mut usable = Vec::new();
        let mut unusable = Vec::new();
        for record in &self.records {
            match Usable::of(record) {
                Ok(read) => usable.push(read),
                Err(why) => unusable.push((record.clone(), why)),
            }
        }
        if usable.is_empty() {
            return Err(NoneUsable { records: unusable });
        }
        Ok(Association::of_usable(strongest(usable), self.records, names))
    }
}

/// Why records are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// There is none.
    #[error("no TLSA record")]
    None,
    /// One of them has association data beyond [`SecureRecords::MAX_OCTETS`].
    #[error("a TLSA record of more than 4096 octets")]
    TooLong,
    /// There are more than [`SecureRecords::MAX_RECORDS`].
    #[error("more than 64 TLSA records")]
    TooMany,
}

/// A host has secure records, and none of use: encryption is mandatory, with whoever answers.
///
/// Nothing but such records makes one:
///
/// ```compile_fail,E0451
/// let forged = dane::NoneUsable { records: Vec::new() };
/// ```
///
/// ```
/// # let names = dane::ReferenceNames::new("mx.example.org", &[])?;
/// let secure = dane::SecureRecords::assertion(vec!["3 1 1 00".parse()?])?;
/// let none_usable = secure.associate(names).unwrap_err();
/// assert_eq!(none_usable.records().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no TLSA record is usable")]
pub struct NoneUsable {
    records: Vec<(TlsaRecord, Unusable)>,
}

impl NoneUsable {
    /// The records, each with why it is of no use.
    #[must_use]
    pub fn records(&self) -> &[(TlsaRecord, Unusable)] {
        &self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(last: u8, length: usize) -> TlsaRecord {
        let mut rdata = vec![3, 1, 1];
        rdata.resize(3 + length, last);
        TlsaRecord::from_rdata(&rdata).unwrap()
    }

    #[test]
    fn more_than_64_records_or_4_kib_are_not_read() {
        let read = |records| SecureRecords::assertion(records).map(|read| read.records().len());
        let many = |count| (0..count).map(|last| record(last, 32)).collect::<Vec<_>>();
        assert_eq!(read(Vec::new()), Err(RecordsError::None));
        assert_eq!(read(many(64)), Ok(64));
        assert_eq!(read(many(65)), Err(RecordsError::TooMany));
        assert_eq!(read(vec![record(0, 4096)]), Ok(1));
        assert_eq!(read(vec![record(0, 32), record(0, 4097)]), Err(RecordsError::TooLong));
    }

    #[test]
    fn one_usable_record_makes_an_association_and_none_says_why() {
        let names = || ReferenceNames::new("mx.example.org", &[]).unwrap();
        let secure = |records| SecureRecords::assertion(records).unwrap();
        let association = secure(vec![record(0, 31), record(1, 32)]).associate(names()).unwrap();
        assert_eq!(association.records().len(), 2);
        let pkix: TlsaRecord = "1 1 1 00".parse().unwrap();
        let none = secure(vec![record(0, 31), pkix.clone()]).associate(names()).unwrap_err();
        let expected = [(pkix, Unusable::Pkix), (record(0, 31), Unusable::DataLength)];
        assert_eq!(none.records(), expected);
    }
}
