//! Telling a sender that an operator has removed a message (RFC 5321 §6.1).

use std::sync::Arc;
use std::time::SystemTime;

use dkim::SigningTable;
use queue::{BeginError, CommitError, Details, Draft, Queue, Reason, ReasonClass};
use smtp::{Class, Domain, EnhancedCode};

use crate::dsn::{About, News};
use crate::notice::{NoticeError, Subject};

/// X.3.0: other or undefined mail system status.
const REMOVED: EnhancedCode = EnhancedCode::new(Class::Permanent, 3, 0);

/// There is no notification of a removal.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The queue takes none.
    #[error("the notification was not begun")]
    Begin(#[from] BeginError),
    /// It could not be written.
    #[error("the notification was not written")]
    Write(#[from] CommitError),
}

impl From<NoticeError> for RemovalError {
    fn from(error: NoticeError) -> Self {
        match error {
            NoticeError::Begin(error) => Self::Begin(error),
            NoticeError::Write(error) => Self::Write(error),
        }
    }
}

/// Who tells senders of it (RFC 3464 §2.2.2).
#[derive(Clone, Debug)]
pub struct ReportingMta {
    /// The relay's own name.
    pub hostname: Domain,
    /// Who signs for it.
    pub signing: Arc<SigningTable>,
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
    mta: &ReportingMta,
    now: SystemTime,
) -> Result<Option<Draft>, RemovalError> {
    let reason = Reason::new(
        ReasonClass::Other,
        REMOVED,
        "the operator of the mail relay has removed the message",
    );
    let news = News::Failed(&reason);
    let about: Vec<About<'_>> = message
        .entries
        .iter()
        .flat_map(|entry| &entry.recipients)
        .filter(|left| news.is_wanted(&left.recipient))
        .map(|left| About { recipient: &left.recipient, news })
        .collect();
    let subject = Subject {
        hostname: &mta.hostname,
        signing: &mta.signing,
        now,
        id: message.id,
        message: &message.message,
        retry_until: None,
    };
    Ok(subject.draft(queue, &about, queue.store().body(message.id)).await?)
}
