//! How many attempts there may be at once, and for whom.
//!
//! An attempt that has just begun has a slot. One that takes long, or waits for a host that does not
//! answer at once, leaves it to others: from then on it holds a socket and little else, so there may
//! be many of those. What is bounded are
//!
//! * attempts that have just begun, by `delivery.concurrency`;
//! * all attempts, by `delivery.connections`.
//!
//! Of both numbers a part is kept for destinations that answer, and of what is left a part is kept
//! from destinations that fail, whatever the others do. A destination has to go on answering to have
//! its share: an attempt that is slow counts as one of a destination of which nothing is known, and
//! one that has stalled as one of a destination that fails. Where even that is not enough, because
//! very many stall at once, the attempts that have heard nothing for the longest are ended, so that
//! there always is a place for one that has just begun.
//!
//! The reasons: `docs/decisions/0011-reuse-and-pacing.md`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::{DestinationHealth, Lease};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::patience::Patience;
use crate::settings::STALLED_AFTER;

/// When an attempt counts as slow.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// How long an attempt may hear nothing before it counts as slow, too: it only waits.
const WAITS_AFTER: Duration = Duration::from_millis(500);

/// How long an attempt must have heard nothing before its place is given to one for a destination
/// that answers. For one of which nothing is known it is [`STALLED_AFTER`].
const DISPLACED_AFTER: Duration = Duration::from_secs(10);

/// How many attempts of either kind there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Room {
    /// Such that have just begun.
    pub(crate) quick: usize,
    /// All of them.
    pub(crate) all: usize,
}

impl Room {
    /// How many of `places` may be for destinations that have not answered: all but a quarter.
    const fn for_others(places: usize) -> usize {
        let kept = if places > 1 && places < 4 { 1 } else { places / 4 };
        places.saturating_sub(kept)
    }

    /// How many of `places` may be for destinations that fail.
    const fn for_failing(places: usize) -> usize {
        places.div_ceil(4)
    }
}

/// The slots of all attempts.
#[derive(Debug, Default)]
pub(crate) struct DeliverySlots {
    taken: Mutex<Taken>,
    /// Wakes who leases when there is room for more.
    more: Notify,
}

/// How many slots are taken.
#[derive(Debug, Default)]
struct Taken {
    /// By attempts that have just begun.
    quick: Count,
    /// By those that are slow.
    slow: Count,
    /// Those that are slow.
    waiting: HashMap<u64, Arc<Patience>>,
    last: u64,
}

/// How many attempts there are for destinations of each health.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    answering: usize,
    untried: usize,
    failing: usize,
}

