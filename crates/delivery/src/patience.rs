//! How long an attempt waits for hosts, and when it last heard from one.
//!
//! Each step of a session has a limit of its own (RFC 5321 §4.5.3.2), and together they could take
//! hours: a host that answers each command just in time, one address after the other. So an attempt
//! has a deadline as well. It covers everything but the message itself, which has a least rate
//! instead, and the wait for the reply to its final dot, which RFC 5321 §4.5.3.2.6 wants long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::addresses::Visit;
use crate::settings::STALLED_AFTER;

/// The waits of one attempt; shared by whoever waits in it and whoever watches it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    state: Mutex<State>,
    /// Cancelled when its place is needed for other mail.
    displaced: CancellationToken,
    /// Tells the watcher that a host has been heard.
    heard: Notify,
}

#[derive(Debug)]
struct State {
    /// When the attempt ends unless a message is being sent; none: never.
    until: Option<Instant>,
    /// When a host was heard last, or took a part of the message.
    moved: Instant,
    phase: Phase,
    /// The address that the attempt is at.
    visit: Option<Visit>,
}

/// What an attempt does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// It is on its way to a message; it may be ended at any time, for no host has anything yet.
    Before,
    /// It sends a message, and to break that off could deliver it twice.
    Message {
        /// Since then.
        since: Instant,
    },
}

/// Why a wait was ended before there was anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overdue {
    /// The attempt has lasted as long as it may.
    Attempt,
    /// The attempt waited longer than others, and its place was needed.
    Displaced,
    /// The step took too long.
    Step,
}

impl Default for State {
    fn default() -> Self {
        Self { until: None, moved: Instant::now(), phase: Phase::Before, visit: None }
    }
}

impl Patience {
    /// For an attempt that begins now and may wait for so long in all.
    pub(crate) fn new(limit: Duration) -> Self {
        let until = Instant::now().checked_add(limit);
        let state = Mutex::new(State { until, ..State::default() });
        Self { state, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a step that may take `limit`.
    pub(crate) async fn wait<T>(
        &self,
        limit: Duration,
        step: impl Future<Output = T>,
    ) -> Result<T, Overdue> {
        let step_ends = Instant::now().checked_add(limit);
        self.wait_until(step_ends, step).await
    }

    /// Waits for something that has a limit of its own.
    pub(crate) async fn wait_for<T>(&self, step: impl Future<Output = T>) -> Result<T, Overdue> {
        self.wait_until(None, step).await
    }

    async fn wait_until<T>(
        &self,
        step_ends: Option<Instant>,
        step: impl Future<Output = T>,
    ) -> Result<T, Overdue> {
        let Some(attempt_ends) = self.ends() else {
            return within(step_ends, step).await.ok_or(Overdue::Step);
        };
        let (ends, overdue) = match step_ends {
            Some(step_ends) if step_ends < attempt_ends => (step_ends, Overdue::Step),
            Some(_) | None => (attempt_ends, Overdue::Attempt),
        };
        tokio::select! {
            biased;
            done = within(Some(ends), step) => done.ok_or(overdue),
            () = self.displaced.cancelled() => Err(Overdue::Displaced),
        }
    }

    /// When a wait that begins now ends with the attempt; none where it does not.
    fn ends(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Before => state.until,
            Phase::Message { .. } => None,
        }
    }

    /// As much of `limit` as the attempt has left.
    pub(crate) fn at_most(&self, limit: Duration) -> Duration {
        match self.ends() {
            Some(until) => limit.min(until.saturating_duration_since(Instant::now())),
            None => limit,
        }
    }

    /// Why the attempt may not go on to another host, if it may not.
    pub(crate) fn overdue(&self) -> Option<Overdue> {
        if self.displaced.is_cancelled() {
            return Some(Overdue::Displaced);
        }
        self.ends().filter(|until| *until <= Instant::now()).map(|_| Overdue::Attempt)
    }

    /// The attempt is at another address now.
    pub(crate) fn arrive(&self, visit: Visit) {
        self.state().visit = Some(visit);
    }

    /// A host was heard, or took a part of the message.
    pub(crate) fn moved(&self) {
        let mut state = self.state();
        state.moved = Instant::now();
        if let Some(visit) = &mut state.visit {
            visit.heard();
        }
        drop(state);
        self.heard.notify_waiters();
    }

    /// A host has dealt with a message, whatever it made of it.
    pub(crate) fn dealt_with(&self) {
        if let Some(visit) = &self.state().visit {
            visit.dealt_with();
        }
    }

    /// The message begins: from now on nothing but its own limits end the attempt.
    pub(crate) fn message_begins(&self) {
        self.state().phase = Phase::Message { since: Instant::now() };
    }

    /// The message has ended, one way or the other; the time it took is not the attempt's.
    pub(crate) fn message_ended(&self) {
        let mut state = self.state();
        if let Phase::Message { since } = state.phase {
            state.until = state.until.and_then(|until| until.checked_add(since.elapsed()));
        }
        state.phase = Phase::Before;
    }

    /// Since when nothing was heard, of an attempt whose place may be given to another.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Before if !self.displaced.is_cancelled() => Some(state.moved),
            Phase::Before | Phase::Message { .. } => None,
        }
    }

    /// Ends the attempt's waits, for its place is needed.
    pub(crate) fn displace(&self) {
        self.displaced.cancel();
    }

    /// Whether its place was needed.
    #[cfg(test)]
    pub(crate) fn is_displaced(&self) -> bool {
        self.displaced.is_cancelled()
    }

    /// Waits until nothing has been heard for so long.
    pub(crate) async fn until_idle(&self, idle: Duration) {
        loop {
            let over = self.state().moved.checked_add(idle);
            let Some(over) = over else { return std::future::pending().await };
            if over <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(over).await;
        }
    }

    /// Waits until nothing has been heard for [`STALLED_AFTER`], and notes it for the address.
    pub(crate) async fn until_stalled(&self) {
        self.until_idle(STALLED_AFTER).await;
        if let Some(visit) = &mut self.state().visit {
            visit.stalls();
        }
    }

    /// Waits until a host is heard.
    pub(crate) async fn until_moved(&self) {
        self.heard.notified().await;
    }
}

