//! The table of destinations, as the store and those who lease share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{Due, EntryId, Turns};
use tokio::sync::Notify;

use crate::destinations::{Destinations, Turn};

/// Whose turn it is, and who waits for that.
#[derive(Debug, Default)]
pub(crate) struct TurnTable {
    table: Mutex<Destinations>,
    /// Wakes those who wait for something to lease.
    pub(crate) wake: Notify,
}

impl TurnTable {
    /// The table, for a moment.
    pub(crate) fn destinations(&self) -> MutexGuard<'_, Destinations> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns for TurnTable {
    fn due(&self, due: &[Due]) {
        let mut table = self.destinations();
        for Due { destination, at } in due {
            table.note(destination, *at);
        }
        drop(table);
        self.wake.notify_waiters();
    }

    fn settled(&self, destination: &str, entry: EntryId) {
        self.destinations().give_back(destination, entry, None);
        self.wake.notify_waiters();
    }

    fn reopened(&self, due: Vec<Due>) {
        let mut table = self.destinations();
        table.start_again();
        for Due { destination, at } in due {
            table.note(&destination, at);
        }
        drop(table);
        self.wake.notify_waiters();
    }

    fn health_changed(&self) {
        self.wake.notify_waiters();
    }
}

/// A destination whose turn has begun; without an end it keeps its place in line.
#[derive(Debug)]
pub(crate) struct OpenTurn<'a> {
    turns: &'a TurnTable,
    turn: Option<Turn>,
}

impl<'a> OpenTurn<'a> {
    /// The turn that has begun.
    pub(crate) const fn new(turns: &'a TurnTable, turn: Turn) -> Self {
        Self { turns, turn: Some(turn) }
    }

    /// Ends the turn.
    pub(crate) fn end(mut self, end: impl FnOnce(&mut Destinations, &Turn)) {
        if let Some(turn) = self.turn.take() {
            end(&mut self.turns.destinations(), &turn);
            self.turns.wake.notify_waiters();
        }
    }
}

impl Drop for OpenTurn<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.turns.destinations().turn_failed(&turn);
            self.turns.wake.notify_waiters();
        }
    }
}
