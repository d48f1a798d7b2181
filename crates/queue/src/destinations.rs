//! Whose turn it is: a fair rotation between destinations, in memory.
//!
//! One entry per destination, and for one that has its turn a short slice of its due lots, never
//! all of them. A destination that may have a lot due stands in a line; whoever has been served
//! goes to its end. So a dead domain with a million messages takes one turn among the others.
//! There is a line for each standing, and they take turns too: a destination that answers waits
//! for others that do, and not for a thousand that fail.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use mail::Outcome;
use store::LotId;

use crate::index::EngineError;
use crate::key::DuePlace;
use crate::standing::{Attempts, Standing};

mod lots;

pub(crate) use self::lots::SLICE;
use self::lots::{Leased, Lots, Sought};

/// How many destinations are remembered that have answered and have no lots left.
const REMEMBERED: usize = 10_000;

/// All destinations that have lots.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    entries: HashMap<Arc<str>, Entry>,
    /// Those that may have a lot due, by their standing and then in the order of their turns.
    lines: BTreeMap<(Standing, u64), Arc<str>>,
    /// The last place in a line that was given.
    last_place: u64,
    /// Whose turn it is.
    turn: Standing,
    /// Those whose next lot is due later.
    waiting: BTreeSet<(u64, Arc<str>)>,
    leased: Leased,
    /// Those of them whose attempt has ended: they keep no other lot of their destination waiting.
    parked: HashSet<LotId>,
    /// Those without lots that answered when they had some.
    answered: HashSet<Arc<str>>,
    /// How often an operator has asked for mail to be tried at once.
    wishes: u64,
}

