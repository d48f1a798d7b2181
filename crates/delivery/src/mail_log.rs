//! What the log tells of a delivery: once of all recipients who share their fate, each by name; and
//! where the operator asks for lines in the form of Postfix's log, once of each.
//!
//! The events for those lines have a target of their own, which nobody hears otherwise.

use std::time::{Duration, SystemTime};

use queue::{Lease, Outcome, QueueId, Reason, Settled};
use smtp::MailboxDomain;
use tracing::Level;
use tracing::field::display;

use crate::attempt::Ended;
use crate::observer::{Handover, Observer};

/// What is known of an attempt that has ended, beside its outcomes.
#[derive(Debug)]
pub(crate) struct Tried {
    queue_id: QueueId,
    domain: MailboxDomain,
    recipients: Vec<String>,
    /// Which attempt it was, counted from 1.
    attempts: u32,
    queued_for: Duration,
    /// The message that tells the sender of it, if one does.
    notification: Option<QueueId>,
}

impl Tried {
    /// An attempt for `lease` that ended at `now`.
    pub(crate) fn of(lease: &Lease, now: SystemTime, notification: Option<QueueId>) -> Self {
        Self {
            queue_id: lease.id(),
            domain: lease.destination().clone(),
            recipients: lease.recipients().iter().map(|one| one.mailbox.to_string()).collect(),
            attempts: lease.attempts().saturating_add(1),
            queued_for: lease.queued_for(now),
            notification,
        }
    }

    /// The same for those recipients alone that `is_meant` names, by their place.
    pub(crate) fn only(self, is_meant: impl Fn(usize) -> bool) -> Self {
        let recipients = self.recipients.into_iter().enumerate();
        let recipients = recipients.filter(|(place, _)| is_meant(*place)).map(|(_, one)| one);
        Self { recipients: recipients.collect(), ..self }
    }

    /// Tells the log and the observer, once for all recipients who share their fate.
    pub(crate) fn tell(&self, ended: &[Ended], observer: &dyn Observer) {
        let mut alike: Vec<(&Ended, Vec<&str>)> = Vec::new();
        for (one, recipient) in ended.iter().zip(&self.recipients) {
            match alike.iter_mut().find(|(other, _)| *other == one) {
                Some((_, recipients)) => recipients.push(recipient),
                None => alike.push((one, vec![recipient])),
            }
        }
        for (Ended { outcome, terms, .. }, recipients) in alike {
            let handover = Handover {
                queue_id: self.queue_id,
                domain: &self.domain,
                recipients: recipients.len(),
                outcome,
                terms: *terms,
                queued_for: self.queued_for,
            };
            self.log(&handover, &recipients.join(", "));
            observer.finished(&handover);
        }
    }

    /// A line for recipients who share their fate.
    fn log(&self, handover: &Handover<'_>, to: &str) {
        let Handover { queue_id, domain, recipients, outcome, terms, .. } = handover;
        let (policy, why, tls) = (terms.policy, terms.why, terms.tls);
        let (delay, attempts) = (seconds(self.queued_for), self.attempts);
        let notification = self.notification.map(display);
        match outcome {
            Outcome::Delivered { mx, addr, reply } => {
                let addr = addr.map(display);
                tracing::info!(
                    %queue_id, to, %domain, recipients, mx, addr, policy, why, tls, reply, delay,
                    attempts, notification, "delivered"
                );
            }
            Outcome::Deferred(Reason { enhanced, class, text, mx, addr, reply, .. }) => {
                let (mx, addr, reply) = (mx.as_deref(), addr.map(display), reply.as_deref());
                tracing::info!(
                    %queue_id, to, %domain, recipients, mx, addr, policy, why, tls, reply,
                    status = %enhanced, waiting = class.word(), error = text, delay, attempts,
                    notification, "deferred"
                );
            }
            Outcome::Bounced(Reason { enhanced, text, mx, addr, reply, .. }) => {
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
    pub(crate) fn tell_as_postfix(&self, ended: &[Ended], settled: Option<&Settled>) {
        if !tracing::enabled!(target: "maillog", Level::INFO) {
            return;
        }
        let queue_id = self.queue_id;
        for (to, Ended { outcome, .. }) in self.recipients.iter().zip(ended) {
            let (status, mx, addr, dsn, reply) = match outcome {
                Outcome::Bounced(reason) | Outcome::Deferred(reason) => {
                    let bounced = matches!(outcome, Outcome::Bounced(_));
                    let status = if bounced { "bounced" } else { "deferred" };
                    let reply = reason.reply.as_ref().unwrap_or(&reason.text);
                    let (mx, addr) = (reason.mx.as_deref(), reason.addr);
                    (status, mx, addr, reason.enhanced.to_string(), reply)
                }
                Outcome::Delivered { mx, addr, reply } => {
                    ("sent", Some(mx.as_str()), *addr, "2.0.0".to_owned(), reply)
                }
            };
            let (addr, delay) = (addr.map(display), self.queued_for.as_secs_f64());
            tracing::info!(
                target: "maillog", %queue_id, to, mx, addr, delay, dsn, status, reply, "tried"
            );
        }
        if settled.is_some_and(|settled| settled.message_gone) {
            tracing::info!(target: "maillog", %queue_id, "removed");
        }
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
