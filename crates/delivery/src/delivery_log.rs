//! What the log tells of a delivery: once of all recipients who share their fate, each by name.

mod postfix;

use std::time::Duration;

use mail::{Channel, DaneVerdict, DeliveryRecord, DeliveryResult, Failure, QueueId, Reason};
use smtp::in_a_row;
use tls_rpt::TlsaRecord;
use tracing::field::display;

pub(crate) use self::postfix::tell_as_postfix;
use crate::observer::Observer;
use crate::recipient::RecipientResult;
use crate::recorder::alike;

/// Tells the log and the observer, once for all recipients who share their fate.
pub(crate) fn tell(
    results: &[RecipientResult],
    notification: Option<QueueId>,
    observer: &dyn Observer,
) {
    for (record, recipients) in alike(results.iter()) {
        log(record, &recipients, notification);
        observer.finished(record, recipients.len());
    }
}

/// A line for recipients who share their fate, and the message that tells the sender of it, if one
/// does.
fn log(record: &DeliveryRecord, recipients: &[&RecipientResult], notification: Option<QueueId>) {
    let (queue_id, domain) = (record.attempt.queue_id, &record.attempt.destination);
    let decision = &record.next_hop.decision;
    let (policy, why, tls) = (decision.policy_word(), record.why_word(), record.tls_word());
    let (delay, attempts) = (seconds(record.queued_for()), record.attempt.number);
    let notification = notification.map(display);
    let mailboxes = recipients.iter().map(|one| &one.recipient.recipient.mailbox);
    let (to, recipients) = (in_a_row(mailboxes), recipients.len());
    match &record.result {
        DeliveryResult::Delivered { mx, addr, reply, .. } => {
            let (addr, protection) = (addr.map(display), record.protection().label());
            let (tlsa, exception) = (tlsa_word(record), record.exception().map(|one| &*one.id));
            tracing::info!(
                %queue_id, to, %domain, recipients, mx, addr, policy, why, exception, tls, tlsa,
                protection, reply, delay, attempts, notification, "delivered"
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

/// How many octets of a TLSA record's data a line has: as many as the longest digest.
const DATA_MAX: usize = 64;

/// What the TLSA records of the host made of the session, with the base domain that has them; none where
/// none applied.
fn tlsa_word(record: &DeliveryRecord) -> Option<String> {
    let tls = match &record.session.as_ref()?.channel {
        Channel::Clear(_) => return None,
        Channel::Tls(tls) => tls,
    };
    match &tls.dane {
        DaneVerdict::Matched { base, record } => Some(format!("{base} {}", shortened(record))),
        DaneVerdict::NotApplied => None,
        DaneVerdict::NotMatched { base, .. } => Some(format!("{base} not matched")),
        DaneVerdict::Unusable { base } => Some(format!("{base} unusable")),
    }
}

/// A record, of whose data no more is told than tells it from others.
fn shortened(record: &TlsaRecord) -> String {
    match record.data.get(..DATA_MAX) {
        Some(data) if data.len() < record.data.len() => {
            let cut = TlsaRecord { data: data.to_vec(), ..record.clone() };
            format!("{cut}.. ({} octets)", record.data.len())
        }
        Some(_) | None => record.to_string(),
    }
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
