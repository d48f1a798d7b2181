//! The lots of one destination that may be leased next: a slice of the due index, held in memory.
//!
//! The slice is read by one scan and used until it is empty, so that a lease costs no look into the
//! index past all the lots that are leased already. The index is the truth: a lot that is held,
//! moved or gone meanwhile is found out when its row is read, and passed over.

use std::collections::HashMap;

use store::LotId;

use crate::index::EngineError;
use crate::key::DuePlace;

/// How many lots one scan reads. A place takes 24 bytes and each lot is in one slice at most, so
/// all slices together take 24 MB for each million lots, and 1.5 KiB for one destination.
pub(crate) const SLICE: usize = 64;

/// The lots that are leased, each with the first place where it was passed over because of that.
pub(super) type Leased = HashMap<LotId, Option<DuePlace>>;

/// What is known of a destination's lots.
#[derive(Debug)]
pub(super) struct Lots {
    /// How many are leased.
    pub(super) leased: usize,
    /// Those that were due when they were read, the next one last.
    next: Vec<DuePlace>,
    /// From here on the index has yet to be read. What is before it is leased, rests, or is in
    /// `next`.
    from: DuePlace,
    /// What is there.
    beyond: Beyond,
    /// Lots given back without a word, and until when each rests.
    resting: Vec<(LotId, u64)>,
}

/// What is in the index from the place on where it has yet to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Beyond {
    /// The first lot is due at this time, or later.
    Due(u64),
    /// Nothing.
    Nothing,
    /// Nobody knows.
    Unread,
}

/// What a look at a destination gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sought {
    /// This lot is due.
    Due(DuePlace),
    /// The next one is due later.
    Later(u64),
    /// There is none but those that are leased.
    None,
}

impl Default for Lots {
    fn default() -> Self {
        Self {
            leased: 0,
            next: Vec::new(),
            from: DuePlace::first_at(0),
            beyond: Beyond::Unread,
            resting: Vec::new(),
        }
    }
}

impl Lots {
    /// A lot is due at `due` that may be new in the index.
    pub(super) fn note(&mut self, due: u64) {
        let place = DuePlace::first_at(due);
        if place < self.from {
            self.from = place;
            self.beyond = Beyond::Unread;
            return;
        }
        self.beyond = match self.beyond {
            Beyond::Due(first) => Beyond::Due(first.min(due)),
            Beyond::Nothing => Beyond::Due(due),
            Beyond::Unread => Beyond::Unread,
        };
    }

    /// A lot rests until `until`.
    pub(super) fn rest(&mut self, lot: LotId, until: u64) {
        self.resting.push((lot, until));
    }

    /// Whether a lot rests.
    pub(super) const fn has_rests(&self) -> bool {
        !self.resting.is_empty()
    }

    /// Ends every rest.
    pub(super) fn end_rests(&mut self) {
        self.resting.clear();
        self.read_again();
    }

    /// Whether nothing would be forgotten with it but what can be read again.
    pub(super) const fn is_idle(&self) -> bool {
        self.leased == 0 && self.resting.is_empty()
    }

    /// Forgets what was read.
    pub(super) fn read_again(&mut self) {
        self.next = Vec::new();
        self.from = DuePlace::first_at(0);
        self.beyond = Beyond::Unread;
    }

    /// Looks for a lot that may be leased at `now`. `scan` reads the index from a place on, at most
    /// [`SLICE`] lots.
    pub(super) fn look(
        &mut self,
        now: u64,
        leased: &mut Leased,
        mut scan: impl FnMut(DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Sought, EngineError> {
        self.wake(now);
        loop {
            while let Some(place) = self.next.pop() {
                if place.due > now {
                    // The clock was set back.
                    self.read_again();
                } else if self.may_be_leased(place, leased) {
                    return Ok(Sought::Due(place));
                }
            }
            match self.beyond {
                Beyond::Due(due) if due > now => return Ok(self.later(Some(due))),
                Beyond::Nothing => return Ok(self.later(None)),
                Beyond::Due(_) | Beyond::Unread => self.take(scan(self.from)?, now),
            }
        }
    }

    /// Ends the rests whose time has come.
    fn wake(&mut self, now: u64) {
        let before = self.resting.len();
        self.resting.retain(|(_, until)| *until > now);
        if self.resting.len() < before {
            self.read_again();
        }
    }

    /// Whether a lot neither is leased nor rests. One that is leased is sought again at its place
    /// when its lease ends.
    fn may_be_leased(&self, place: DuePlace, leased: &mut Leased) -> bool {
        if let Some(passed) = leased.get_mut(&place.lot) {
            *passed = Some(passed.map_or(place, |before| before.min(place)));
            return false;
        }
        !self.resting.iter().any(|(lot, _)| *lot == place.lot)
    }

    /// Takes what a scan has read: those that are due, and what comes behind them.
    fn take(&mut self, mut read: Vec<DuePlace>, now: u64) {
        let is_all = read.len() < SLICE;
        let later = read.iter().position(|place| place.due > now);
        let first_later = later.and_then(|later| read.get(later)).map(|place| place.due);
        self.beyond = match first_later {
            Some(due) => Beyond::Due(due),
            None if is_all => Beyond::Nothing,
            None => Beyond::Unread,
        };
        read.truncate(later.unwrap_or(read.len()));
        if let Some(last) = read.last() {
            self.from = last.next();
        }
        read.reverse();
        read.shrink_to_fit();
        self.next = read;
    }

    /// When the next lot is due, which may be one that rests.
    fn later(&self, due: Option<u64>) -> Sought {
        let rested = self.resting.iter().map(|(_, until)| *until).min();
        due.into_iter().chain(rested).min().map_or(Sought::None, Sought::Later)
    }
}
