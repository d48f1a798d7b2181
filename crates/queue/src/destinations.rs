//! Whose turn it is: a fair rotation between destinations, in memory.
//!
//! One row per destination, never its entries: those are the store's. A destination that may have an
//! entry due stands in a line; whoever has been served goes to its end. So a dead domain with a million messages takes one turn among the others.
//! There is a line for each health, and they take turns too: a destination that answers waits
//! for others that do, and not for a thousand that fail.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use mail::Outcome;
use store::{EntryId, Next};

use crate::destination_health::{Attempts, DestinationHealth};
use crate::paced_lines::{LinePlace, PacedLine, PacedLines, Side};

/// How many destinations are remembered that have answered and have no entries left.
const REMEMBERED: usize = 10_000;

/// All destinations that have entries.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    rows: HashMap<Arc<str>, Row>,
    /// Those that may have an entry due, by their health and then in the order of their turns.
    lines: BTreeMap<(DestinationHealth, u64), Arc<str>>,
    /// The last place in a line that was given.
    last_place: u64,
    /// Whose turn it is.
    turn: DestinationHealth,
    /// Those whose next entry is due later.
    waiting: BTreeSet<(u64, Arc<str>)>,
    /// Those that wait for a limit they share with others.
    paced: PacedLines,
    leased: HashSet<EntryId>,
    /// Those of them whose attempt has ended: they keep no other entry of their destination waiting.
    parked: HashSet<EntryId>,
    /// Those without entries that answered when they had some.
    answered: HashSet<Arc<str>>,
    /// How often an operator has asked for mail to be tried at once.
    retry_epoch: u64,
}

/// One destination. There may be a million of them.
#[derive(Debug)]
struct Row {
    place: QueuePosition,
    attempts: Attempts,
    rest: Rest,
    /// How many of its entries are leased, without those that are parked.
    leased: u32,
}

/// Whether entries of a destination may rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rest {
    /// None of them.
    None,
    /// One that was given back, perhaps.
    Perhaps,
}

/// Where a destination stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum QueuePosition {
    /// The store is being asked for an entry of it.
    Asked(Learned),
    /// As many entries as it may have are leased; one that comes back puts it in line again.
    Full,
    /// Nothing of it is left but what is leased.
    Idle,
    /// In the line of its health, at this place.
    InLine(u64),
    /// In the line of a limit, at this place.
    Paced(PacedLine, LinePlace),
    /// Waiting for a time.
    Waiting(u64),
}

/// What has been learned of a destination while the store was asked for an entry of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Learned {
    /// When an entry is due that may be new.
    due: Option<u64>,
    /// Whether a lease has ended.
    is_freed: bool,
}

/// A destination whose turn it is: the store is to be asked for an entry of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Turn {
    /// The destination.
    pub(crate) destination: Arc<str>,
    /// How it stands.
    pub(crate) health: DestinationHealth,
    /// How many entries of it are leased.
    pub(crate) leased: usize,
    /// Its place in line.
    place: u64,
    /// The line of a limit from which it was called.
    called_from: Option<PacedLine>,
    /// How often such a line was moved on before.
    moves: u64,
}

impl Destinations {
    /// An entry of `destination` is due at `due`.
    pub(crate) fn note(&mut self, destination: &str, due: u64) {
        let (name, row) = self.row(destination);
        match &mut row.place {
            QueuePosition::Asked(learned) => {
                learned.due = Some(learned.due.map_or(due, |known| known.min(due)));
            }
            QueuePosition::Idle => self.wait(&name, due),
            QueuePosition::Waiting(until) if due < *until => {
                let until = *until;
                self.waiting.remove(&(until, Arc::clone(&name)));
                self.wait(&name, due);
            }
            QueuePosition::Full
            | QueuePosition::InLine(_)
            | QueuePosition::Paced(..)
            | QueuePosition::Waiting(_) => {}
        }
    }

