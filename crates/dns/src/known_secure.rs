//! Questions that a validator has vouched for, so that it is noticed when none does any more.
//!
//! A resolver that begins to clear the AD bit fails its next test, which may be ten minutes away. A
//! question whose answer was secure and now is not is reason to test at once: either its zone is no
//! longer signed, or the resolver no longer validates, and only a test tells which.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::question::Question;

/// So many questions are remembered: 64 KiB. Of two that fall to the same place the later one is.
const PLACES: usize = 8192;

/// Stands for no question.
const NONE: u64 = 0;

/// The questions that were last answered securely.
#[derive(Debug)]
pub(crate) struct KnownSecure {
    places: Box<[AtomicU64]>,
    /// Keyed at random, so that nobody can choose names that fall to the same place.
    hasher: RandomState,
}

impl KnownSecure {
    pub(crate) fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(NONE)).collect();
        Self { places, hasher: RandomState::new() }
    }

    /// The answer to `question` is secure.
    pub(crate) fn note(&self, question: &Question) {
        let (place, hash) = self.place(question);
        if let Some(place) = place {
            place.store(hash, Ordering::Relaxed);
        }
    }

    /// The answer to `question` is insecure: whether it was secure before. It is asked of once; from
    /// then on the zone is taken for unsigned.
    pub(crate) fn was_secure(&self, question: &Question) -> bool {
        let (place, hash) = self.place(question);
        place.is_some_and(|place| {
            place.compare_exchange(hash, NONE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    fn place(&self, question: &Question) -> (Option<&AtomicU64>, u64) {
        let hash = self.hasher.hash_one(question).max(NONE + 1);
        let index = usize::try_from(hash).unwrap_or(usize::MAX) % PLACES;
        (self.places.get(index), hash)
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::RecordType;

    use super::*;

    #[test]
    fn a_loss_of_proof_is_noticed_once_for_each_question() {
        let known = KnownSecure::new();
        let [mx, a] = [RecordType::MX, RecordType::A]
            .map(|record_type| Question::new("example.org", record_type).unwrap());
        assert!(!known.was_secure(&mx));
        known.note(&mx);
        assert!(!known.was_secure(&a), "another question");
        assert!(known.was_secure(&mx));
        assert!(!known.was_secure(&mx), "it is no news any more");
    }
}
