//! Telling a sender that an operator has removed a message (RFC 5321 §6.1).

use std::time::SystemTime;

use queue::{
    BeginError, BodyError, CommitError, Details, Draft, OwnMessage, Purpose, Queue, Reason,
    Recipient, StoreError,
};
use rand::Rng as _;
use smtp::{BodyType, Class, Condition, Domain, EnhancedCode, Smtputf8};
use tokio::io::AsyncReadExt as _;

use crate::dsn::{Failure, FailureNotice, RETURNED_HEADER_MAX};

/// X.3.0: other or undefined mail system status.
const REMOVED: EnhancedCode = EnhancedCode::new(Class::Permanent, 3, 0);

/// There is no notification of a removal.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The queue takes none.
    #[error("the notification was not begun")]
    Begin(#[from] BeginError),
    /// The message cannot be looked up.
    #[error("the message cannot be looked up")]
    Store(#[from] StoreError),
    /// It could not be written.
    #[error("the notification was not written")]
    Write(#[from] CommitError),
}

/// Writes the notification that everyone left of message `id` gets nothing, for
/// [`Queue::delete`], with which it enters the queue.
///
/// None where nobody can be told, for a notification is never answered by another (RFC 5321 §6.1,
/// RFC 3464 §2), and none where nobody wants to be (RFC 3461 §4.1).
///
/// # Errors
///
/// [`RemovalError`]; the message stays where it is.
pub async fn removal_notice(
    queue: &Queue,
    message: &Details,
    hostname: &Domain,
    now: SystemTime,
) -> Result<Option<Draft>, RemovalError> {
    let reason = Reason::new(REMOVED, "the operator of the mail relay has removed the message");
    let failures: Vec<Failure<'_>> = message
        .lots
        .iter()
        .flat_map(|lot| &lot.recipients)
        .filter(|left| left.recipient.notify.is_none_or(|wish| wish.on(Condition::Failure)))
        .map(|left| Failure { recipient: &left.recipient.mailbox, reason: &reason })
        .collect();
    let Some(sender) = message.message.reverse_path.mailbox().filter(|_| !failures.is_empty())
    else {
        return Ok(None);
    };
    let head = head(queue, message).await;
    let smtputf8 = message.message.smtputf8;
    let mut draft = queue.begin_own(OwnMessage {
        recipients: vec![Recipient::new(sender.clone())],
        body: match smtputf8 {
            Smtputf8::NotRequested => BodyType::SevenBit,
            Smtputf8::Requested => BodyType::EightBitMime,
        },
        smtputf8,
        purpose: Purpose::Mail,
    })?;
    let notice = FailureNotice {
        hostname,
        id: draft.id(),
        boundary: &format!("{}/{:016x}", draft.id(), rand::rng().random::<u64>()),
        now,
        sender,
        message: message.id,
        arrived: message.message.received_at,
        smtputf8,
        failures: &failures,
        head: &head,
    };
    draft.write(&notice.to_bytes()).await?;
    Ok(Some(draft))
}

/// The beginning of the message; nothing of a damaged one, for better a notification without the
/// headers than none.
async fn head(queue: &Queue, message: &Details) -> Vec<u8> {
    match read_head(queue, message).await {
        Ok(head) => head,
        Err(error) => {
            tracing::warn!(queue_id = %message.id, %error, "headers not returned");
            Vec::new()
        }
    }
}

async fn read_head(queue: &Queue, message: &Details) -> Result<Vec<u8>, BodyError> {
    let limit = u64::try_from(RETURNED_HEADER_MAX).unwrap_or(u64::MAX);
    let mut body = queue.body(message.id).await?.take(limit);
    let mut head = Vec::new();
    body.read_to_end(&mut head).await?;
    Ok(head)
}
