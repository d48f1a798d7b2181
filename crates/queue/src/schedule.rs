//! When a deferred entry is tried again: a pure rule.

use std::time::{Duration, SystemTime};

use clock::millis;
use store::{ByHand, Retry};

/// Back-off between attempts: it doubles from `first` up to `most`, with a jitter of a tenth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetrySchedule {
    /// The wait after the first attempt that failed.
    pub first: Duration,
    /// The longest wait there is.
    pub most: Duration,
}

impl Default for RetrySchedule {
    /// Five minutes, doubling to four hours: sooner at first than the 30 minutes that
    /// RFC 5321 §4.5.4.1 advises, because greylisting hosts answer within minutes.
    fn default() -> Self {
        Self { first: Duration::from_secs(5 * 60), most: Duration::from_secs(4 * 60 * 60) }
    }
}

impl RetrySchedule {
    /// The time of the next attempt, after `attempts` that failed.
    #[must_use]
    pub fn next(&self, attempts: u32, now: SystemTime, jitter: Jitter) -> SystemTime {
        now.checked_add(self.wait(attempts, jitter)).unwrap_or(now)
    }

    /// The longest wait there is.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.wait(u32::MAX, Jitter::at(1.0))
    }

    /// What holds for the deferred recipients of an entry after one more attempt that failed. One
    /// that an operator asked for does not put off the one that was planned.
    pub(crate) fn retry(
        &self,
        attempts: u32,
        by_hand: ByHand,
        now: SystemTime,
        jitter: Jitter,
    ) -> Retry {
        let attempts = attempts.saturating_add(1);
        let latest = now.checked_add(self.longest()).unwrap_or(now);
        let may_be_due = millis(now).saturating_add(1)..=millis(latest);
        if let Some(due) = by_hand.planned.filter(|planned| may_be_due.contains(planned)) {
            return Retry { due, attempts, by_hand: by_hand.attempts.saturating_add(1) };
        }
        let counted = attempts.saturating_sub(by_hand.attempts);
        let due = millis(self.next(counted, now, jitter));
        Retry { due, attempts, by_hand: by_hand.attempts }
    }

    /// The wait before the next attempt.
    #[must_use]
    pub fn wait(&self, attempts: u32, jitter: Jitter) -> Duration {
        self.step(attempts).mul_f64(jitter.factor())
    }

    /// The same without a jitter.
    #[must_use]
    pub fn step(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.checked_mul(factor).unwrap_or(self.most).min(self.most)
    }
}

/// Where in the band of a tenth to either side a wait falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// A place between 0 (a tenth less) and 1 (a tenth more).
    #[must_use]
    pub const fn at(place: f64) -> Self {
        Self(place.clamp(0.0, 1.0))
    }

    /// A place by chance.
    #[must_use]
    pub fn random() -> Self {
        Self::at(rand::random())
    }

    /// What a wait is multiplied with.
    fn factor(self) -> f64 {
        0.2_f64.mul_add(self.0, 0.9)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_from_five_minutes_to_four_hours() {
        let schedule = RetrySchedule::default();
        for (attempts, minutes) in [
            (0, 5),
            (1, 5),
            (2, 10),
            (3, 20),
            (4, 40),
            (5, 80),
            (6, 160),
            (7, 240),
            (8, 240),
            (4_000_000, 240),
        ] {
            let wait = schedule.wait(attempts, Jitter::at(0.5));
            assert_eq!(wait, Duration::from_secs(minutes * 60), "{attempts}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_within_a_tenth_of_its_step(attempts: u32, place in 0.0..=1.0_f64) {
            let schedule = RetrySchedule::default();
            let middle = schedule.wait(attempts, Jitter::at(0.5));
            let wait = schedule.wait(attempts, Jitter::at(place));
            prop_assert!(wait >= middle.mul_f64(0.899) && wait <= middle.mul_f64(1.101));
        }
    }
}
