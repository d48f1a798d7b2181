//! How many messages are on their way to one destination at once.
//!
//! It begins low, grows with every message that a host has dealt with, and halves whenever none of
//! the hosts would talk to us or one broke off: a host that is overwhelmed gets air, and one that is
//! gone holds up no more than one worker at a time.
//!
//! The reasons: `docs/decisions/0011-reuse-and-pacing.md`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::pace::{Recent, micros};

/// How many messages are sent at once to a destination of which nothing is known.
const INITIAL: usize = 2;

/// How many destinations are remembered; the others begin anew.
const MOST: usize = 10_000;

/// What is known of the destinations.
#[derive(Debug, Default)]
pub(crate) struct ConcurrencyWindows {
    known: Mutex<HashMap<String, ConcurrencyWindow>>,
}

/// What is known of one destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ConcurrencyWindow {
    /// How many messages are sent at once.
    size: usize,
    /// How many were dealt with since the window grew last.
    successes: usize,
    growth: Growth,
    /// How many were sent of late: what a host halves that says it was too many.
    recent: Recent,
}

/// How a window grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Growth {
    /// By one with each success: nothing has ever failed.
    Fast,
    /// By one with each windowful of successes.
    Slow,
}

/// What came of asking the hosts of a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HostResult {
    /// A host dealt with the message, whatever it made of it.
    Answered,
    /// There was no session, or it broke.
    Failed,
}

impl Default for ConcurrencyWindow {
    fn default() -> Self {
        let recent = Recent::default();
        Self { size: INITIAL, successes: 0, growth: Growth::Fast, recent }
    }
}

impl ConcurrencyWindows {
    fn known(&self) -> MutexGuard<'_, HashMap<String, ConcurrencyWindow>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages may be on their way to `destination` at once, of at most `most`.
    pub(crate) fn window(&self, destination: &str, most: usize) -> usize {
        let known = self.known();
        known.get(destination).map_or(INITIAL, |window| window.size).min(most)
    }

    /// An attempt for `destination` has stalled: no other is begun beside it, and it takes some
    /// successes until there are many again.
    pub(crate) fn stalled(&self, destination: &str) {
        let stalled = |window| {
            let growth = Growth::Slow;
            ConcurrencyWindow { size: 1, successes: 0, growth, ..window }
        };
        self.learn(destination, stalled);
    }

    /// How many messages were sent to `destination` of late.
    pub(crate) fn recent(&self, destination: &str) -> Recent {
        self.known().get(destination).map_or_else(Recent::default, |window| window.recent)
    }

    /// Learns what came of asking the hosts of a destination.
    pub(crate) fn record(
        &self,
        destination: &str,
        result: HostResult,
        most: usize,
        now: SystemTime,
    ) {
        self.learn(destination, |mut window| {
            window.recent.begin(micros(now));
            match result {
                HostResult::Failed => window.shrunk(),
                HostResult::Answered => window.grown(most),
            }
        });
    }

    fn learn(&self, destination: &str, learn: impl FnOnce(ConcurrencyWindow) -> ConcurrencyWindow) {
        let mut known = self.known();
        if let Some(window) = known.get_mut(destination) {
            *window = learn(*window);
            return;
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(destination.to_owned(), learn(ConcurrencyWindow::default()));
    }
}

impl ConcurrencyWindow {
    fn shrunk(self) -> Self {
        let size = self.size.midpoint(0).max(1);
        Self { size, successes: 0, growth: Growth::Slow, ..self }
    }

    fn grown(self, most: usize) -> Self {
        let successes = self.successes.saturating_add(1);
        let needed = match self.growth {
            Growth::Fast => 1,
            Growth::Slow => self.size,
        };
        if successes < needed || self.size >= most {
            return Self { successes, ..self };
        }
        Self { size: self.size.saturating_add(1), successes: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(events: &[(HostResult, usize)]) -> usize {
        let windows = ConcurrencyWindows::default();
        for (result, times) in events {
            for _ in 0..*times {
                windows.record("example.org", *result, 10, NOW);
            }
        }
        windows.window("example.org", 10)
    }

    #[test]
    fn a_window_grows_with_success_up_to_its_limit() {
        assert_eq!(after(&[]), 2);
        assert_eq!(after(&[(HostResult::Answered, 3)]), 5);
        assert_eq!(after(&[(HostResult::Answered, 1000)]), 10);
        assert_eq!(ConcurrencyWindows::default().window("example.org", 1), 1);
    }

    #[test]
    fn a_window_halves_with_failure_down_to_one_and_grows_slowly_afterwards() {
        assert_eq!(after(&[(HostResult::Answered, 8), (HostResult::Failed, 1)]), 5);
        assert_eq!(after(&[(HostResult::Answered, 8), (HostResult::Failed, 100)]), 1);
        assert_eq!(after(&[(HostResult::Failed, 1), (HostResult::Answered, 1)]), 2);
        assert_eq!(after(&[(HostResult::Failed, 1), (HostResult::Answered, 2)]), 2);
        assert_eq!(after(&[(HostResult::Failed, 1), (HostResult::Answered, 3)]), 3);
    }

    #[test]
    fn a_stall_leaves_a_window_of_one_at_once() {
        let windows = ConcurrencyWindows::default();
        for _ in 0..8 {
            windows.record("example.org", HostResult::Answered, 10, NOW);
        }
        windows.stalled("example.org");
        assert_eq!(windows.window("example.org", 10), 1);
        windows.record("example.org", HostResult::Answered, 10, NOW);
        assert_eq!(windows.window("example.org", 10), 2);
    }

    #[test]
    fn what_is_known_has_an_end() {
        let windows = ConcurrencyWindows::default();
        for n in 0..3 * MOST {
            windows.record(&format!("{n}.example"), HostResult::Failed, 10, NOW);
        }
        assert!(windows.known().len() <= MOST);
    }
}
