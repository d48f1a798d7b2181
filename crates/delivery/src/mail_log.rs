//! What the log tells of a delivery: once of all recipients who share their fate, each by name; and
//! where the operator asks for lines in the form of Postfix's log, once of each.
//!
//! The events for those lines have a target of their own, which nobody hears otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use mail::{DeliveryRecord, DeliveryResult, Failure, QueueId, Reason};
use queue::Settled;
use tracing::Level;
use tracing::field::display;

use crate::observer::Observer;
use crate::recipient::RecipientResult;

/// Tells the log and the observer, once for all recipients who share their fate.
pub(crate) fn tell(
    results: &[RecipientResult],
    notification: Option<QueueId>,
    observer: &dyn Observer,
) {
    let mut alike: Vec<(&DeliveryRecord, Vec<String>)> = Vec::new();
    for RecipientResult { recipient, record } in results {
        let to = recipient.recipient.mailbox.to_string();
        match alike.iter_mut().find(|(other, _)| *other == record) {
            Some((_, recipients)) => recipients.push(to),
            None => alike.push((record, vec![to])),
        }
    }
    for (record, recipients) in alike {
        log(record, &recipients, notification);
        observer.finished(record, recipients.len());
    }
}

/// A line for recipients who share their fate, and the message that tells the sender of it, if one
/// does.
fn log(record: &DeliveryRecord, recipients: &[String], notification: Option<QueueId>) {
    let (queue_id, domain) = (record.attempt.queue_id, &record.attempt.destination);
    let decision = &record.next_hop.decision;
    let (policy, why, tls) = (decision.policy_word(), decision.why_word(), record.tls_word());
    let (delay, attempts) = (seconds(record.queued_for()), record.attempt.number);
    let notification = notification.map(display);
    let (to, recipients) = (recipients.join(", "), recipients.len());
    match &record.result {
        DeliveryResult::Delivered { mx, addr, reply, .. } => {
            let addr = addr.map(display);
            tracing::info!(
                %queue_id, to, %domain, recipients, mx, addr, policy, why, tls, reply, delay,
                attempts, notification, "delivered"
            );
        }
        DeliveryResult::Deferred(Failure { reason, .. }) => {
            let Reason { enhanced, class, text, mx, addr, reply, .. } = reason;
            let (mx, addr, reply) = (mx.as_deref(), addr.map(display), reply.as_deref());
            tracing::info!(
                %queue_id, to, %domain, recipients, mx, addr, policy, why, tls, reply,
                status = %enhanced, waiting = class.word(), error = text, delay, attempts,
                notification, "deferred"
            );
        }
        DeliveryResult::Bounced(Failure { reason, .. }) => {
            let Reason { enhanced, text, mx, addr, reply, .. } = reason;
            let (mx, addr, reply) = (mx.as_deref(), addr.map(display), reply.as_deref());
            tracing::info!(
                %queue_id, to, %domain, recipients, mx, addr, policy, why, tls, reply,
                status = %enhanced, error = text, delay, attempts, notification, "bounced"
            );
        }
    }
}

/// Tells what became of each recipient, and whether the message has left the queue, as Postfix
/// would.
pub(crate) fn tell_as_postfix(results: &[RecipientResult], settled: Option<&Settled>) {
    if !tracing::enabled!(target: "maillog", Level::INFO) {
        return;
    }
    for RecipientResult { recipient, record } in results {
        let (queue_id, to) = (record.attempt.queue_id, recipient.recipient.mailbox.to_string());
        let (status, mx, addr, dsn, reply) = match &record.result {
            DeliveryResult::Bounced(failure) => refused("bounced", &failure.reason),
            DeliveryResult::Deferred(failure) => refused("deferred", &failure.reason),
            DeliveryResult::Delivered { mx, addr, reply, .. } => {
                ("sent", Some(mx.as_str()), *addr, "2.0.0".to_owned(), reply)
            }
        };
        let (addr, delay) = (addr.map(display), record.queued_for().as_secs_f64());
        tracing::info!(
            target: "maillog", %queue_id, to, mx, addr, delay, dsn, status, reply, "tried"
        );
    }
    if let (Some(one), true) = (results.first(), settled.is_some_and(|one| one.message_gone)) {
        let queue_id = one.record.attempt.queue_id;
        tracing::info!(target: "maillog", %queue_id, "removed");
    }
}

/// What Postfix's log says of a recipient who has not got the message.
fn refused<'a>(
    status: &'static str,
    reason: &'a Reason,
) -> (&'static str, Option<&'a str>, Option<SocketAddr>, String, &'a String) {
    let reply = reason.reply.as_ref().unwrap_or(&reason.text);
    (status, reason.mx.as_deref(), reason.addr, reason.enhanced.to_string(), reply)
}

/// A span of time for the log: seconds, to the hundredth.
fn seconds(span: Duration) -> f64 {
    // Milliseconds of a hundred thousand years are still exact.
    let hundredths = u32::try_from(span.as_millis() / 10).unwrap_or(u32::MAX);
    f64::from(hundredths) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_told_to_the_hundredth_of_a_second() {
        for (millis, told) in [(0, 0.0), (9, 0.0), (123, 0.12), (432_000_450, 432_000.45)] {
            assert!((seconds(Duration::from_millis(millis)) - told).abs() < 1e-9, "{millis}");
        }
    }
}
