//! Whose turn it is: a fair rotation between destinations, in memory.
//!
//! One entry per destination, and for one that has its turn a short slice of its due lots, never
//! all of them. A destination that may have a lot due stands in a line; whoever has been served
//! goes to its end. So a dead domain with a million messages takes one turn among the others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::index::EngineError;
use crate::key::{DuePlace, LotId};

mod lots;

pub(crate) use self::lots::SLICE;
use self::lots::{Leased, Lots, Sought};

/// All destinations that have lots.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    entries: HashMap<Arc<str>, Entry>,
    /// Those that may have a lot due, in the order of their turns.
    line: VecDeque<Arc<str>>,
    /// Those whose next lot is due later.
    waiting: BTreeSet<(u64, Arc<str>)>,
    leased: Leased,
    /// How often an operator has asked for mail to be tried at once.
    wishes: u64,
}

/// One destination. There may be a million of them, so most of it is elsewhere, and only while it
/// is needed.
#[derive(Debug)]
struct Entry {
    place: Place,
    /// What is known of its lots; nothing while none of them is leased or due.
    lots: Option<Box<Lots>>,
}

/// Where a destination stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// As many lots as it may have are leased; one that comes back puts it in line again.
    Full,
    /// Nothing of it is left but what is leased.
    Idle,
    /// In line.
    InLine,
    /// Waiting for a time.
    Waiting(u64),
}

/// A lot that was picked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Picked {
    /// Its destination.
    pub(crate) destination: Arc<str>,
    /// When it was due, in milliseconds since 1970.
    pub(crate) due: u64,
    /// The lot.
    pub(crate) lot: LotId,
}

impl Destinations {
    /// A lot of `destination` is due at `due`.
    pub(crate) fn note(&mut self, destination: &str, due: u64) {
        let (name, entry) = self.entry(destination);
        if let Some(lots) = &mut entry.lots {
            lots.note(due);
        }
        match entry.place {
            Place::Idle => self.wait(&name, due),
            Place::Waiting(until) if due < until => {
                self.waiting.remove(&(until, Arc::clone(&name)));
                self.wait(&name, due);
            }
            Place::Full | Place::InLine | Place::Waiting(_) => {}
        }
    }

