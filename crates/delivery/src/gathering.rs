//! Failures of one message, gathered for a while, so that its sender gets one report of all of
//! them (RFC 3464 §2) and not one for each domain or transaction.
//!
//! Their leases are kept meanwhile: nothing is settled before the report is in the queue with it, so
//! a relay that ends has lost no report and sends none twice; it makes these attempts again. The
//! report is made as soon as every recipient who is left has failed, or its time has come. The more
//! reports a message has had, the longer the next one waits: recipients whose lifetime ends one
//! after the other do not cost the sender a report each.
//!
//! The reasons: `docs/decisions/0016-one-report-for-many-failures.md`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail::QueueId;
use queue::Lease;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::recipient::RecipientResult;

/// How long the first report of a message waits for another failure, and for all of them.
const QUIET: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// How long its second report waits, and how long every further one.
const LATER_WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(10 * 60)];

/// How many recipients may wait for a report, of all messages together: beyond that the report that
/// has waited longest is made at once.
const RECIPIENTS: usize = 10_000;

/// How many messages are remembered that have had a report.
const REMEMBERED: usize = 10_000;

/// What an attempt has brought, before it is settled.
#[derive(Debug)]
pub(crate) struct Part {
    /// Whose attempt it was.
    pub(crate) lease: Lease,
    /// What became of its recipients, in their order.
    pub(crate) results: Vec<RecipientResult>,
}

/// The failures that wait for their report.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    state: Mutex<State>,
    /// Wakes who makes the reports when there is one to wait for.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<QueueId, Pending>,
    /// How many recipients wait.
    recipients: usize,
    /// How many reports each message has had.
    reported: HashMap<QueueId, usize>,
}

/// What waits for the report of one message.
#[derive(Debug)]
struct Pending {
    parts: Vec<Part>,
    recipients: usize,
    since: Instant,
    due: Instant,
}

impl Gathering {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a failure in, of a message that has `open` recipients who are not settled; gives all
    /// parts of a message back whose report is to be made now.
    pub(crate) fn add(&self, part: Part, open: usize, now: Instant) -> Option<Vec<Part>> {
        let id = part.lease.id();
        let count = part.lease.recipients().len();
        let mut state = self.state();
        let had = state.reported.get(&id).copied();
        let pending = state.pending.entry(id).or_insert_with(|| Pending::new(now));
        pending.due = pending.due(had, now);
        pending.recipients = pending.recipients.saturating_add(count);
        pending.parts.push(part);
        let is_whole = pending.recipients >= open;
        state.recipients = state.recipients.saturating_add(count);
        if is_whole {
            return state.take(id);
        }
        if state.recipients > RECIPIENTS {
            let longest = state.pending.iter().min_by_key(|(_, pending)| pending.since);
            let longest = longest.map(|(id, _)| *id)?;
            return state.take(longest);
        }
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Waits until the time of a report has come, and gives its parts.
    pub(crate) async fn next(&self) -> Vec<Part> {
        loop {
            let (next, due) = {
                let mut state = self.state();
                let first = state.pending.iter().min_by_key(|(_, pending)| pending.due);
                let first = first.map(|(id, pending)| (*id, pending.due));
                match first {
                    Some((id, due)) if due <= Instant::now() => (state.take(id), None),
                    Some((_, due)) => (None, Some(due)),
                    None => (None, None),
                }
            };
            if let Some(parts) = next {
                return parts;
            }
            let time = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = time => {}
            }
        }
    }

    /// Gives what waits for a report, whatever its time is: the relay ends.
    pub(crate) fn any(&self) -> Option<Vec<Part>> {
        let mut state = self.state();
        let id = state.pending.keys().next().copied()?;
        state.take(id)
    }

    /// A message has left the queue: it gets no further report.
    pub(crate) fn forget(&self, id: QueueId) {
        self.state().reported.remove(&id);
    }
}

impl State {
    /// Takes the parts of a message out, for its report.
    fn take(&mut self, id: QueueId) -> Option<Vec<Part>> {
        let pending = self.pending.remove(&id)?;
        self.recipients = self.recipients.saturating_sub(pending.recipients);
        if self.reported.len() >= REMEMBERED {
            self.reported.clear();
        }
        let had = self.reported.entry(id).or_default();
        *had = had.saturating_add(1);
        Some(pending.parts)
    }
}

impl Pending {
    const fn new(now: Instant) -> Self {
        Self { parts: Vec::new(), recipients: 0, since: now, due: now }
    }

    /// When the report is due, where a failure has come `now` and the message has had so many.
    fn due(&self, had: Option<usize>, now: Instant) -> Instant {
        let after = |wait: Duration| self.since.checked_add(wait).unwrap_or(self.since);
        match had.and_then(|had| had.checked_sub(1)) {
            None => now.checked_add(QUIET).unwrap_or(now).min(after(FIRST_WAIT)),
            Some(further) => {
                let [second, others] = LATER_WAITS;
                after(if further == 0 { second } else { others })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_report_waits_for_quiet_and_a_further_one_of_its_message_for_longer() {
        let since = Instant::now();
        let after = |seconds: u64| since + Duration::from_secs(seconds);
        let pending = Pending::new(since);
        for (had, seconds, due) in [
            (None, 0, 5),
            (None, 30, 35),
            (None, 58, 60),
            (Some(1), 0, 60),
            (Some(1), 59, 60),
            (Some(2), 3, 600),
            (Some(40), 3, 600),
        ] {
            assert_eq!(pending.due(had, after(seconds)), after(due), "{had:?} {seconds}");
        }
    }
}
