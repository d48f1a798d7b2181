//! Where a store says what becomes due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::claim::Due;
use crate::turns::Turns;

/// Where what becomes due goes: to who decides the turns, and until there is one into a list.
#[derive(Debug, Default)]
pub struct Subscription(Mutex<State>);

#[derive(Debug)]
enum State {
    /// To what decides the turns.
    Attached(Arc<dyn Turns>),
    /// Nowhere yet: this is due.
    Pending(Vec<Due>),
}

impl Default for State {
    fn default() -> Self {
        Self::Pending(Vec::new())
    }
}

impl Subscription {
    /// Has `turns` told of all that is due, and from now on of what becomes due; the first one who asks is
    /// told, no other.
    pub fn attach(&self, turns: Arc<dyn Turns>) {
        let mut state = self.state();
        let State::Pending(due) = &mut *state else { return };
        turns.reopened(std::mem::take(due));
        *state = State::Attached(turns);
    }

    /// What decides the turns, once it is attached.
    #[must_use]
    pub fn attached(&self) -> Option<Arc<dyn Turns>> {
        match &*self.state() {
            State::Attached(turns) => Some(Arc::clone(turns)),
            State::Pending(_) => None,
        }
    }

    /// Entries are due that may be new.
    pub fn due(&self, due: &[Due]) {
        let turns = match &mut *self.state() {
            State::Attached(turns) => Arc::clone(turns),
            State::Pending(pending) => return pending.extend_from_slice(due),
        };
        turns.due(due);
    }

    /// The store is open again: these destinations have entries.
    pub fn reopened(&self, due: Vec<Due>) {
        match self.attached() {
            Some(turns) => turns.reopened(due),
            None => *self.state() = State::Pending(due),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