async fn within<T>(ends: Option<Instant>, step: impl Future<Output = T>) -> Option<T> {
    match ends {
        Some(ends) => timeout_at(ends, step).await.ok(),
        None => Some(step.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn never() {
        std::future::pending::<()>().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_step_or_with_the_attempt() {
        let patience = Patience::new(10 * MINUTE);
        assert_eq!(patience.wait(MINUTE, async { 1 }).await, Ok(1));
        for _ in 0..2 {
            assert_eq!(patience.wait(4 * MINUTE, never()).await, Err(Overdue::Step));
        }
        assert_eq!(patience.at_most(4 * MINUTE), 2 * MINUTE);
        assert_eq!(patience.overdue(), None);
        assert_eq!(patience.wait(4 * MINUTE, never()).await, Err(Overdue::Attempt));
        assert_eq!(patience.overdue(), Some(Overdue::Attempt));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_a_message_takes_is_not_the_attempts() {
        let patience = Patience::new(10 * MINUTE);
        tokio::time::advance(6 * MINUTE).await;
        patience.message_begins();
        patience.displace();
        assert_eq!(patience.wait(60 * MINUTE, never()).await, Err(Overdue::Step));
        assert_eq!(patience.idle_since(), None);
        patience.message_ended();
        assert_eq!(patience.at_most(60 * MINUTE), 4 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_whose_place_is_needed_waits_no_longer() {
        let patience = Patience::new(10 * MINUTE);
        patience.displace();
        assert_eq!(patience.wait(MINUTE, never()).await, Err(Overdue::Displaced));
        assert_eq!(patience.overdue(), Some(Overdue::Displaced));
        assert_eq!(patience.idle_since(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_stalled_once_nothing_was_heard_for_long() {
        let patience = Patience::new(10 * MINUTE);
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(20)).await;
        patience.moved();
        patience.until_stalled().await;
        assert_eq!(began.elapsed(), Duration::from_secs(20) + STALLED_AFTER);
    }
}
