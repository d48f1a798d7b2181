//! From the end of an attempt to its settlement: at once, or with the other failures of its message.

use mail::{DelayNotice, DeliveryResult, Failure, FailureCause, Outcome, Reason};
use queue::{Draft, Lease, LeaseResult, Queue, StoreError};
use tokio::time::Instant;

use crate::client::Client;
use crate::delivery_log::{tell, tell_as_postfix};
use crate::gathering::{Gathering, Part};
use crate::notice::{is_bad_news, notice, noticed};
use crate::recipient::RecipientResult;
use crate::recorder::records;
use crate::status::Status;

/// What settlements need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settling<'a> {
    pub(crate) client: &'a Client,
    pub(crate) queue: &'a Queue,
    pub(crate) gathering: &'a Gathering,
}

impl Settling<'_> {
    /// Settles an attempt, unless its sender is to have a report of it and there are recipients left
    /// who may fail as well: then only those who have the message are settled, and the rest waits
    /// for the report.
    pub(crate) async fn settle(self, part: Part) {
        if !is_bad_news(self.client, &part) {
            return self.conclude(vec![part]).await;
        }
        // Where that cannot be told, nobody is waited for.
        let open = self.queue.open_recipients(part.lease.id()).await.unwrap_or(0);
        let tried = part.results.len();
        if open <= tried {
            return self.conclude(vec![part]).await;
        }
        let Some(part) = Box::pin(self.settle_delivered(part)).await else { return };
        part.lease.park();
        let open = open.saturating_sub(tried.saturating_sub(part.results.len()));
        if let Some(parts) = self.gathering.add(part, open, Instant::now()) {
            Box::pin(self.conclude(parts)).await;
        }
    }

    /// Settles those who have the message; what is left of the attempt, if that was possible.
    async fn settle_delivered(self, Part { mut lease, results }: Part) -> Option<Part> {
        if !results.iter().any(is_delivered) {
            return Some(Part { lease, results });
        }
        let message = lease.message();
        let kept = results.iter().filter(|one| is_delivered(one));
        let records = records(self.client.recorder.as_ref(), message, kept);
        let outcomes = outcomes(&results);
        let (delivered, left): (Vec<_>, Vec<_>) = results.into_iter().partition(is_delivered);
        let notice = match notice(self.client, self.queue, &lease, delivered.iter()).await {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "notification not written: mail deferred");
                None
            }
        };
        let notification = notice.as_ref().map(Draft::id);
        let settled = self
            .queue
            .settle_delivered(&mut lease, LeaseResult { outcomes, records }, notice)
            .await;
        tell(&delivered, notification, self.client.observer.as_ref());
        tell_as_postfix(&delivered, None);
        match settled {
            Ok(()) => Some(Part { lease, results: left }),
            Err(error) => {
                lost(&error);
                None
            }
        }
    }

    /// Settles attempts for one message, with the report of what has failed in them.
    pub(crate) async fn conclude(self, parts: Vec<Part>) {
        let Some(lease) = parts.first().map(|part| &part.lease) else { return };
        let id = lease.id();
        let all = parts.iter().flat_map(|part| &part.results);
        let (notice, parts) = match notice(self.client, self.queue, lease, all).await {
            Ok(Some(notice)) => {
                let told = |Part { lease, results }| {
                    let one = |result| noticed(self.client, &lease, result);
                    let results = results.into_iter().map(one).collect();
                    Part { lease, results }
                };
                (Some(notice), parts.into_iter().map(told).collect())
            }
            Ok(None) => (None, parts),
            Err(error) => {
                tracing::error!(%error, "notification not written: mail deferred");
                (None, parts.into_iter().map(put_off).collect())
            }
        };
        let notification = notice.as_ref().map(Draft::id);
        let mut settlements = Vec::with_capacity(parts.len());
        let mut told = Vec::with_capacity(parts.len());
        for Part { lease, results } in parts {
            let recorder = self.client.recorder.as_ref();
            let records = records(recorder, lease.message(), results.iter());
            let result = LeaseResult { outcomes: outcomes(&results), records };
            settlements.push((with_delays(lease, &results), result));
            told.push(results);
        }
        let settled = self.queue.settle_together(id, settlements, notice).await;
        let each = settled.as_deref().unwrap_or_default();
        for (place, results) in told.iter().enumerate() {
            tell(results, notification, self.client.observer.as_ref());
            tell_as_postfix(results, each.get(place));
        }
        if each.iter().any(|settled| settled.message_gone) {
            self.gathering.forget(id);
        }
        if let Err(error) = settled {
            lost(&error);
        }
    }
}

/// What the queue keeps of these results.
fn outcomes(results: &[RecipientResult]) -> Vec<Outcome> {
    results.iter().map(|one| one.record.result.outcome()).collect()
}

/// The lease with what the sender knows of delays.
fn with_delays(mut lease: Lease, results: &[RecipientResult]) -> Lease {
    let is_sent = |one: &RecipientResult| one.recipient.delay == DelayNotice::Sent;
    lease.delay_notices_sent(|place| results.get(place).is_some_and(is_sent));
    lease
}

/// Whether a host has the message for a recipient.
const fn is_delivered(result: &RecipientResult) -> bool {
    match result.record.result {
        DeliveryResult::Delivered { .. } => true,
        DeliveryResult::Bounced(_) | DeliveryResult::Deferred(_) => false,
    }
}

/// Says that the queue does not know what was delivered.
fn lost(error: &StoreError) {
    let error = error.in_full();
    tracing::error!(error, "delivery result not saved: message may be delivered twice");
}

/// A bounce that cannot be told of is no bounce yet.
fn put_off(Part { lease, results }: Part) -> Part {
    let says_who_acts = [FailureCause::Policy, FailureCause::Refused, FailureCause::Undecided];
    let deferred = |Failure { cause, reason }: Failure| {
        let text = format!("the sender cannot be notified yet: {}", reason.text);
        let reason = Reason { enhanced: Status::OwnSystem.code(), text, ..reason };
        let cause = if says_who_acts.contains(&cause) { cause } else { FailureCause::OwnSystem };
        DeliveryResult::Deferred(Failure { cause, reason })
    };
    let one = |one: RecipientResult| {
        one.map(|result| match result {
            DeliveryResult::Bounced(failure) => deferred(failure),
            other @ (DeliveryResult::Deferred(_) | DeliveryResult::Delivered { .. }) => other,
        })
    };
    Part { lease, results: results.into_iter().map(one).collect() }
}
