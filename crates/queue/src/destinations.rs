//! Whose turn it is: a fair rotation between destinations, in memory.
//!
//! One entry per destination, never one per message: its lots are found by seeking in the due
//! index. A destination that may have a lot due stands in a line; whoever has been served goes to
//! its end. So a dead domain with a million messages takes one turn among the others.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::index::EngineError;
use crate::key::{DueEntry, LotId};

/// All destinations that have lots.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    entries: HashMap<Arc<str>, Entry>,
    /// Those that may have a lot due, in the order of their turns.
    line: VecDeque<Arc<str>>,
    /// Those whose next lot is due later.
    waiting: BTreeSet<(u64, Arc<str>)>,
    /// The lots that are leased.
    leased: HashSet<LotId>,
    /// How often an operator has asked for mail to be tried at once.
    wishes: u64,
}

/// One destination.
#[derive(Debug)]
struct Entry {
    place: Place,
    /// How many of its lots are leased.
    leased: usize,
    /// Lots given back without a word, and until when each rests.
    resting: Vec<(LotId, u64)>,
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

/// What a look into the due index gave.
#[derive(Debug)]
enum Sought {
    /// This lot is due.
    Due(DueEntry),
    /// The next one is due later.
    Later(u64),
    /// There is none but those that are leased.
    None,
}

impl Destinations {
    /// A lot of `destination` is due at `due`.
    pub(crate) fn note(&mut self, destination: &str, due: u64) {
        let (name, entry) = self.entry(destination);
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
    /// `seek` gives the first entry of a destination after a given one, or the first of all.
    pub(crate) fn pick(
        &mut self,
        now: u64,
        most: impl Fn(&str) -> usize,
        mut seek: impl FnMut(&str, Option<&DueEntry>) -> Result<Option<DueEntry>, EngineError>,
    ) -> Result<Option<DueEntry>, EngineError> {
        self.wake(now);
        for _ in 0..self.line.len() {
            let Some(name) = self.line.front().cloned() else { return Ok(None) };
            let most = most(&name).max(1);
            let sought = self.look(&name, now, most, &mut seek)?;
            self.line.pop_front();
            match sought {
                Sought::Due(due) => {
                    self.line.push_back(Arc::clone(&name));
                    self.lease(&name, due.lot);
                    return Ok(Some(due));
                }
                Sought::Later(due) => self.wait(&name, due),
                Sought::None => self.set_aside(&name, most),
            }
        }
        Ok(None)
    }

    /// A lease of `destination` has ended; the lot rests until `rest` if it was not settled.
    pub(crate) fn give_back(&mut self, destination: &str, lot: LotId, rest: Option<u64>) {
        if !self.leased.remove(&lot) {
            return;
        }
        let (name, entry) = self.entry(destination);
        entry.leased = entry.leased.saturating_sub(1);
        if let Some(until) = rest {
            entry.resting.push((lot, until));
        }
        match entry.place {
            Place::Full | Place::Idle => {
                entry.place = Place::InLine;
                self.line.push_back(name);
            }
            Place::InLine => {}
            Place::Waiting(_) => {
                if let Some(until) = rest {
                    self.note(destination, until);
                }
            }
        }
    }

    /// Lets `destination`, or all of them, be leased at once: an operator asked for it.
    pub(crate) fn wake_up(&mut self, destination: Option<&str>) {
        self.wishes = self.wishes.wrapping_add(1);
        let chosen: Vec<Arc<str>> = match destination {
            Some(name) => {
                self.entries.get_key_value(name).map(|(n, _)| Arc::clone(n)).into_iter().collect()
            }
            None => self.entries.keys().cloned().collect(),
        };
        for name in chosen {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            entry.resting.clear();
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
            entry.leased > 0
        });
    }

    /// Looks for a lot of `name` that may be leased.
    fn look(
        &mut self,
        name: &Arc<str>,
        now: u64,
        most: usize,
        seek: &mut impl FnMut(&str, Option<&DueEntry>) -> Result<Option<DueEntry>, EngineError>,
    ) -> Result<Sought, EngineError> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(Sought::None) };
        if entry.leased >= most {
            return Ok(Sought::None);
        }
        entry.resting.retain(|(_, until)| *until > now);
        let mut after: Option<DueEntry> = None;
        while let Some(found) = seek(name, after.as_ref())? {
            let rests = entry.resting.iter().any(|(lot, _)| *lot == found.lot);
            if !rests && !self.leased.contains(&found.lot) {
                return Ok(sought(found, now, &entry.resting));
            }
            after = Some(found);
        }
        let first_rested = entry.resting.iter().map(|(_, until)| *until).min();
        Ok(first_rested.map_or(Sought::None, Sought::Later))
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
            self.waiting.insert((due, Arc::clone(name)));
        }
    }

    /// Takes a destination out of the line that has nothing to give now.
    fn set_aside(&mut self, name: &Arc<str>, most: usize) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if entry.leased == 0 {
            self.entries.remove(name);
        } else if entry.leased >= most {
            entry.place = Place::Full;
        } else {
            entry.place = Place::Idle;
        }
    }

    /// Marks a lot as leased.
    fn lease(&mut self, name: &Arc<str>, lot: LotId) {
        self.leased.insert(lot);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.leased = entry.leased.saturating_add(1);
        }
    }

    /// The entry of `destination`, made when there is none.
    fn entry(&mut self, destination: &str) -> (Arc<str>, &mut Entry) {
        let name = self
            .entries
            .get_key_value(destination)
            .map_or_else(|| Arc::from(destination), |(name, _)| Arc::clone(name));
        let entry = self.entries.entry(Arc::clone(&name)).or_insert(Entry {
            place: Place::Idle,
            leased: 0,
            resting: Vec::new(),
        });
        (name, entry)
    }
}