    /// Whether a lease is worth asking for at `now`, of destinations that stand no worse than `worst`.
    pub(crate) fn is_ready(&self, now: u64, worst: DestinationHealth) -> bool {
        let first = self.lines.first_key_value();
        first.is_some_and(|((health, _), _)| *health <= worst)
            || self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next waiting destination's time comes.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let waiting = self.waiting.first().map(|(due, _)| *due);
        waiting.into_iter().chain(self.paced.next_due()).min()
    }

    /// How many destinations wait in the line of a limit.
    pub(crate) fn paced_in(&self, line: PacedLine) -> usize {
        self.paced.waiting(line)
    }

    /// The limit with this line may have room: whoever is first there has a turn.
    pub(crate) fn move_on(&mut self, line: PacedLine) {
        let called = self.paced.move_on(line);
        called.iter().for_each(|name| self.line_up(name));
    }

    /// All limits may have room.
    pub(crate) fn move_all(&mut self) {
        let called = self.paced.move_all();
        called.iter().for_each(|name| self.line_up(name));
    }

    /// How many entries are leased.
    pub(crate) fn leased(&self) -> usize {
        self.leased.len()
    }

    /// How often an operator has asked for mail to be tried at once.
    pub(crate) const fn retry_epoch(&self) -> u64 {
        self.retry_epoch
    }

    /// Begins the turn of the next destination that may have an entry due at `now`, of those that stand
    /// no worse than `worst`. It is out of line until the turn has ended.
    pub(crate) fn begin_turn(&mut self, now: u64, worst: DestinationHealth) -> Option<Turn> {
        self.wake(now);
        let turns = self.turn.turns().into_iter().filter(|health| *health <= worst);
        let lines = turns.map(|health| (health, 0)..=(health, u64::MAX));
        let first = lines.filter_map(|line| self.lines.range(line).next()).next();
        let (health, place) = *first?.0;
        let destination = self.lines.remove(&(health, place))?;
        let row = self.rows.get_mut(&destination)?;
        row.place = QueuePosition::Asked(Learned::default());
        let leased = usize::try_from(row.leased).unwrap_or(usize::MAX);
        let (called_from, moves) = (self.paced.answer_call(&destination), self.paced.moves());
        Some(Turn { destination, health, leased, place, called_from, moves })
    }

    /// The turn has ended with a lease of this entry, and this is what comes behind it.
    pub(crate) fn turn_leased(&mut self, turn: &Turn, entry: EntryId, next: Next) {
        let (name, row) = self.row(&turn.destination);
        row.leased = row.leased.saturating_add(1);
        self.leased.insert(entry);
        self.turn = turn.health.next();
        self.end_turn(&name, |table, name| match next {
            Next::Later(due) => table.wait(name, due),
            Next::Maybe => table.line_up(name),
            Next::Nothing => table.set_aside(name),
        });
        self.call_next(turn);
    }

    /// The turn has ended without one: nothing is due.
    pub(crate) fn turn_passed(&mut self, turn: &Turn, next: Next) {
        self.end_turn(&turn.destination, |table, name| match next {
            Next::Later(due) => table.wait(name, due),
            Next::Maybe => table.line_up(name),
            Next::Nothing => table.set_aside(name),
        });
        self.call_next(turn);
    }

    /// The turn has ended without one: as many are leased as may be.
    pub(crate) fn turn_full(&mut self, turn: &Turn) {
        self.end_turn(&turn.destination, |table, name| {
            if let Some(row) = table.rows.get_mut(name) {
                row.place = QueuePosition::Full;
            }
        });
        self.call_next(turn);
    }

    /// The turn has ended without one: a limit has no room, and its line moves on at `due`.
    pub(crate) fn turn_paced(&mut self, turn: &Turn, line: PacedLine, due: Option<u64>) {
        // There may be room since.
        if turn.moves != self.paced.moves() {
            return self.turn_failed(turn);
        }
        self.last_place = self.last_place.saturating_add(1);
        let side = if turn.called_from == Some(line) {
            Side::Front(self.last_place)
        } else {
            Side::End(self.last_place)
        };
        self.end_turn(&turn.destination, |table, name| {
            let Some(row) = table.rows.get_mut(name) else { return };
            let place = table.paced.join((line, due), row.attempts.health, side, name);
            row.place = QueuePosition::Paced(line, place);
        });
        if turn.called_from != Some(line) {
            self.call_next(turn);
        }
    }

