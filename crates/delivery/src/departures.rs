//! Whether mail leaves, for monitors: that nothing does may be seen by nobody else, for each attempt
//! that fails has a reason of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mail::DeliveryResult;
/// How many destinations must have failed, without one that has answered in between, before it is no
/// longer that destination's own trouble.
const DESTINATIONS: usize = 2;

/// After how long a failure says nothing any more: what has been tried for days in vain is tried only
/// now and then.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// What is known of attempts and of how they end.
#[derive(Debug, Default)]
pub struct Departures {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When mail left last.
    left: Option<SystemTime>,
    /// When each of the attempts was begun that have not ended.
    open: BTreeMap<u64, SystemTime>,
    last: u64,
    failing: Option<Failing>,
}

/// Attempts that have failed since mail left last.
#[derive(Debug)]
struct Failing {
    /// When the first of them was begun.
    since: SystemTime,
    /// When the last of them ended.
    until: SystemTime,
    /// Some of the destinations.
    destinations: BTreeSet<String>,
}

impl Departures {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long mail has been due and none has left: attempts for more than one destination have
    /// failed within the last hour, or do not end. None where mail leaves, or none is due.
    #[must_use]
    pub fn none_for(&self, now: SystemTime) -> Option<Duration> {
        let state = self.state();
        let ago = |since: SystemTime| now.duration_since(since).unwrap_or_default();
        let is_recent = |failing: &&Failing| ago(failing.until) <= REMEMBERED;
        let failing = state.failing.as_ref().filter(is_recent);
        let failing = failing.filter(|failing| failing.destinations.len() >= DESTINATIONS);
        let open = state.open.values().min().copied();
        let due = failing.map(|failing| failing.since).into_iter().chain(open).min()?;
        Some(ago(state.left.map_or(due, |left| left.max(due))))
    }

    /// An attempt begins.
    pub(crate) fn begin(self: &Arc<Self>, now: SystemTime) -> Departing {
        let mut state = self.state();
        state.last = state.last.wrapping_add(1);
        let number = state.last;
        state.open.insert(number, now);
        drop(state);
        Departing { departures: Arc::clone(self), number, began: now }
    }
}

/// An attempt that has not ended, until it is dropped.
#[derive(Debug)]
pub(crate) struct Departing {
    departures: Arc<Departures>,
    number: u64,
    began: SystemTime,
}

impl Departing {
    /// The attempt, for this destination, has ended like this.
    pub(crate) fn ended(self, destination: &str, results: &[&DeliveryResult], now: SystemTime) {
        let mut state = self.departures.state();
        if results.iter().any(|result| has_left(result)) {
            state.left = Some(now);
            state.failing = None;
            return;
        }
        let new = || Failing { since: self.began, until: now, destinations: BTreeSet::new() };
        let failing = state.failing.get_or_insert_with(new);
        failing.until = now;
        if failing.destinations.len() < DESTINATIONS {
            failing.destinations.insert(destination.to_owned());
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        self.departures.state().open.remove(&self.number);
    }
}

/// Whether a host has settled a recipient, so that mail can be seen to leave.
const fn has_left(result: &DeliveryResult) -> bool {
    match result {
        DeliveryResult::Delivered { .. } => true,
        DeliveryResult::Bounced(failure) => failure.reason.reply.is_some(),
        DeliveryResult::Deferred(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use mail::{ReasonClass, Reports};

    use super::*;
    use crate::status::Status;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + minutes * MINUTE
    }

    fn deferred() -> DeliveryResult {
        DeliveryResult::Deferred(Status::NoAnswer.failure(ReasonClass::Connect, "x"))
    }

    fn delivered() -> DeliveryResult {
        let (mx, reply) = ("mx".to_owned(), "250 ok".to_owned());
        DeliveryResult::Delivered { mx, addr: None, reply, reports: Reports::Ours }
    }

    #[test]
    fn mail_is_due_while_an_attempt_does_not_end() {
        let departures = Arc::new(Departures::default());
        assert_eq!(departures.none_for(at(0)), None);
        let open = departures.begin(at(0));
        assert_eq!(departures.none_for(at(20)), Some(20 * MINUTE));
        departures.begin(at(18)).ended("good.test", &[&delivered()], at(19));
        assert_eq!(departures.none_for(at(20)), Some(MINUTE), "other mail leaves");
        drop(open);
        assert_eq!(departures.none_for(at(20)), None);
    }

    #[test]
    fn mail_is_due_while_attempts_for_more_than_one_destination_fail() {
        let departures = Arc::new(Departures::default());
        for _ in 0..3 {
            departures.begin(at(0)).ended("one.test", &[&deferred()], at(1));
        }
        assert_eq!(departures.none_for(at(20)), None, "it may be one.test's own trouble");
        departures.begin(at(10)).ended("two.test", &[&deferred()], at(11));
        assert_eq!(departures.none_for(at(20)), Some(20 * MINUTE));
        assert_eq!(departures.none_for(at(80)), None, "nothing has been tried for an hour");
        departures.begin(at(90)).ended("good.test", &[&delivered()], at(90));
        assert_eq!(departures.none_for(at(91)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait() {
        let departures = Arc::new(Departures::default());
        let _open = departures.begin(at(20));
        assert_eq!(departures.none_for(at(10)), Some(Duration::ZERO));
    }
}
