//! What a log in the form of Postfix tells of a delivery: a line for each recipient.
//!
//! The usual log tells once of all recipients who share their fate, and names none of them. These
//! events have a target of their own, which nobody hears unless the operator asks for such lines.

use std::time::Duration;

use queue::{Lease, Outcome, QueueId, Settled, StoreError};
use tracing::Level;
use tracing::field::display;

use crate::attempt::Ended;

/// The recipients of an attempt, for those lines.
#[derive(Debug)]
pub(crate) struct MailLog {
    queue_id: QueueId,
    recipients: Vec<String>,
}

impl MailLog {
    /// Those of `lease`; none where nobody listens.
    pub(crate) fn of(lease: &Lease) -> Option<Self> {
        let heard = tracing::enabled!(target: "maillog", Level::INFO);
        heard.then(|| Self {
            queue_id: lease.id(),
            recipients: lease.recipients().iter().map(|one| one.mailbox.to_string()).collect(),
        })
    }

    /// Tells what became of each, and whether the message has left the queue.
    pub(crate) fn tell(
        self,
        ended: &[Ended],
        queued_for: Duration,
        settled: &Result<Settled, StoreError>,
    ) {
        let Self { queue_id, recipients } = self;
        for (to, Ended { outcome, .. }) in recipients.iter().zip(ended) {
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
            let (addr, delay) = (addr.map(display), queued_for.as_secs_f64());
            tracing::info!(
                target: "maillog", %queue_id, to, mx, addr, delay, dsn, status, reply, "tried"
            );
        }
        if settled.as_ref().is_ok_and(|settled| settled.message_gone) {
            tracing::info!(target: "maillog", %queue_id, "removed");
        }
    }
}
