//! Which lots are claimed, and which may be claimed next: of each destination that is asked for a
//! slice of the due index, held in memory.
//!
//! The slice is read by one scan and used until it is empty, so that a claim costs no look into the
//! index past all the lots that are claimed already. The index is the truth: a lot that is held,
//! moved or gone meanwhile is found out when its row is read, and passed over.

use std::collections::HashMap;

use store::{LotId, Next};

use crate::index::EngineError;
use crate::key::DuePlace;

/// How many lots one scan reads. A place takes 24 bytes and each lot is in one slice at most, so
/// all slices together take 24 MB for each million lots, and 1.5 KiB for one destination.
pub(crate) const SLICE: usize = 64;

/// The lots that are claimed, each with the first place where it was passed over because of that.
type Taken = HashMap<LotId, Option<DuePlace>>;

/// What is claimed, and what is known of the destinations that are asked for.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: Taken,
    destinations: HashMap<String, Lots>,
}

impl Claims {
    /// A lot of `destination` is due at `due` that may be new in the index.
    pub(crate) fn note(&mut self, destination: &str, due: u64) {
        if let Some(lots) = self.destinations.get_mut(destination) {
            lots.note(due);
        }
    }

    /// Claims a lot of `destination` that is due at `now`, if there is one. `scan` reads the index from
    /// a place on, at most [`SLICE`] lots.
    pub(crate) fn claim(
        &mut self,
        destination: &str,
        now: u64,
        scan: impl FnMut(DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Sought, EngineError> {
        if !self.destinations.contains_key(destination) {
            self.destinations.insert(destination.to_owned(), Lots::default());
        }
        let Some(lots) = self.destinations.get_mut(destination) else { return Ok(Sought::None) };
        let sought = lots.look(now, &mut self.taken, scan)?;
        match sought {
            Sought::Due(place) => {
                lots.taken = lots.taken.saturating_add(1);
                self.taken.insert(place.lot, None);
            }
            Sought::Later(_) | Sought::None if lots.is_idle() => {
                self.destinations.remove(destination);
            }
            Sought::Later(_) | Sought::None => {}
        }
        Ok(sought)
    }

    /// What there is at `destination` behind the lot that was claimed last, at `now`.
    pub(crate) fn next(&self, destination: &str, now: u64) -> Next {
        self.destinations.get(destination).map_or(Next::Maybe, |lots| lots.next(now))
    }

    /// A claim has ended; the lot rests until `rest` if it was not settled. When a lot is due again of
    /// which nobody else knows.
    pub(crate) fn release(
        &mut self,
        destination: &str,
        lot: LotId,
        rest: Option<u64>,
    ) -> Option<u64> {
        let passed = self.taken.remove(&lot)?.map(|place| place.due);
        let lots = self.destinations.get_mut(destination)?;
        lots.taken = lots.taken.saturating_sub(1);
        if let Some(until) = rest {
            lots.rest(lot, until);
        }
        let again = rest.into_iter().chain(passed).min();
        for due in rest.into_iter().chain(passed) {
            lots.note(due);
        }
        if lots.is_spent() {
            self.destinations.remove(destination);
        }
        again
    }

    /// Ends every rest of `destination`, or of all.
    pub(crate) fn end_rests(&mut self, destination: Option<&str>) {
        match destination {
            Some(name) => self.destinations.get_mut(name).into_iter().for_each(Lots::end_rests),
            None => self.destinations.values_mut().for_each(Lots::end_rests),
        }
    }

    /// Forgets everything but what is claimed: the index is read anew.
    pub(crate) fn start_again(&mut self) {
        self.destinations.retain(|_, lots| {
            lots.read_again();
            lots.taken > 0
        });
    }
}

/// What is known of a destination's lots.
#[derive(Debug)]
struct Lots {
    /// How many are claimed.
    taken: usize,
    /// Those that were due when they were read, the next one last.
    next: Vec<DuePlace>,
    /// From here on the index has yet to be read. What is before it is claimed, rests, or is in
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
pub(crate) enum Sought {
    /// This lot is due.
    Due(DuePlace),
    /// The next one is due later.
    Later(u64),
    /// There is none but those that are claimed.
    None,
}

impl Sought {
    /// The same for whoever asked, where there is no lot.
    pub(crate) const fn next(self) -> Next {
        match self {
            Self::Due(_) => Next::Maybe,
            Self::Later(due) => Next::Later(due),
            Self::None => Next::Nothing,
        }
    }
}

impl Default for Lots {
    fn default() -> Self {
        Self {
            taken: 0,
            next: Vec::new(),
            from: DuePlace::first_at(0),
            beyond: Beyond::Unread,
            resting: Vec::new(),
        }
    }
}

impl Lots {
    /// A lot is due at `due` that may be new in the index.
    fn note(&mut self, due: u64) {
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
    fn rest(&mut self, lot: LotId, until: u64) {
        self.resting.push((lot, until));
    }

    /// Ends every rest.
    fn end_rests(&mut self) {
        if !self.resting.is_empty() {
            self.resting.clear();
            self.read_again();
        }
    }

    /// Whether nothing would be forgotten with it but what can be read again.
    const fn is_idle(&self) -> bool {
        self.taken == 0 && self.resting.is_empty()
    }

    /// Whether it is not worth its memory: whoever asks next has to read again anyhow, or asks only
    /// later.
    fn is_spent(&self) -> bool {
        self.is_idle() && self.next.is_empty() && self.beyond != Beyond::Nothing
    }

    /// What there is behind the lot that was found last, at `now`.
    fn next(&self, now: u64) -> Next {
        let sought = match self.beyond {
            Beyond::Due(due) if self.next.is_empty() && due > now => self.later(Some(due)),
            Beyond::Nothing if self.next.is_empty() => self.later(None),
            Beyond::Due(_) | Beyond::Nothing | Beyond::Unread => return Next::Maybe,
        };
        sought.next()
    }

    /// Forgets what was read.
    fn read_again(&mut self) {
        self.next = Vec::new();
        self.from = DuePlace::first_at(0);
        self.beyond = Beyond::Unread;
    }

    /// Looks for a lot that may be claimed at `now`. `scan` reads the index from a place on, at most
    /// [`SLICE`] lots.
    fn look(
        &mut self,
        now: u64,
        taken: &mut Taken,
        mut scan: impl FnMut(DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Sought, EngineError> {
        self.wake(now);
        loop {
            while let Some(place) = self.next.pop() {
                if place.due > now {
                    // The clock was set back.
                    self.read_again();
                } else if self.may_be_claimed(place, taken) {
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

    /// Whether a lot neither is claimed nor rests. One that is claimed is sought again at its place
    /// when its claim ends.
    fn may_be_claimed(&self, place: DuePlace, taken: &mut Taken) -> bool {
        if let Some(passed) = taken.get_mut(&place.lot) {
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

#[cfg(test)]
mod tests;