/// One destination. There may be a million of them, so most of it is elsewhere, and only while it
/// is needed.
#[derive(Debug)]
struct Entry {
    place: Place,
    attempts: Attempts,
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
    /// In the line of its standing, at this place.
    InLine(u64),
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
    /// How its destination stood.
    pub(crate) standing: Standing,
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
            Place::Full | Place::InLine(_) | Place::Waiting(_) => {}
        }
    }

    /// Whether a lease is worth asking for at `now`, of destinations that stand no worse than `worst`.
    pub(crate) fn is_ready(&self, now: u64, worst: Standing) -> bool {
        let first = self.lines.first_key_value();
        first.is_some_and(|((standing, _), _)| *standing <= worst)
            || self.next_due().is_some_and(|due| due <= now)
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

    /// Picks a lot that is due at `now` from the destination whose turn it is of those that stand no
    /// worse than `worst`, and leases it, unless `most` of that destination are leased already.
    ///
    /// `scan` reads the first lots of a destination from a place on, [`SLICE`] of them or all.
    pub(crate) fn pick(
        &mut self,
        now: u64,
        worst: Standing,
        most: impl Fn(&str) -> usize,
        mut scan: impl FnMut(&str, DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Option<Picked>, EngineError> {
        self.wake(now);
        for standing in self.turn.turns().into_iter().filter(|standing| *standing <= worst) {
            if let Some(picked) = self.pick_of(standing, now, &most, &mut scan)? {
                self.turn = standing.next();
                return Ok(Some(picked));
            }
        }
        Ok(None)
    }

    /// Picks from the line of one standing.
    fn pick_of(
        &mut self,
        standing: Standing,
        now: u64,
        most: &impl Fn(&str) -> usize,
        scan: &mut impl FnMut(&str, DuePlace) -> Result<Vec<DuePlace>, EngineError>,
    ) -> Result<Option<Picked>, EngineError> {
        let line = (standing, 0)..=(standing, u64::MAX);
        while let Some((place, name)) = self.lines.range(line.clone()).next() {
            let (place, name) = (*place, Arc::clone(name));
            let most = most(&name).max(1);
            let sought = self.look(&name, now, most, scan)?;
            self.lines.remove(&place);
            match sought {
                Sought::Due(DuePlace { due, lot }) => {
                    self.lease(&name, lot);
                    self.line_up(&name);
                    return Ok(Some(Picked { destination: name, due, lot, standing }));
                }
                Sought::Later(due) => self.wait(&name, due),
                Sought::None => self.set_aside(&name, most),
            }
        }
        Ok(None)
    }

    /// An attempt for `destination` has ended like this.
    pub(crate) fn attempted(&mut self, destination: &str, outcomes: &[Outcome]) {
        self.learn(destination, |attempts| attempts.after(outcomes));
    }

    /// An attempt for `destination` hears nothing.
    pub(crate) fn stalls(&mut self, destination: &str) {
        self.learn(destination, |_| Attempts::STALLED);
    }

    /// Learns of an attempt for `destination`, which may have to stand in another line now.
    fn learn(&mut self, destination: &str, learn: impl FnOnce(Attempts) -> Attempts) {
        let Some((name, _)) = self.entries.get_key_value(destination) else { return };
        let name = Arc::clone(name);
        let Some(entry) = self.entries.get_mut(destination) else { return };
        let before = entry.attempts.standing;
        entry.attempts = learn(entry.attempts);
        if let Place::InLine(place) = entry.place
            && before != entry.attempts.standing
        {
            self.lines.remove(&(before, place));
            self.line_up(&name);
        }
    }

    /// A lease of `destination` has ended; the lot rests until `rest` if it was not settled.
    pub(crate) fn give_back(&mut self, destination: &str, lot: LotId, rest: Option<u64>) {
        let Some(passed) = self.leased.remove(&lot) else { return };
        let counted = usize::from(!self.parked.remove(&lot));
        let (name, entry) = self.entry(destination);
        if let Some(lots) = &mut entry.lots {
            lots.leased = lots.leased.saturating_sub(counted);
            if let Some(until) = rest {
                lots.rest(lot, until);
            }
        }
        match entry.place {
            Place::Full | Place::Idle => self.line_up(&name),
            Place::InLine(_) => {}
            Place::Waiting(_) => drop(entry.lots.take_if(|lots| lots.is_idle())),
        }
        for due in rest.into_iter().chain(passed.map(|place| place.due)) {
            self.note(destination, due);
        }
    }

    /// The attempt for a leased lot of `destination` has ended, and its settlement is still to come:
    /// it no longer counts among those that are leased of that destination.
    pub(crate) fn park(&mut self, destination: &str, lot: LotId) {
        if !self.leased.contains_key(&lot) || !self.parked.insert(lot) {
            return;
        }
        let (name, entry) = self.entry(destination);
        if let Some(lots) = &mut entry.lots {
            lots.leased = lots.leased.saturating_sub(1);
        }
        match entry.place {
            Place::Full | Place::Idle => self.line_up(&name),
            Place::InLine(_) | Place::Waiting(_) => {}
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
                self.waiting.remove(&(until, Arc::clone(&name)));
                self.line_up(&name);
            }
        }
    }

    /// Forgets everything but what is leased: the index is read anew.
    pub(crate) fn start_again(&mut self) {
        self.lines.clear();
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
            self.line_up(&name);
        }
    }

    /// Puts a destination at the end of the line of its standing.
    fn line_up(&mut self, name: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        self.last_place = self.last_place.saturating_add(1);
        entry.place = Place::InLine(self.last_place);
        self.lines.insert((entry.attempts.standing, self.last_place), Arc::clone(name));
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
            0 => self.forget(name),
            leased if leased >= most => entry.place = Place::Full,
            _ => entry.place = Place::Idle,
        }
    }

    /// Forgets a destination that has no lots, but not that it has answered.
    fn forget(&mut self, name: &str) {
        let Some((name, entry)) = self.entries.remove_entry(name) else { return };
        if entry.attempts.standing != Standing::Answering {
            return;
        }
        if self.answered.len() >= REMEMBERED {
            self.answered.clear();
        }
        self.answered.insert(name);
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
        let known = self.entries.get_key_value(destination).map(|(name, _)| Arc::clone(name));
        let (name, attempts) = match known {
            Some(name) => (name, Attempts::default()),
            None => match self.answered.take(destination) {
                Some(name) => (name, Attempts::ANSWERING),
                None => (Arc::from(destination), Attempts::default()),
            },
        };
        let new = Entry { place: Place::Idle, attempts, lots: None };
        let entry = self.entries.entry(Arc::clone(&name)).or_insert(new);
        (name, entry)
    }
}

#[cfg(test)]
mod tests;
