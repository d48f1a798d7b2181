//! Clocks that are moved by hand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::reading::{Boot, Clock};

/// Clocks that are moved by hand, for tests and simulations.
///
/// Time that passes moves both clocks; setting moves the wall clock alone, as it does on a machine.
#[derive(Debug)]
pub struct SetClock {
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    wall: SystemTime,
    since_boot: Duration,
    boots: u32,
}

impl SetClock {
    /// Clocks of a machine that starts at `wall`.
    #[must_use]
    pub const fn new(wall: SystemTime) -> Self {
        Self { hands: Mutex::new(Hands { wall, since_boot: Duration::ZERO, boots: 1 }) }
    }

    /// Lets `by` pass; at the end of time the wall clock stays there.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.lock();
        hands.wall = hands.wall.checked_add(by).unwrap_or(hands.wall);
        hands.since_boot = hands.since_boot.saturating_add(by);
    }

    /// Sets the wall clock to `wall`, forward or back; no time passes.
    pub fn set(&self, wall: SystemTime) {
        self.lock().wall = wall;
    }

    /// Sets the wall clock forward by `by`; no time passes.
    pub fn leap(&self, by: Duration) {
        let mut hands = self.lock();
        hands.wall = hands.wall.checked_add(by).unwrap_or(hands.wall);
    }

    /// Starts the machine again: the boot clock begins at zero.
    pub fn reboot(&self) {
        let mut hands = self.lock();
        hands.since_boot = Duration::ZERO;
        hands.boots = hands.boots.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SetClock {
    fn now(&self) -> SystemTime {
        self.lock().wall
    }

    fn since_boot(&self) -> Duration {
        self.lock().since_boot
    }

    fn boot(&self) -> Boot {
        Boot::new(self.lock().boots.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_moves_only_by_hand() {
        let clock = SetClock::new(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        clock.set(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
        assert_eq!(clock.since_boot(), Duration::from_secs(60));
        let before = clock.boot();
        clock.reboot();
        assert_eq!(clock.since_boot(), Duration::ZERO);
        assert!(!clock.boot().is_same(&before));
    }

    #[test]
    fn a_set_clock_does_not_pass_the_end_of_time() {
        let clock = SetClock::new(SystemTime::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
    }
}
