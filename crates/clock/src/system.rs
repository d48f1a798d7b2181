//! The machine's own clocks.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::reading::{Boot, Clock};

/// Where Linux tells which start of the machine this is: another random number for each.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn since_boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
    }

    /// Not known where the kernel does not tell; then time that passed while no relay ran is
    /// measured by the wall clock alone.
    fn boot(&self) -> Boot {
        static BOOT: OnceLock<Boot> = OnceLock::new();
        let read = || std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        BOOT.get_or_init(|| Boot::new(read().trim())).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back() {
        let before = SystemClock.since_boot();
        assert!(before > Duration::ZERO && SystemClock.since_boot() >= before);
    }
}
