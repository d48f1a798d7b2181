//! Telling a sender that recipients got nothing (RFC 5321 §6.1).

use queue::{BeginError, CommitError, Draft, Lease, Outcome, OwnMessage, Queue, Recipient};
use rand::Rng;
use smtp::{BodyType, Smtputf8};

use crate::attempt::Ended;
use crate::client::Client;
use crate::dsn::{Failure, FailureNotice, RETURNED_HEADER_MAX};
use crate::header::head;

/// Why there is no notification.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BounceError {
    /// The queue takes none.
    #[error("the notification was not begun: {0}")]
    Begin(#[from] BeginError),
    /// It could not be written.
    #[error("the notification was not written: {0}")]
    Write(#[from] CommitError),
}

/// Writes the notification of those recipients who bounced; it enters the queue together with the
/// outcomes that it tells of.
///
/// None where nobody bounced, and none where nobody can be told: a notification is never answered
/// by another (RFC 5321 §6.1, RFC 3464 §2).
pub(crate) async fn bounce(
    client: &Client,
    queue: &Queue,
    lease: &Lease,
    ended: &[Ended],
) -> Result<Option<Draft>, BounceError> {
    let failures: Vec<Failure<'_>> = lease
        .recipients()
        .iter()
        .zip(ended)
        .filter_map(|(recipient, ended)| match &ended.outcome {
            Outcome::Bounced(reason) => Some(Failure { recipient: &recipient.mailbox, reason }),
            Outcome::Deferred(_) | Outcome::Delivered { .. } => None,
        })
        .collect();
    let message = lease.message();
    let Some(sender) = message.reverse_path.mailbox().filter(|_| !failures.is_empty()) else {
        return Ok(None);
    };
    // Better a notification without the headers than none.
    let head = head(lease, RETURNED_HEADER_MAX).await.unwrap_or_else(|error| {
        tracing::error!(%error, "headers not returned");
        Vec::new()
    });
    let mut draft = queue.begin_own(OwnMessage {
        recipients: vec![Recipient::new(sender.clone())],
        body: match message.smtputf8 {
            Smtputf8::NotRequested => BodyType::SevenBit,
            Smtputf8::Requested => BodyType::EightBitMime,
        },
        smtputf8: message.smtputf8,
        purpose: queue::Purpose::Mail,
    })?;
    let notice = FailureNotice {
        hostname: &client.settings.hostname,
        id: draft.id(),
        boundary: &format!("{}/{:016x}", draft.id(), rand::rng().random::<u64>()),
        now: client.clock.now(),
        sender,
        message: lease.id(),
        arrived: message.received_at,
        smtputf8: message.smtputf8,
        failures: &failures,
        head: &head,
    };
    draft.write(&notice.to_bytes()).await?;
    Ok(Some(draft))
}
