//! The numbers that say whether values have changed, as far as this node knows.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::schema::VALUE_NUMBERS;

/// Numbers that grow when values change, on whichever node. Many keys share one, so a number may grow
/// though its value did not change, but never the other way round.
#[derive(Debug)]
pub(crate) struct ValueNumbers(Box<[AtomicU64]>);

impl ValueNumbers {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Self((0..VALUE_NUMBERS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The place of a value's number.
    pub(crate) fn place(namespace: &str, key: &str) -> i16 {
        let sum = crc32c::crc32c_append(crc32c::crc32c(namespace.as_bytes()), b"\0");
        let place = crc32c::crc32c_append(sum, key.as_bytes()) % VALUE_NUMBERS;
        i16::try_from(place).unwrap_or(0)
    }

    /// The number at a place.
    pub(crate) fn at(&self, place: i16) -> u64 {
        self.number(place).map_or(0, |number| number.load(Ordering::Acquire))
    }

    /// The database has this number at a place; an older one is no news.
    pub(crate) fn learn(&self, place: i16, number: i64) {
        if let (Some(known), Ok(number)) = (self.number(place), u64::try_from(number)) {
            known.fetch_max(number, Ordering::AcqRel);
        }
    }

    fn number(&self, place: i16) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(place).ok()?)
    }
}
