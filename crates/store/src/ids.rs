//! Giving ids: never one twice, not even when the clock goes back or the index is lost.
//!
//! The store keeps the highest id it may have given, and the spool's own records are a second
//! witness.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use clock::millis;
use mail::QueueId;

/// How far ahead of the clock ids are reserved by one write to the index.
const RESERVED_AHEAD: Duration = Duration::from_secs(600);

/// How much of what is reserved is not given to the clock, so that ids can be counted up however
/// close to its end the clock comes: more than anybody can take in that time.
const KEPT_FROM_CLOCK: Duration = Duration::from_secs(60);

/// How many nodes can give ids for one store.
pub const ID_SLOTS: u16 = 1 << SLOT_BITS;

/// How many bits of an id name the slot, where several nodes give ids.
const SLOT_BITS: u32 = 10;

/// How many bits below the slot count the ids of one millisecond.
const COUNT_BITS: u32 = 10;

/// Gives ids: one above the last, or the clock's if that is later and reserved, and never above
/// what is reserved.
#[derive(Debug)]
pub struct IdSource {
    layout: Layout,
    state: Mutex<Ids>,
}

/// Which ids are this source's, in the order in which it counts them.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// All.
    All,
    /// Those of one slot of several; a full millisecond takes ids of the next.
    Slot(u16),
}

impl Layout {
    /// The place of an id among the source's own; of another's the one before it.
    const fn place(self, id: QueueId) -> u64 {
        match self {
            Self::All => id.number(),
            Self::Slot(_) => {
                let above = id.number() >> (SLOT_BITS + COUNT_BITS);
                (above << COUNT_BITS) | (id.number() & ((1 << COUNT_BITS) - 1))
            }
        }
    }

    /// The id at a place.
    fn id(self, place: u64) -> QueueId {
        match self {
            Self::All => QueueId::from_number(place),
            Self::Slot(slot) => {
                let (above, count) = (place >> COUNT_BITS, place & ((1 << COUNT_BITS) - 1));
                let slot = u64::from(slot % ID_SLOTS) << COUNT_BITS;
                QueueId::from_number((above << (SLOT_BITS + COUNT_BITS)) | slot | count)
            }
        }
    }

    /// The place of a time's first id.
    fn at(self, time: SystemTime) -> u64 {
        self.place(QueueId::first_at(millis(time)))
    }

    /// How many places a duration spans.
    fn span(self, duration: Duration) -> u64 {
        SystemTime::UNIX_EPOCH.checked_add(duration).map_or(0, |until| self.at(until))
    }
}

/// What the source has given and may give.
#[derive(Clone, Copy, Debug)]
struct Ids {
    /// The last id given.
    last: u64,
    /// The highest id that the index knows may have been given.
    reserved: u64,
}

impl IdSource {
    /// A source that starts above `last`, with nothing reserved yet.
    #[must_use]
    pub const fn after(last: QueueId) -> Self {
        Self::laid_out(Layout::All, last)
    }

    /// The same for one of several nodes that give ids for one store: no id of another slot is ever
    /// given.
    #[must_use]
    pub const fn in_slot(slot: u16, last: QueueId) -> Self {
        Self::laid_out(Layout::Slot(slot), last)
    }

    const fn laid_out(layout: Layout, last: QueueId) -> Self {
        let last = layout.place(last);
        Self { layout, state: Mutex::new(Ids { last, reserved: last }) }
    }

    /// The next id, or none where the reservation is used up.
    pub fn next(&self, now: SystemTime) -> Option<QueueId> {
        let mut ids = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let above = ids.last.checked_add(1)?;
        let clock = self.layout.at(now);
        // A clock that jumps to the end of what is reserved, or beyond, must not use all of it up:
        // mail goes on to be taken until more is.
        let followed = ids.reserved.saturating_sub(self.layout.span(KEPT_FROM_CLOCK));
        let next = if clock > followed { above } else { clock.max(above) };
        if next > ids.reserved {
            return None;
        }
        ids.last = next;
        Some(self.layout.id(next))
    }

    /// What should be reserved at `now`, if less than half of it is left.
    pub fn wants(&self, now: SystemTime) -> Option<QueueId> {
        let ids = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let from = ids.last.max(self.layout.at(now));
        let half = self.layout.span(RESERVED_AHEAD / 2);
        (ids.reserved < from.saturating_add(half))
            .then(|| self.layout.id(from.saturating_add(self.layout.span(RESERVED_AHEAD))))
    }

