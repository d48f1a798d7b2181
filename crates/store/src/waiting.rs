//! What recipients wait for: how many were deferred last for each class of reason.

use mail::ReasonClass;

/// How many recipients wait for another attempt, by the class of what the last one met. Those of
/// messages that are held or quarantined wait for no attempt, and those never tried have met
/// nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting([u64; ReasonClass::ALL.len()]);

impl Waiting {
    /// Nobody waits.
    pub const NOBODY: Self = Self([0; ReasonClass::ALL.len()]);

    /// How many wait because of reasons of this class.
    #[must_use]
    pub fn of(&self, class: ReasonClass) -> u64 {
        let counted = ReasonClass::ALL.iter().zip(&self.0);
        counted.filter(|(other, _)| **other == class).map(|(_, count)| count).sum()
    }

    /// One more waits because of a reason of this class.
    pub fn add(&mut self, class: ReasonClass) {
        self.change(class, |count| count.saturating_add(1));
    }

    /// One fewer does.
    pub fn remove(&mut self, class: ReasonClass) {
        self.change(class, |count| count.saturating_sub(1));
    }

    /// The counts, in the order of [`ReasonClass::ALL`].
    #[must_use]
    pub const fn counts(&self) -> [u64; ReasonClass::ALL.len()] {
        self.0
    }

    /// These counts, in that order.
    #[must_use]
    pub const fn of_counts(counts: [u64; ReasonClass::ALL.len()]) -> Self {
        Self(counts)
    }

    fn change(&mut self, class: ReasonClass, by_one: impl Fn(u64) -> u64) {
        let counted = ReasonClass::ALL.iter().zip(&mut self.0);
        for (_, count) in counted.filter(|(other, _)| **other == class) {
            *count = by_one(*count);
        }
    }
}
