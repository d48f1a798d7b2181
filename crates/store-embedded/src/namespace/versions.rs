//! Whether values may have changed, without reading them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::Key;

/// How many numbers there are; keys share them.
const NUMBERS: u32 = 4096;

/// Numbers that grow when values change. Many keys share one, so a number may grow though its
/// value did not change, but never the other way round.
#[derive(Debug)]
pub(crate) struct Versions(Box<[AtomicU64]>);

impl Versions {
    /// Nothing has changed yet.
    pub(crate) fn new() -> Self {
        Self((0..NUMBERS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The number of the keys with this checksum.
    pub(crate) fn of(&self, sum: u32) -> u64 {
        self.number(sum).map_or(0, |number| number.load(Ordering::Acquire))
    }

    /// The value at `base` has changed: called once readers can see that, and before the change is
    /// acknowledged.
    pub(crate) fn changed(&self, base: &Key) {
        if let Some(number) = self.number(crc32c::crc32c(&base.0)) {
            number.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Any value may have changed.
    pub(crate) fn all_changed(&self) {
        for number in &self.0 {
            number.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The number for a checksum.
    fn number(&self, sum: u32) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(sum % NUMBERS).ok()?)
    }
}
