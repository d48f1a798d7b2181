//! What an attempt has of the limits that its mail is under.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mta_sts::OpenHost;

use crate::limit::Limit;
use crate::paces::{KeptConnection, PaceTurn, Paces, Under};

/// What an attempt has of the limits that its mail is under.
#[derive(Debug)]
pub(crate) struct AttemptPace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turn: Option<PaceTurn>,
    progress: Progress,
}

/// How far an attempt has come, as its limits are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// No host was asked for anything.
    NobodyAsked,
    /// One was.
    Asked,
    /// None was, for a limit has no room: the attempt has not taken place.
    TurnedAway,
}

/// A limit has no room for mail to a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoRoom;

impl AttemptPace {
    /// An attempt that begins with this turn.
    pub(crate) const fn new(turn: Option<PaceTurn>) -> Self {
        Self { state: Mutex::new(State { turn, progress: Progress::NobodyAsked }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to a host.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] where a limit has none; if it is the first host, the attempt has not taken place.
    pub(crate) fn enter(
        &self,
        paces: &Arc<Paces>,
        host: &OpenHost,
        under: Under<'_>,
    ) -> Result<(), NoRoom> {
        let mut state = self.state();
        let turn = state.turn.take();
        match paces.enter(turn, host, under) {
            Ok(turn) => {
                state.turn = turn;
                state.progress = Progress::Asked;
                Ok(())
            }
            Err(_paced) => {
                if state.progress == Progress::NobodyAsked {
                    state.progress = Progress::TurnedAway;
                }
                Err(NoRoom)
            }
        }
    }

    /// Whether the attempt has not taken place, for want of room.
    pub(crate) fn is_turned_away(&self) -> bool {
        self.state().progress == Progress::TurnedAway
    }

    /// The limit that mail to the present host is under.
    pub(crate) fn limit(&self) -> Option<Arc<Limit>> {
        self.state().turn.as_ref()?.limit().cloned()
    }

    /// The present host is asked to take the message.
    pub(crate) fn sends(&self) {
        if let Some(turn) = &mut self.state().turn {
            turn.use_up();
        }
    }

    /// The attempt needs its connection no more, which may be kept: its turn is over.
    pub(crate) fn give_up(&self) -> Option<KeptConnection> {
        let turn = self.state().turn.take()?;
        turn.keep_connection()
    }
}