    /// Lets the next one follow that waits for the limit for which this destination has waited.
    fn call_next(&mut self, turn: &Turn) {
        let Some(line) = turn.called_from else { return };
        if let Some(name) = self.paced.call(line, turn.health) {
            self.line_up(&name);
        }
    }

    /// The turn has come to nothing: the store did not say.
    pub(crate) fn turn_failed(&mut self, turn: &Turn) {
        let place = turn.place;
        if let Some(line) = turn.called_from {
            self.paced.call_again(&turn.destination, line);
        }
        self.end_turn(&turn.destination, |table, name| {
            let Some(row) = table.rows.get_mut(name) else { return };
            row.place = QueuePosition::InLine(place);
            table.lines.insert((row.attempts.health, place), Arc::clone(name));
        });
    }

    /// Puts a destination where it belongs after its turn, and then goes by what was learned
    /// meanwhile. If everything was forgotten meanwhile, it stands where it should already.
    fn end_turn(&mut self, name: &Arc<str>, put: impl FnOnce(&mut Self, &Arc<str>)) {
        let Some(row) = self.rows.get_mut(name) else { return };
        let QueuePosition::Asked(learned) = row.place else {
            return self.freed(name);
        };
        put(self, name);
        if learned.is_freed {
            self.freed(name);
        }
        if let Some(due) = learned.due {
            self.note(name, due);
        }
    }

    /// Puts a destination in line again of which more may be leased, if it is not there.
    fn freed(&mut self, name: &Arc<str>) {
        let Some(row) = self.rows.get_mut(name) else { return };
        match &mut row.place {
            QueuePosition::Asked(learned) => learned.is_freed = true,
            QueuePosition::Full | QueuePosition::Idle => self.line_up(name),
            QueuePosition::InLine(_) | QueuePosition::Paced(..) | QueuePosition::Waiting(_) => {}
        }
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
        let Some((name, _)) = self.rows.get_key_value(destination) else { return };
        let name = Arc::clone(name);
        let Some(row) = self.rows.get_mut(destination) else { return };
        let before = row.attempts.health;
        row.attempts = learn(row.attempts);
        let after = row.attempts.health;
        if before == after {
            return;
        }
        match &mut row.place {
            QueuePosition::InLine(place) => {
                self.lines.remove(&(before, *place));
                self.line_up(&name);
            }
            QueuePosition::Paced(line, place) => {
                self.paced.leave(*line, before, *place);
                self.last_place = self.last_place.saturating_add(1);
                let end = Side::End(self.last_place);
                *place = self.paced.join((*line, None), after, end, &name);
            }
            QueuePosition::Asked(_)
            | QueuePosition::Full
            | QueuePosition::Idle
            | QueuePosition::Waiting(_) => {}
        }
    }

    /// A lease of `destination` has ended; the entry rests until `rest` if it was not settled.
    pub(crate) fn give_back(&mut self, destination: &str, entry: EntryId, rest: Option<u64>) {
        if !self.leased.remove(&entry) {
            return;
        }
        let counted = u32::from(!self.parked.remove(&entry));
        let (name, row) = self.row(destination);
        row.leased = row.leased.saturating_sub(counted);
        if rest.is_some() {
            row.rest = Rest::Perhaps;
        }
        self.freed(&name);
        if let Some(until) = rest {
            self.note(destination, until);
        }
    }

    /// The attempt for a leased entry of `destination` has ended, and its settlement is still to come:
    /// it no longer counts among those that are leased of that destination.
    pub(crate) fn park(&mut self, destination: &str, entry: EntryId) {
        if !self.leased.contains(&entry) || !self.parked.insert(entry) {
            return;
        }
        let (name, row) = self.row(destination);
        row.leased = row.leased.saturating_sub(1);
        self.freed(&name);
    }

