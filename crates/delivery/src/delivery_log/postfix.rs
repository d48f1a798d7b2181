//! The same in the form of Postfix's log, once of each recipient, where the operator asks for that.
//!
//! The events for those lines have a target of their own, which nobody hears otherwise.

use std::net::SocketAddr;

use mail::{DeliveryResult, Reason};
use queue::Settled;
use tracing::Level;
use tracing::field::display;

use crate::recipient::RecipientResult;

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
