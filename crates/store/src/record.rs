//! Delivery records: what is kept of each attempt, in the commit that settles it.

use std::fmt::{self, Debug, Formatter};

/// The number of a record in its store, counted from 1. Numbers rise in the order in which
/// settlements became durable, and none is given twice.
pub type RecordNumber = u64;

/// The bytes of a delivery record, which no store reads.
#[derive(Clone, Eq, PartialEq)]
pub struct RecordBytes(Vec<u8>);

impl RecordBytes {
    /// No record has more bytes.
    pub const MOST: usize = 64 << 10;

    /// A record of these bytes; none where they are too many for a store.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MOST).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for RecordBytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "RecordBytes({} octets)", self.0.len())
    }
}

/// A record as a store gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptRecord {
    /// Its number.
    pub number: RecordNumber,
    /// What was given with the settlement.
    pub bytes: Vec<u8>,
}