    /// Lets the entries of `destination`, or of all of them, be leased at once that rest: an operator
    /// asked for it.
    pub(crate) fn wake_up(&mut self, destination: Option<&str>) {
        self.retry_epoch = self.retry_epoch.wrapping_add(1);
        let at_rest =
            |(name, row): (&Arc<str>, &Row)| (row.rest == Rest::Perhaps).then(|| Arc::clone(name));
        let chosen: Vec<Arc<str>> = match destination {
            Some(name) => self.rows.get_key_value(name).and_then(at_rest).into_iter().collect(),
            None => self.rows.iter().filter_map(at_rest).collect(),
        };
        for name in chosen {
            let Some(row) = self.rows.get_mut(&name) else { continue };
            row.rest = Rest::None;
            match &mut row.place {
                QueuePosition::Asked(learned) => learned.due = Some(0),
                QueuePosition::Waiting(until) => {
                    let until = *until;
                    self.waiting.remove(&(until, Arc::clone(&name)));
                    self.line_up(&name);
                }
                // An operator's wish lifts no limit.
                QueuePosition::Full
                | QueuePosition::Idle
                | QueuePosition::InLine(_)
                | QueuePosition::Paced(..) => {}
            }
        }
    }

    /// Forgets everything but what is leased: the index is read again.
    pub(crate) fn start_again(&mut self) {
        self.lines.clear();
        self.waiting.clear();
        self.paced.clear();
        self.rows.retain(|_, row| {
            row.place = QueuePosition::Idle;
            row.leased > 0
        });
    }

    /// Puts every destination in line whose time has come.
    fn wake(&mut self, now: u64) {
        while self.waiting.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.waiting.pop_first() else { return };
            self.line_up(&name);
        }
        let called = self.paced.move_due(now);
        called.iter().for_each(|name| self.line_up(name));
    }

    /// Puts a destination at the end of the line of its health.
    fn line_up(&mut self, name: &Arc<str>) {
        let Some(row) = self.rows.get_mut(name) else { return };
        self.last_place = self.last_place.saturating_add(1);
        row.place = QueuePosition::InLine(self.last_place);
        self.lines.insert((row.attempts.health, self.last_place), Arc::clone(name));
    }

    /// Lets a destination wait until `due`.
    fn wait(&mut self, name: &Arc<str>, due: u64) {
        if let Some(row) = self.rows.get_mut(name) {
            row.place = QueuePosition::Waiting(due);
            self.waiting.insert((due, Arc::clone(name)));
        }
    }

    /// Sets a destination aside that has nothing but what is leased.
    fn set_aside(&mut self, name: &str) {
        let Some(row) = self.rows.get_mut(name) else { return };
        if row.leased > 0 {
            row.place = QueuePosition::Idle;
        } else {
            self.forget(name);
        }
    }

    /// Forgets a destination that has no entries, but not that it has answered.
    fn forget(&mut self, name: &str) {
        let Some((name, row)) = self.rows.remove_entry(name) else { return };
        if row.attempts.health != DestinationHealth::Answering {
            return;
        }
        if self.answered.len() >= REMEMBERED {
            self.answered.clear();
        }
        self.answered.insert(name);
    }

    /// The row of `destination`, made when there is none.
    fn row(&mut self, destination: &str) -> (Arc<str>, &mut Row) {
        let name = self.rows.get_key_value(destination).map(|(name, _)| Arc::clone(name));
        let (name, attempts) = match name {
            Some(name) => (name, Attempts::default()),
            None => match self.answered.take(destination) {
                Some(name) => (name, Attempts::ANSWERING),
                None => (Arc::from(destination), Attempts::default()),
            },
        };
        let new = Row { place: QueuePosition::Idle, attempts, rest: Rest::None, leased: 0 };
        let row = self.rows.entry(Arc::clone(&name)).or_insert(new);
        (name, row)
    }
}

#[cfg(test)]
mod paced_tests;
#[cfg(test)]
mod tests;
