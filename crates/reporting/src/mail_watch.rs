//! What became of reports in the queue, as delivery tells it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail::{DeliveryRecord, DeliveryResult, FailureCause, QueueId};
use tls_rpt::Destination;
use tokio::time::Instant;

use crate::hand_over::ReportResult;
use crate::kept::ReportKey;

/// How long a message may have left the queue before delivery has told what became of it.
const TELLING_TIME: Duration = Duration::from_secs(5);

/// The messages of reports that are in the queue; there are no more than there are kept reports.
#[derive(Debug, Default)]
pub(crate) struct MailWatch(Mutex<HashMap<QueueId, Watched>>);

/// A message in the queue.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) report: ReportKey,
    pub(crate) destination: Destination,
    /// What became of it.
    pub(crate) result: Option<MailResult>,
    /// Since when it is known to have left the queue.
    missing_since: Option<Instant>,
}

/// What became of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MailResult {
    pub(crate) result: ReportResult,
    /// The reply of the host, or the reason.
    pub(crate) reply: String,
}

impl MailWatch {
    /// Watches a message.
    pub(crate) fn watch(&self, id: QueueId, report: ReportKey, destination: Destination) {
        let watched = Watched { report, destination, result: None, missing_since: None };
        drop(self.lock().insert(id, watched));
    }

    /// Forgets a message.
    pub(crate) fn forget(&self, id: QueueId) {
        drop(self.lock().remove(&id));
    }

    /// Notes what became of a message, if it is one of ours; it must not wait, and does not.
    pub(crate) fn finished(&self, record: &DeliveryRecord) {
        let mut watched = self.lock();
        if let Some(one) = watched.get_mut(&record.attempt.queue_id)
            && let Some(result) = MailResult::of(&record.result)
        {
            one.result = Some(result);
        }
    }

    /// Takes out those that are over.
    pub(crate) fn take_finished(&self) -> Vec<(QueueId, Watched)> {
        self.lock().extract_if(|_, watched| watched.result.is_some()).collect()
    }

    /// Those that are not over.
    pub(crate) fn waiting(&self) -> Vec<QueueId> {
        let watched = self.lock();
        watched.iter().filter(|(_, one)| one.result.is_none()).map(|(id, _)| *id).collect()
    }

    /// Notes that a message is not in the queue; taken out where that was noted a while before, for
    /// delivery tells of a message after it has left.
    pub(crate) fn missing(&self, id: QueueId) -> Option<Watched> {
        let mut watched = self.lock();
        let one = watched.get_mut(&id).filter(|one| one.result.is_none())?;
        let since = *one.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= TELLING_TIME { watched.remove(&id) } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailResult {
    /// What is over with this result; nothing where there will be another attempt.
    fn of(result: &DeliveryResult) -> Option<Self> {
        match result {
            DeliveryResult::Deferred(_) => None,
            DeliveryResult::Delivered { reply, .. } => {
                Some(Self { result: ReportResult::Accepted, reply: reply.clone() })
            }
            DeliveryResult::Bounced(failure) => {
                let reason = &failure.reason;
                let reply = reason.reply.as_ref().unwrap_or(&reason.text).clone();
                let is_late = [FailureCause::Expired, FailureCause::Undecided];
                let result = if is_late.contains(&failure.cause) {
                    ReportResult::Expired
                } else {
                    ReportResult::Refused
                };
                Some(Self { result, reply })
            }
        }
    }
}