    /// Lets ids up to `reserved` be given, now that the index holds that number durably.
    pub fn reserve(&self, reserved: QueueId) {
        let mut ids = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        ids.reserved = ids.reserved.max(self.layout.place(reserved));
    }

    /// Starts above `last` if the source is behind it: the spool knows ids that the index forgot.
    pub fn start_after(&self, last: QueueId) {
        let mut ids = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        ids.last = ids.last.max(self.layout.place(last));
        ids.reserved = ids.reserved.max(ids.last);
    }

    /// The last id given: all that has to be remembered at a clean end.
    pub fn last(&self) -> QueueId {
        self.layout.id(self.state.lock().unwrap_or_else(PoisonError::into_inner).last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn ids_grow_even_when_the_clock_goes_back() {
        let source = IdSource::after(QueueId::from_number(0));
        source.reserve(source.wants(at(1_000)).unwrap());
        let first = source.next(at(1_000)).unwrap();
        let second = source.next(at(10)).unwrap();
        let third = source.next(at(1_000)).unwrap();
        assert!(first < second && second < third);
    }

    #[test]
    fn no_id_is_given_beyond_the_reservation() {
        let source = IdSource::after(QueueId::from_number(5));
        assert_eq!(source.next(at(1_000)), None);
        source.reserve(QueueId::from_number(7));
        assert_eq!(source.next(at(1_000)), Some(QueueId::from_number(6)));
        assert_eq!(source.next(at(1_000)), Some(QueueId::from_number(7)));
        assert_eq!(source.next(at(1_000)), None);
    }

    #[test]
    fn a_clock_that_jumps_ahead_does_not_use_up_what_is_reserved() {
        let source = IdSource::after(QueueId::from_number(0));
        source.reserve(source.wants(at(1_000)).unwrap());
        let before = source.next(at(1_000)).unwrap();
        let after: Vec<_> = (0..1_000).map(|_| source.next(at(90_000)).unwrap()).collect();
        assert!(after.first().is_some_and(|first| *first > before) && after.is_sorted());
    }

    #[test]
    fn a_clock_at_the_very_end_of_what_is_reserved_leaves_ids_to_give() {
        let source = IdSource::after(QueueId::from_number(0));
        let reserved = source.wants(at(1_000)).unwrap();
        source.reserve(reserved);
        let edge = reserved.given_at();
        for early in [2_000, 1_000, 1, 0].map(Duration::from_millis) {
            assert!((0..1_000).all(|_| source.next(edge - early).is_some()), "{early:?} before");
        }
    }

    #[test]
    fn two_slots_never_give_the_same_id_and_each_grows_by_itself() {
        let sources =
            [0, ID_SLOTS - 1].map(|slot| IdSource::in_slot(slot, QueueId::from_number(0)));
        let mut given = Vec::new();
        for source in &sources {
            source.reserve(source.wants(at(1_000)).unwrap());
            // More than one millisecond has.
            let own: Vec<_> = (0..3_000).map(|_| source.next(at(1_000)).unwrap()).collect();
            assert!(own.is_sorted());
            assert_eq!(own[0].given_at(), at(1_000));
            given.extend(own);
        }
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 6_000);
        let again = IdSource::in_slot(0, sources[0].last());
        again.reserve(again.wants(at(10)).unwrap());
        assert!(again.next(at(10)).unwrap() > sources[0].last());
    }

    #[test]
    fn a_reservation_is_wanted_before_it_runs_out() {
        let source = IdSource::after(QueueId::from_number(0));
        let wanted = source.wants(at(1_000)).unwrap();
        source.reserve(wanted);
        assert_eq!(source.wants(at(1_000)), None);
        assert_eq!(source.wants(at(1_200)), None);
        assert!(source.wants(at(1_400)).is_some());
    }

    proptest! {
        #[test]
        fn ids_never_run_out_wherever_the_clock_goes_before_more_are_reserved(
            jumps in proptest::collection::vec(0_u64..1_300_000, 1..20)
        ) {
            let source = IdSource::after(QueueId::from_number(0));
            source.reserve(source.wants(at(1_000)).unwrap());
            let mut last = QueueId::from_number(0);
            for jump in jumps {
                for _ in 0..50 {
                    let next = source.next(at(900) + Duration::from_millis(jump)).unwrap();
                    prop_assert!(next > last);
                    last = next;
                }
            }
        }
    }
}
