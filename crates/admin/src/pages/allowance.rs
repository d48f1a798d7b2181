//! How often somebody may do something.

use std::time::Duration;

use tokio::time::Instant;

/// So many in a second, at an even pace, and as many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// How long one uses up.
    each: Duration,
    /// How much can be saved up.
    most: Duration,
    /// When all that is used will be there again.
    full_at: Instant,
}

impl Allowance {
    /// All of it: `count` in a second, which is not 0.
    pub(crate) fn per_second(count: u32, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        Self { each: second.checked_div(count).unwrap_or(second), most: second, full_at: now }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let begun = self.full_at.max(now);
        let full_at = begun.checked_add(self.each).unwrap_or(begun);
        let is_there = full_at.saturating_duration_since(now) <= self.most;
        if is_there {
            self.full_at = full_at;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_at_its_pace() {
        let begun = Instant::now();
        let mut allowance = Allowance::per_second(5, begun);
        assert!((0..5).all(|_| allowance.take(begun)));
        assert!(!allowance.take(begun));
        let later = begun + Duration::from_millis(200);
        assert!(allowance.take(later) && !allowance.take(later));
        let rested = begun + Duration::from_secs(60);
        assert!((0..5).all(|_| allowance.take(rested)) && !allowance.take(rested));
    }
}
