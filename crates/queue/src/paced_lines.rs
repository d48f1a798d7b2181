//! Destinations that wait for a limit that they share, in lines of their own.
//!
//! A limit lets one of them go on at a time: when its time has come, or when something under it has
//! ended. Then the first of each health leaves its line for the turns of all destinations; whoever
//! finds the limit closed again comes back to the front, and whoever does not lets the next one
//! follow. So a limit that many destinations wait for costs as much as one that a single one waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::destination_health::DestinationHealth;

/// The line of a limit; the number is given by whoever keeps the limit, and never again to another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PacedLine(pub u64);

/// A limit lets nothing of a destination be leased now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Paced {
    /// Where the destination waits.
    pub line: PacedLine,
    /// When the line moves on by itself; none: not before [`Queue::move_on`](crate::Queue::move_on).
    pub until: Option<SystemTime>,
}

/// How much may be leased of each destination, and when.
pub trait Pacing {
    /// What a lease takes of the limits it is under, and gives back when it is dropped.
    type Held;

    /// How many entries of `destination` may be leased at a time.
    fn window(&self, destination: &str) -> usize;

    /// Lets one more entry of `destination` be leased.
    ///
    /// # Errors
    ///
    /// [`Paced`] where a limit has no room for it now.
    fn admit(&self, destination: &str) -> Result<Self::Held, Paced>;
}

/// At most so many entries of each destination at a time, and whenever they are due.
#[derive(Clone, Copy, Debug)]
pub struct AtMost(pub usize);

impl Pacing for AtMost {
    type Held = ();

    fn window(&self, _destination: &str) -> usize {
        self.0
    }

    fn admit(&self, _destination: &str) -> Result<(), Paced> {
        Ok(())
    }
}

/// A place in a line: the least one is the first of those of its health.
pub(crate) type LinePlace = u64;

/// The lines of all limits.
#[derive(Debug, Default)]
pub(crate) struct PacedLines {
    waiting: BTreeMap<(PacedLine, DestinationHealth, LinePlace), Arc<str>>,
    /// When lines move on by themselves, earliest first.
    due: BTreeSet<(u64, PacedLine)>,
    /// The same by line.
    due_of: HashMap<PacedLine, u64>,
    /// Those that have left their line and whose turn has not ended since.
    called: HashMap<Arc<str>, PacedLine>,
    /// How often a line was moved on: a destination that was asked about before must not wait for it.
    moves: u64,
}

impl PacedLines {
    /// How often a line was moved on.
    pub(crate) const fn moves(&self) -> u64 {
        self.moves
    }

    /// How many destinations wait in a line.
    pub(crate) fn waiting(&self, line: PacedLine) -> usize {
        let (first, last) = (DestinationHealth::Answering, DestinationHealth::Failing);
        self.waiting.range((line, first, 0)..=(line, last, LinePlace::MAX)).count()
    }

    /// When the next line moves on by itself.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether `name` was called from a line, and from which; its turn begins.
    pub(crate) fn answer_call(&mut self, name: &Arc<str>) -> Option<PacedLine> {
        self.called.remove(name)
    }

    /// The turn of `name`, which was called from this line, has come to nothing: it is still called.
    pub(crate) fn call_again(&mut self, name: &Arc<str>, line: PacedLine) {
        self.called.insert(Arc::clone(name), line);
    }

    /// Puts a destination in a line, to its end at `place`, or back to its front; the place it has.
    pub(crate) fn join(
        &mut self,
        (line, due): (PacedLine, Option<u64>),
        health: DestinationHealth,
        side: Side,
        name: &Arc<str>,
    ) -> LinePlace {
        let place = match side {
            Side::End(place) => place,
            Side::Front(place) => {
                let line = (line, health, 0)..=(line, health, LinePlace::MAX);
                let first = self.waiting.range(line).next();
                first.map_or(place, |((_, _, first), _)| first.saturating_sub(1))
            }
        };
        self.waiting.insert((line, health, place), Arc::clone(name));
        if let Some(due) = due {
            self.set_due(line, due);
        }
        place
    }

    /// Takes a destination out of its line.
    pub(crate) fn leave(&mut self, line: PacedLine, health: DestinationHealth, place: LinePlace) {
        self.waiting.remove(&(line, health, place));
    }

    /// The first of each health in a line that is moved on, called to their turns.
    pub(crate) fn move_on(&mut self, line: PacedLine) -> Vec<Arc<str>> {
        self.moves = self.moves.wrapping_add(1);
        let healths =
            [DestinationHealth::Answering, DestinationHealth::Untried, DestinationHealth::Failing];
        healths.into_iter().filter_map(|health| self.call(line, health)).collect()
    }

    /// All of all lines, called to their turns: the limits have changed.
    pub(crate) fn move_all(&mut self) -> Vec<Arc<str>> {
        self.moves = self.moves.wrapping_add(1);
        self.due.clear();
        self.due_of.clear();
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// The lines whose time has come move on.
    pub(crate) fn move_due(&mut self, now: u64) -> Vec<Arc<str>> {
        let mut called = Vec::new();
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, line)) = self.due.pop_first() else { break };
            self.due_of.remove(&line);
            called.extend(self.move_on(line));
        }
        called
    }

    /// The first of this health in a line, called to its turn.
    pub(crate) fn call(&mut self, line: PacedLine, health: DestinationHealth) -> Option<Arc<str>> {
        let line_of = (line, health, 0)..=(line, health, LinePlace::MAX);
        let place = *self.waiting.range(line_of).next()?.0;
        let name = self.waiting.remove(&place)?;
        self.called.insert(Arc::clone(&name), line);
        Some(name)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { moves: self.moves.wrapping_add(1), ..Self::default() };
    }

    fn set_due(&mut self, line: PacedLine, due: u64) {
        if let Some(before) = self.due_of.insert(line, due) {
            self.due.remove(&(before, line));
        }
        self.due.insert((due, line));
    }
}

/// Where in its line a destination goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// To its end: the place is beyond all that were given before.
    End(LinePlace),
    /// To its front; the place is for a line that is empty.
    Front(LinePlace),
}