/// What the first lot that is neither leased nor resting means.
fn sought(found: DueEntry, now: u64, resting: &[(LotId, u64)]) -> Sought {
    if found.due <= now {
        return Sought::Due(found);
    }
    let first_rested = resting.iter().map(|(_, until)| *until).min().unwrap_or(u64::MAX);
    Sought::Later(found.due.min(first_rested))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;

    /// A due index as a sorted list.
    #[derive(Default)]
    struct Due(BTreeSet<(String, u64, LotId)>);

    impl Due {
        fn add(&mut self, table: &mut Destinations, name: &str, due: u64, id: u64) {
            let lot = LotId { id: QueueId::from_number(id), lot: 0 };
            self.0.insert((name.to_owned(), due, lot));
            table.note(name, due);
        }

        fn settle(&mut self, table: &mut Destinations, entry: &DueEntry) {
            self.0.remove(&(entry.destination.clone(), entry.due, entry.lot));
            table.give_back(&entry.destination, entry.lot, None);
        }

        fn pick(&self, table: &mut Destinations, now: u64, most: usize) -> Option<DueEntry> {
            let picked = table.pick(
                now,
                |_| most,
                |name, after| {
                    let after = after.map(|a| (a.due, a.lot));
                    let found = self.0.iter().find(|(n, due, lot)| {
                        n == name && after.is_none_or(|after| (*due, *lot) > after)
                    });
                    Ok(found.map(|(n, due, lot)| DueEntry {
                        destination: n.clone(),
                        due: *due,
                        lot: *lot,
                    }))
                },
            );
            picked.unwrap()
        }
    }

    #[test]
    fn destinations_take_turns_however_many_lots_each_has() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        for id in 0..1_000 {
            due.add(&mut table, "dead.example", 0, id);
        }
        due.add(&mut table, "a.example", 0, 2_000);
        due.add(&mut table, "b.example", 0, 2_001);
        let first: Vec<_> =
            (0..3).map(|_| due.pick(&mut table, 0, 9).unwrap().destination).collect();
        assert_eq!(BTreeSet::from_iter(first).len(), 3);
    }

    #[test]
    fn no_more_lots_of_a_destination_are_out_than_allowed() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        for id in 0..5 {
            due.add(&mut table, "a.example", 0, id);
        }
        let first = due.pick(&mut table, 0, 2).unwrap();
        assert!(due.pick(&mut table, 0, 2).is_some());
        assert_eq!(due.pick(&mut table, 0, 2), None);
        assert!(!table.is_ready(0), "a full destination does not keep a worker awake");
        due.settle(&mut table, &first);
        assert!(table.is_ready(0));
        assert!(due.pick(&mut table, 0, 2).is_some());
    }

    #[test]
    fn a_lot_is_leased_when_it_is_due_and_not_before() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        due.add(&mut table, "a.example", 10, 1);
        assert_eq!(due.pick(&mut table, 9, 1), None);
        assert_eq!(table.next_due(), Some(10));
        due.add(&mut table, "a.example", 5, 2);
        assert_eq!(due.pick(&mut table, 9, 1).unwrap().due, 5);
    }

    #[test]
    fn a_lot_given_back_rests_and_the_others_go_on() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        due.add(&mut table, "a.example", 0, 1);
        due.add(&mut table, "a.example", 0, 2);
        let first = due.pick(&mut table, 0, 1).unwrap();
        table.give_back(&first.destination, first.lot, Some(30));
        let second = due.pick(&mut table, 0, 1).unwrap();
        assert_ne!(first.lot, second.lot);
        due.settle(&mut table, &second);
        assert_eq!(due.pick(&mut table, 29, 1), None);
        assert_eq!(due.pick(&mut table, 30, 1).unwrap().lot, first.lot);
    }

    #[test]
    fn an_operator_ends_every_rest() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        due.add(&mut table, "a.example", 0, 1);
        let only = due.pick(&mut table, 0, 1).unwrap();
        table.give_back(&only.destination, only.lot, Some(50));
        assert_eq!(due.pick(&mut table, 1, 1), None);
        table.wake_up(None);
        assert!(due.pick(&mut table, 1, 1).is_some());
    }

    #[test]
    fn a_destination_without_lots_is_forgotten() {
        let (mut table, mut due) = (Destinations::default(), Due::default());
        due.add(&mut table, "a.example", 0, 1);
        let only = due.pick(&mut table, 0, 1).unwrap();
        due.settle(&mut table, &only);
        assert_eq!(due.pick(&mut table, 0, 1), None);
        assert!(table.entries.is_empty() && table.line.is_empty() && table.waiting.is_empty());
    }
}
