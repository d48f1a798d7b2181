//! From the end of an attempt to its settlement: at once, or with the other failures of its message.

use mail::{DeliveryRecord, DeliveryResult, Failure, FailureCause, Reason};
use queue::{Draft, Queue, StoreError};
use tokio::time::Instant;

use crate::client::Client;
use crate::gathering::{Gathering, Part};
use crate::mail_log::Tried;
use crate::notice::{is_bad_news, notice, passed_on};
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
        if !is_bad_news(self.client, &part) || self.is_last(&part) {
            return self.conclude(vec![part]).await;
        }
        let Some(part) = self.settle_delivered(part).await else { return };
        part.lease.park();
        let open = self.queue.open_recipients(part.lease.id()).unwrap_or(0);
        if let Some(parts) = self.gathering.add(part, open, Instant::now()) {
            Box::pin(self.conclude(parts)).await;
        }
    }

    /// Whether nobody of the message is left but these recipients, as far as can be told.
    fn is_last(self, part: &Part) -> bool {
        let open = self.queue.open_recipients(part.lease.id());
        open.is_ok_and(|open| open <= part.lease.recipients().len())
    }

    /// Settles those who have the message; what is left of the attempt, if that was possible.
    async fn settle_delivered(self, part: Part) -> Option<Part> {
        let is_delivered = |ended: &DeliveryRecord| match ended.result {
            DeliveryResult::Delivered { .. } => true,
            DeliveryResult::Bounced(_) | DeliveryResult::Deferred(_) => false,
        };
        if !part.ended.iter().any(is_delivered) {
            return Some(part);
        }
        let notice = match passed_on(self.client, self.queue, &part).await {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "notification not written: mail deferred");
                None
            }
        };
        let Part { mut lease, ended } = part;
        let notification = notice.as_ref().map(Draft::id);
        let is_kept = |place: usize| ended.get(place).is_some_and(is_delivered);
        let tried = Tried::of(&lease, notification).only(is_kept);
        let outcomes = ended.iter().map(|one| one.result.outcome()).collect();
        let settled = self.queue.settle_delivered(&mut lease, outcomes, notice).await;
        let (delivered, left): (Vec<_>, Vec<_>) = ended.into_iter().partition(is_delivered);
        tried.tell(&delivered, self.client.observer.as_ref());
        tried.tell_as_postfix(&delivered, None);
        match settled {
            Ok(_left) => Some(Part { lease, ended: left }),
            Err(error) => {
                lost(&error);
                None
            }
        }
    }

    /// Settles attempts for one message, with the report of what has failed in them.
    pub(crate) async fn conclude(self, mut parts: Vec<Part>) {
        let Some(id) = parts.first().map(|part| part.lease.id()) else { return };
        let notice = match notice(self.client, self.queue, &mut parts).await {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "notification not written: mail deferred");
                for part in &mut parts {
                    part.ended = put_off(std::mem::take(&mut part.ended));
                }
                None
            }
        };
        let notification = notice.as_ref().map(Draft::id);
        let (mut settlements, mut told) = (Vec::new(), Vec::new());
        for Part { lease, ended } in parts {
            let outcomes = ended.iter().map(|ended| ended.result.outcome()).collect();
            told.push((Tried::of(&lease, notification), ended));
            settlements.push((lease, outcomes));
        }
        let settled = self.queue.settle_together(id, settlements, notice).await;
        let each = settled.as_deref().unwrap_or_default();
        for (place, (tried, ended)) in told.iter().enumerate() {
            tried.tell(ended, self.client.observer.as_ref());
            tried.tell_as_postfix(ended, each.get(place));
        }
        if each.iter().any(|settled| settled.message_gone) {
            self.gathering.forget(id);
        }
        if let Err(error) = settled {
            lost(&error);
        }
    }
}

/// Says that the queue does not know what was delivered.
fn lost(error: &StoreError) {
    let error = error.in_full();
    tracing::error!(error, "delivery result not saved: message may be delivered twice");
}

/// A bounce that cannot be told of is no bounce yet.
fn put_off(ended: Vec<DeliveryRecord>) -> Vec<DeliveryRecord> {
    let says_who_acts = [FailureCause::Policy, FailureCause::Refused, FailureCause::Undecided];
    let deferred = |Failure { cause, reason }: Failure| {
        let text = format!("the sender cannot be notified yet: {}", reason.text);
        let reason = Reason { enhanced: Status::OwnSystem.code(), text, ..reason };
        let cause = if says_who_acts.contains(&cause) { cause } else { FailureCause::OwnSystem };
        DeliveryResult::Deferred(Failure { cause, reason })
    };
    let one = |ended: DeliveryRecord| DeliveryRecord {
        result: match ended.result {
            DeliveryResult::Bounced(failure) => deferred(failure),
            other @ (DeliveryResult::Deferred(_) | DeliveryResult::Delivered { .. }) => other,
        },
        ..ended
    };
    ended.into_iter().map(one).collect()
}