    /// Whether a lease is worth asking for at `now`.
    pub(crate) fn is_ready(&self, now: u64) -> bool {
        !self.line.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next waiting destination's time comes.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// How many lots are leased.
    pub(crate) fn leased(&self) -> usize {
        self.leased.len()
    }

    /// How often an operator has asked for mail to be tried at once.
    pub(crate) const fn wishes(&self) -> u64 {
        self.wishes
    }

    /// Picks a lot that is due at `now` from the destination whose turn it is, and leases it, unless
    /// `most` of that destination are leased already.
    ///
    /// `scan` reads the first lots of a destination from a place on, [`SLICE`] of them or all.
    pub(crate) fn pick(
        &mut self,
        now: u64,
        most: impl Fn(&str) -> usize,
        mut scan: impl FnMut(&str, DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Option<Picked>, EngineError> {
        self.wake(now);
        while let Some(name) = self.line.front().cloned() {
            let most = most(&name).max(1);
            let sought = self.look(&name, now, most, &mut scan)?;
            self.line.pop_front();
            match sought {
                Sought::Due(DuePlace { due, lot }) => {
                    self.lease(&name, lot);
                    self.line.push_back(Arc::clone(&name));
                    return Ok(Some(Picked { destination: name, due, lot }));
                }
                Sought::Later(due) => self.wait(&name, due),
                Sought::None => self.set_aside(&name, most),
            }
        }
        Ok(None)
    }

    /// A lease of `destination` has ended; the lot rests until `rest` if it was not settled.
    pub(crate) fn give_back(&mut self, destination: &str, lot: LotId, rest: Option<u64>) {
        let Some(passed) = self.leased.remove(&lot) else { return };
        let (name, entry) = self.entry(destination);
        if let Some(lots) = &mut entry.lots {
            lots.leased = lots.leased.saturating_sub(1);
            if let Some(until) = rest {
                lots.rest(lot, until);
            }
        }
        match entry.place {
            Place::Full | Place::Idle => {
                entry.place = Place::InLine;
                self.line.push_back(name);
            }
            Place::InLine => {}
            Place::Waiting(_) => drop(entry.lots.take_if(|lots| lots.is_idle())),
        }
        for due in rest.into_iter().chain(passed.map(|place| place.due)) {
            self.note(destination, due);
        }
    }

    /// Lets the lots of `destination`, or of all of them, be leased at once that rest: an operator
    /// asked for it.
    pub(crate) fn wake_up(&mut self, destination: Option<&str>) {
        self.wishes = self.wishes.wrapping_add(1);
        let at_rest = |(name, entry): (&Arc<str>, &Entry)| {
            let rests = entry.lots.as_ref().is_some_and(|lots| lots.has_rests());
            rests.then(|| Arc::clone(name))
        };
        let chosen: Vec<Arc<str>> = match destination {
            Some(name) => self.entries.get_key_value(name).and_then(at_rest).into_iter().collect(),
            None => self.entries.iter().filter_map(at_rest).collect(),
        };
        for name in chosen {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            if let Some(lots) = &mut entry.lots {
                lots.end_rests();
            }
            if let Place::Waiting(until) = entry.place {
                entry.place = Place::InLine;
                self.waiting.remove(&(until, Arc::clone(&name)));
                self.line.push_back(name);
            }
        }
    }

    /// Forgets everything but what is leased: the index is read anew.
    pub(crate) fn start_again(&mut self) {
        self.line.clear();
        self.waiting.clear();
        self.entries.retain(|_, entry| {
            entry.place = Place::Idle;
            entry.lots.as_mut().is_some_and(|lots| {
                lots.read_again();
                lots.leased > 0
            })
        });
    }

    /// Looks for a lot of `name` that may be leased.
    fn look(
        &mut self,
        name: &str,
        now: u64,
        most: usize,
        scan: &mut impl FnMut(&str, DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Sought, EngineError> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(Sought::None) };
        let lots = entry.lots.get_or_insert_default();
        if lots.leased >= most {
            return Ok(Sought::None);
        }
        lots.look(now, &mut self.leased, |from| scan(name, from))
    }

    /// Puts every destination in line whose time has come.
    fn wake(&mut self, now: u64) {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, name)) = self.waiting.pop_first() else { return };
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.place = Place::InLine;
                self.line.push_back(name);
            }
        }
    }

    /// Lets a destination wait until `due`.
    fn wait(&mut self, name: &Arc<str>, due: u64) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.place = Place::Waiting(due);
            drop(entry.lots.take_if(|lots| lots.is_idle()));
            self.waiting.insert((due, Arc::clone(name)));
        }
    }

    /// Takes a destination out of the line that has nothing to give now.
    fn set_aside(&mut self, name: &str, most: usize) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match entry.lots.as_ref().map_or(0, |lots| lots.leased) {
            0 => drop(self.entries.remove(name)),
            leased if leased >= most => entry.place = Place::Full,
            _ => entry.place = Place::Idle,
        }
    }

    /// Marks a lot as leased.
    fn lease(&mut self, name: &str, lot: LotId) {
        self.leased.insert(lot, None);
        if let Some(lots) = self.entries.get_mut(name).and_then(|entry| entry.lots.as_mut()) {
            lots.leased = lots.leased.saturating_add(1);
        }
    }

    /// The entry of `destination`, made when there is none.
    fn entry(&mut self, destination: &str) -> (Arc<str>, &mut Entry) {
        let name = self
            .entries
            .get_key_value(destination)
            .map_or_else(|| Arc::from(destination), |(name, _)| Arc::clone(name));
        let entry = self
            .entries
            .entry(Arc::clone(&name))
            .or_insert(Entry { place: Place::Idle, lots: None });
        (name, entry)
    }
}

#[cfg(test)]
mod tests;