impl Count {
    const fn of(&mut self, health: DestinationHealth) -> &mut usize {
        match health {
            DestinationHealth::Answering => &mut self.answering,
            DestinationHealth::Untried => &mut self.untried,
            DestinationHealth::Failing => &mut self.failing,
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
    /// Whether there is no place among all for one that begins for a destination that stands like
    /// this.
    const fn is_full(&self, health: DestinationHealth, room: Room) -> bool {
        let all = self.quick.all().saturating_add(self.slow.all());
        let others = self.quick.others().saturating_add(self.slow.others());
        match health {
            DestinationHealth::Answering => all >= room.all,
            DestinationHealth::Untried | DestinationHealth::Failing => {
                all >= room.all || others >= Room::for_others(room.all)
            }
        }
    }

    /// Whether one may begin for a destination that stands like this; `idle` is how long an attempt
    /// that can be displaced has heard nothing.
    fn may_begin(
        &self,
        health: DestinationHealth,
        room: Room,
        idle: impl Fn() -> Duration,
    ) -> bool {
        let Self { quick, slow, .. } = self;
        let is_full = self.is_full(health, room);
        let others_may = quick.others() < Room::for_others(room.quick);
        if quick.all() >= room.quick {
            return false;
        }
        match health {
            DestinationHealth::Answering => !is_full || idle() >= DISPLACED_AFTER,
            DestinationHealth::Untried => others_may && (!is_full || idle() >= STALLED_AFTER),
            DestinationHealth::Failing => {
                let failing = quick.failing.saturating_add(slow.failing);
                others_may
                    && !is_full
                    && quick.failing < Room::for_failing(room.quick)
                    && failing < Room::for_failing(room.all)
            }
        }
    }

    /// The attempt that has heard nothing for the longest of those that can be displaced, and for
    /// how long.
    fn longest_waiting(&self) -> Option<(Duration, &Arc<Patience>)> {
        let idle = self.waiting.values().filter_map(|one| Some((one.idle_since()?, one)));
        let (since, longest) = idle.min_by_key(|(since, _)| *since)?;
        Some((since.elapsed(), longest))
    }
}

impl DeliverySlots {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which destinations there is a slot for: those that stand no worse than this; none when all
    /// slots are taken.
    pub(crate) fn free(&self, room: Room) -> Option<DestinationHealth> {
        let taken = self.taken();
        let idle = || taken.longest_waiting().map_or(Duration::ZERO, |(idle, _)| idle);
        let may_begin = |health: &DestinationHealth| taken.may_begin(*health, room, idle);
        [DestinationHealth::Failing, DestinationHealth::Untried, DestinationHealth::Answering]
            .into_iter()
            .find(may_begin)
    }

    /// Waits until there may be room for more.
    pub(crate) async fn more(&self) {
        self.more.notified().await;
    }
}

/// The slot of an attempt, until it is dropped.
#[derive(Debug)]
pub(crate) struct DeliverySlot {
    slots: Arc<DeliverySlots>,
    health: DestinationHealth,
    speed: Speed,
}

/// Whether an attempt is slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Speed {
    Quick,
    /// It is; under this number it can be displaced.
    Slow(u64),
}

impl DeliverySlot {
    /// Takes a slot for an attempt that begins, for a destination that stands like this. If there
    /// was no room, it takes that of an attempt that has waited for the longest.
    pub(crate) fn take(slots: &Arc<DeliverySlots>, health: DestinationHealth, room: Room) -> Self {
        let mut taken = slots.taken();
        if taken.is_full(health, room)
            && let Some((_, longest)) = taken.longest_waiting()
        {
            longest.displace();
        }
        let count = taken.quick.of(health);
        *count = count.saturating_add(1);
        drop(taken);
        Self { slots: Arc::clone(slots), health, speed: Speed::Quick }
    }

    /// Follows an attempt for `lease` with these waits, until it is dropped: gives its slot to
    /// others when it is slow, and has it count for what it is while it hears nothing.
    pub(crate) async fn follow(
        &mut self,
        patience: &Arc<Patience>,
        lease: &Lease,
        stalled: impl Fn(),
    ) -> Infallible {
        tokio::select! {
            () = sleep(SLOW_AFTER) => {}
            () = patience.until_idle(WAITS_AFTER) => {}
        }
        self.slows(patience);
        let slow = self.health;
        loop {
            patience.until_stalled().await;
            tracing::debug!("attempt stalled");
            lease.stalls();
            stalled();
            self.counts_as(DestinationHealth::Failing);
            patience.until_moved().await;
            self.counts_as(slow);
        }
    }

    /// Leaves the slot to others.
    fn slows(&mut self, patience: &Arc<Patience>) {
        let mut taken = self.slots.taken();
        let count = taken.quick.of(self.health);
        *count = count.saturating_sub(1);
        self.health = self.health.max(DestinationHealth::Untried);
        taken.last = taken.last.wrapping_add(1);
        self.speed = Speed::Slow(taken.last);
        let count = taken.slow.of(self.health);
        *count = count.saturating_add(1);
        let number = taken.last;
        taken.waiting.insert(number, Arc::clone(patience));
        drop(taken);
        self.slots.more.notify_one();
    }

    /// Counts a slow attempt as one of a destination that stands like this.
    fn counts_as(&mut self, health: DestinationHealth) {
        let mut taken = self.slots.taken();
        let before = taken.slow.of(self.health);
        *before = before.saturating_sub(1);
        self.health = health;
        let after = taken.slow.of(health);
        *after = after.saturating_add(1);
        drop(taken);
        self.slots.more.notify_one();
    }
}

impl Drop for DeliverySlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        let count = match self.speed {
            Speed::Quick => taken.quick.of(self.health),
            Speed::Slow(number) => {
                taken.waiting.remove(&number);
                taken.slow.of(self.health)
            }
        };
        *count = count.saturating_sub(1);
        drop(taken);
        self.slots.more.notify_one();
    }
}

#[cfg(test)]
mod tests;
