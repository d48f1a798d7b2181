//! What need not be given with a record any more, because the history's files have it
//! (`docs/decisions/0036-shared-facts.md`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::digest::Digest;

/// So many digests are known; the rest is given once more with a record, and costs only that.
const KNOWN_MOST: usize = 4_096;

/// So many values have their digests noted.
const NOTED_MOST: usize = 512;

/// The digests of what was written last, for those who make records.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Digests>);

/// Digests, the oldest first.
#[derive(Debug, Default)]
struct Digests {
    all: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Known {
    /// Whether the files have what has this digest.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.contains(digest)
    }

    /// The files have these from now on.
    pub(crate) fn add(&self, digests: &[Digest]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in digests {
            if known.all.insert(*digest) {
                known.order.push_back(*digest);
            }
        }
        while known.order.len() > KNOWN_MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.all.remove(&oldest);
        }
    }

    /// The files may not have what they had.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Digests::default();
    }
}

/// The digests of values that many attempts share, so that each is made once.
#[derive(Debug)]
pub(crate) struct Noted<T: ?Sized>(Mutex<HashMap<usize, (Weak<T>, Digest)>>);

impl<T: ?Sized> Noted<T> {
    /// Nothing is noted.
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The digest that was noted of this very value.
    pub(crate) fn get(&self, value: &Arc<T>) -> Option<Digest> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, digest) = noted.get(&address(value))?;
        // While a weak reference is kept no other value gets the address.
        std::ptr::addr_eq(of.as_ptr(), Arc::as_ptr(value)).then_some(*digest)
    }

    /// Nothing is noted any more.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes the digest of a value.
    pub(crate) fn note(&self, value: &Arc<T>, digest: Digest) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED_MOST {
            noted.retain(|_, (of, _)| of.strong_count() > 0);
        }
        if noted.len() >= NOTED_MOST {
            noted.clear();
        }
        noted.insert(address(value), (Arc::downgrade(value), digest));
    }
}

/// Where a value is.
fn address<T: ?Sized>(value: &Arc<T>) -> usize {
    Arc::as_ptr(value).cast::<()>().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&[&number.to_be_bytes()])
    }

    #[test]
    fn what_was_written_last_is_known_and_what_is_older_is_not() {
        let known = Known::default();
        known.add(&[digest(0), digest(0), digest(1)]);
        assert!(known.has(&digest(0)) && known.has(&digest(1)) && !known.has(&digest(2)));
        let more: Vec<Digest> = (2..=KNOWN_MOST).map(digest).collect();
        known.add(&more);
        assert!(!known.has(&digest(0)) && known.has(&digest(1)));
        known.clear();
        assert!(!known.has(&digest(1)));
    }

    #[test]
    fn a_digest_is_noted_of_the_very_value_and_of_a_bounded_number_of_them() {
        let noted = Noted::new();
        let values: Vec<Arc<str>> = (0..=NOTED_MOST).map(|_| Arc::from("same")).collect();
        for (number, value) in values.iter().enumerate() {
            assert_eq!(noted.get(value), None);
            noted.note(value, digest(number));
            assert_eq!(noted.get(value), Some(digest(number)));
        }
        assert_eq!(noted.0.lock().unwrap().len(), 1);
    }
}
