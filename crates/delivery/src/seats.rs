//! How many attempts there may be at once, and for whom.
//!
//! An attempt has a seat. One that takes long, most of them because a host does not answer, leaves
//! it to others and waits in one of the seats for slow ones. Attempts for destinations that fail
//! have a part of the seats of either kind, however many there are to make; and when more are slow
//! than there are such seats, half of the others is kept for destinations that answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::Standing;
use tokio::sync::Notify;

/// When an attempt counts as slow.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(2);

/// How many seats for slow attempts there are for each other one.
const SLOW_SEATS: usize = 4;

/// Destinations that fail have one seat in so many.
const FAILING_SHARE: usize = 4;

/// And one of those for slow attempts in so many.
const FAILING_SLOW_SHARE: usize = 2;

/// What is kept for destinations that answer is one seat in so many.
const KEPT_SHARE: usize = 2;

/// The seats of all attempts.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
    /// Wakes who leases when an attempt has become slow.
    more: Notify,
}

/// How many seats are taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Taken {
    /// By attempts that have just begun.
    quick: Count,
    /// By those that are slow.
    slow: Count,
}

/// How many attempts there are for destinations of each standing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    answering: usize,
    untried: usize,
    failing: usize,
}

impl Count {
    const fn of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Answering => &mut self.answering,
            Standing::Untried => &mut self.untried,
            Standing::Failing => &mut self.failing,
        }
    }

    const fn all(self) -> usize {
        self.answering.saturating_add(self.others())
    }

    /// Those for destinations that have not answered.
    const fn others(self) -> usize {
        self.untried.saturating_add(self.failing)
    }
}

impl Taken {
    /// Which destinations there is a seat for, by the worst standing they may have.
    fn free(self, workers: usize) -> Option<Standing> {
        let Self { quick, slow } = self;
        let slow_seats = workers.saturating_mul(SLOW_SEATS);
        let over = slow.all().saturating_sub(slow_seats);
        if quick.all().saturating_add(over) >= workers {
            return None;
        }
        if over.min(slow.others()) >= workers.div_ceil(KEPT_SHARE) {
            return Some(Standing::Answering);
        }
        let failing_over = slow.failing.saturating_sub(slow_seats / FAILING_SLOW_SHARE);
        if quick.failing.saturating_add(failing_over) >= workers.div_ceil(FAILING_SHARE) {
            return Some(Standing::Untried);
        }
        Some(Standing::Failing)
    }
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which destinations there is a seat for, where there are so many workers: those that stand no
    /// worse than this; none when all seats are taken.
    pub(crate) fn free(&self, workers: usize) -> Option<Standing> {
        self.taken().free(workers)
    }

    /// Waits until an attempt has become slow.
    pub(crate) async fn more(&self) {
        self.more.notified().await;
    }
}

/// The seat of an attempt, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    standing: Standing,
    speed: Speed,
}

/// Whether an attempt is slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Speed {
    Quick,
    Slow,
}

impl Seat {
    /// Takes a seat for an attempt that begins, for a destination that stands like this.
    pub(crate) fn take(seats: &Arc<Seats>, standing: Standing) -> Self {
        let seat = Self { seats: Arc::clone(seats), standing, speed: Speed::Quick };
        seat.change(|count| count.saturating_add(1));
        seat
    }

    /// Leaves the seat for one of those for slow attempts.
    pub(crate) fn leave_to_others(&mut self) {
        self.change(|count| count.saturating_sub(1));
        self.speed = Speed::Slow;
        self.change(|count| count.saturating_add(1));
        self.seats.more.notify_one();
    }

    fn change(&self, change: impl Fn(usize) -> usize) {
        let mut taken = self.seats.taken();
        let count = match self.speed {
            Speed::Quick => taken.quick.of(self.standing),
            Speed::Slow => taken.slow.of(self.standing),
        };
        *count = change(*count);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.change(|count| count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
