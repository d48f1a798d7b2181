//! Which entries are claimed, and which may be claimed next: of each destination that is asked for a
//! slice of the due index, held in memory.
//!
//! The slice is read by one scan and used until it is empty, so that a claim costs no look into the
//! index past all the entries that are claimed already. The index is the truth: an entry that is held,
//! moved or gone meanwhile is found out when its row is read, and passed over.

use std::collections::HashMap;

use store::{EntryId, Next};

use crate::index::EngineError;
use crate::key::DuePosition;

/// How many entries one scan reads. A place takes 24 bytes and each entry is in one slice at most, so
/// all slices together take 24 MB for each million entries, and 1.5 KiB for one destination.
pub(crate) const SLICE: usize = 64;

/// The entries that are claimed, each with the first place where it was passed over because of that.
type Taken = HashMap<EntryId, Option<DuePosition>>;

/// What is claimed, and what is known of the destinations that are asked for.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: Taken,
    destinations: HashMap<String, EntriesAt>,
}

impl Claims {
    /// An entry of `destination` is due at `due` that may be new in the index.
    pub(crate) fn note(&mut self, destination: &str, due: u64) {
        if let Some(entries) = self.destinations.get_mut(destination) {
            entries.note(due);
        }
    }

    /// Claims an entry of `destination` that is due at `now`, if there is one. `scan` reads the index from
    /// a place on, at most [`SLICE`] entries.
    pub(crate) fn claim(
        &mut self,
        destination: &str,
        now: u64,
        scan: impl FnMut(DuePosition) -> Result<Vec<DuePosition>, EngineError>,
    ) -> Result<Sought, EngineError> {
        if !self.destinations.contains_key(destination) {
            self.destinations.insert(destination.to_owned(), EntriesAt::default());
        }
        let Some(entries) = self.destinations.get_mut(destination) else { return Ok(Sought::None) };
        let sought = entries.look(now, &mut self.taken, scan)?;
        match sought {
            Sought::Due(place) => {
                entries.taken = entries.taken.saturating_add(1);
                self.taken.insert(place.entry, None);
            }
            Sought::Later(_) | Sought::None if entries.is_idle() => {
                self.destinations.remove(destination);
            }
            Sought::Later(_) | Sought::None => {}
        }
        Ok(sought)
    }

    /// What there is at `destination` behind the entry that was claimed last, at `now`.
    pub(crate) fn next(&self, destination: &str, now: u64) -> Next {
        self.destinations.get(destination).map_or(Next::Maybe, |entries| entries.next(now))
    }

    /// A claim has ended; the entry rests until `rest` if it was not settled. When an entry is due again of
    /// which nobody else knows.
    pub(crate) fn release(
        &mut self,
        destination: &str,
        entry: EntryId,
        rest: Option<u64>,
    ) -> Option<u64> {
        let passed = self.taken.remove(&entry)?.map(|place| place.due);
        let entries = self.destinations.get_mut(destination)?;
        entries.taken = entries.taken.saturating_sub(1);
        if let Some(until) = rest {
            entries.rest(entry, until);
        }
        let again = rest.into_iter().chain(passed).min();
        for due in rest.into_iter().chain(passed) {
            entries.note(due);
        }
        if entries.is_spent() {
            self.destinations.remove(destination);
        }
        again
    }

    /// Ends every rest of `destination`, or of all.
    pub(crate) fn end_rests(&mut self, destination: Option<&str>) {
        match destination {
            Some(name) => {
                self.destinations.get_mut(name).into_iter().for_each(EntriesAt::end_rests);
            }
            None => self.destinations.values_mut().for_each(EntriesAt::end_rests),
        }
    }

    /// Forgets everything but what is claimed: the index is read again.
    pub(crate) fn start_again(&mut self) {
        self.destinations.retain(|_, entries| {
            entries.read_again();
            entries.taken > 0
        });
    }
}

/// What is known of a destination's entries.
#[derive(Debug)]
struct EntriesAt {
    /// How many are claimed.
    taken: usize,
    /// Those that were due when they were read, the next one last.
    next: Vec<DuePosition>,
    /// From here on the index has yet to be read. What is before it is claimed, rests, or is in
    /// `next`.
    from: DuePosition,
    /// What is there.
    beyond: Beyond,
    /// Entries given back without a word, and until when each rests.
    resting: Vec<(EntryId, u64)>,
}

/// What is in the index from the place on where it has yet to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Beyond {
    /// The first entry is due at this time, or later.
    Due(u64),
    /// Nothing.
    Nothing,
    /// Nobody knows.
    Unread,
}

/// What a look at a destination gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sought {
    /// This entry is due.
    Due(DuePosition),
    /// The next one is due later.
    Later(u64),
    /// There is none but those that are claimed.
    None,
}

impl Sought {
    /// The same for whoever asked, where there is no entry.
    pub(crate) const fn next(self) -> Next {
        match self {
            Self::Due(_) => Next::Maybe,
            Self::Later(due) => Next::Later(due),
            Self::None => Next::Nothing,
        }
    }
}

impl Default for EntriesAt {
    fn default() -> Self {
        Self {
            taken: 0,
            next: Vec::new(),
            from: DuePosition::first_at(0),
            beyond: Beyond::Unread,
            resting: Vec::new(),
        }
    }
}

impl EntriesAt {
    /// An entry is due at `due` that may be new in the index.
    fn note(&mut self, due: u64) {
        let place = DuePosition::first_at(due);
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

    /// An entry rests until `until`.
    fn rest(&mut self, entry: EntryId, until: u64) {
        self.resting.push((entry, until));
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

    /// What there is behind the entry that was found last, at `now`.
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
        self.from = DuePosition::first_at(0);
        self.beyond = Beyond::Unread;
    }

    /// Looks for an entry that may be claimed at `now`. `scan` reads the index from a place on, at most
    /// [`SLICE`] entries.
    fn look(
        &mut self,
        now: u64,
        taken: &mut Taken,
        mut scan: impl FnMut(DuePosition) -> Result<Vec<DuePosition>, EngineError>,
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

    /// Whether an entry neither is claimed nor rests. One that is claimed is sought again at its place
    /// when its claim ends.
    fn may_be_claimed(&self, place: DuePosition, taken: &mut Taken) -> bool {
        if let Some(passed) = taken.get_mut(&place.entry) {
            *passed = Some(passed.map_or(place, |before| before.min(place)));
            return false;
        }
        !self.resting.iter().any(|(entry, _)| *entry == place.entry)
    }

    /// Takes what a scan has read: those that are due, and what comes behind them.
    fn take(&mut self, mut read: Vec<DuePosition>, now: u64) {
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

    /// When the next entry is due, which may be one that rests.
    fn later(&self, due: Option<u64>) -> Sought {
        let rested = self.resting.iter().map(|(_, until)| *until).min();
        due.into_iter().chain(rested).min().map_or(Sought::None, Sought::Later)
    }
}

#[cfg(test)]
mod tests;
