//! Telling senders what became of their mail (RFC 3461, RFC 3464): who is told, of what, and how
//! much of the message goes along.

use std::time::SystemTime;

use dkim::{MessageHash, SigningTable};
use mail::{
    DelayNotice, DeliveryResult, FailureCause, Message, Purpose, QueueId, Recipient, Reports,
    TlsRequired, in_full,
};
use queue::{BeginError, BodyError, BodyReader, CommitError, Draft, Lease, OwnMessage, Queue};
use rand::Rng as _;
use smtp::{BodyType, Domain, Notify, Ret, ReversePath, Smtputf8};
use tokio::io::AsyncReadExt as _;

use crate::client::Client;
use crate::dsn::{
    About, News, Notification, RETURNED_HEADER_MAX, RETURNED_MESSAGE_MAX, Returned, redacted,
};
use crate::gathering::Part;
use crate::recipient::{LeasedRecipient, RecipientResult};

/// Why there is no notification.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoticeError {
    /// The queue takes none.
    #[error("the notification was not begun: {0}")]
    Begin(#[from] BeginError),
    /// It could not be written.
    #[error("the notification was not written: {0}")]
    Write(#[from] CommitError),
}

/// Writes the notification of what attempts for the message of `lease` have brought that its sender
/// wants to know; it enters the queue together with the outcomes that it tells of.
///
/// None where there is no such news, and none where nobody can be told: a notification is never
/// answered by another (RFC 5321 §6.1, RFC 3464 §2).
pub(crate) async fn notice<'a>(
    client: &Client,
    queue: &Queue,
    lease: &Lease,
    results: impl Iterator<Item = &'a RecipientResult>,
) -> Result<Option<Draft>, NoticeError> {
    let late = lateness(client, lease);
    let about = |result: &'a RecipientResult| {
        let recipient = &result.recipient.recipient;
        wanted(late, result).map(|news| About { recipient, news })
    };
    let results: Vec<&RecipientResult> = results.collect();
    let is_redacted = results.iter().any(|one| is_to_be_redacted(lease, &one.record.result));
    let about: Vec<About<'_>> = results.into_iter().filter_map(about).collect();
    // What people read is the wall clock's.
    let on_wall = |time| client.clock.on_wall(time);
    let received_at = on_wall(lease.message().received_at);
    let subject = Subject {
        hostname: &client.settings.hostname,
        signing: &client.settings.signing,
        now: client.clock.wall(),
        id: lease.id(),
        message: &Message { received_at, ..lease.message().clone() },
        retry_until: lease.expires_at().map(on_wall),
    };
    if is_redacted {
        return subject.redacted(queue, lease).await;
    }
    subject.draft(queue, &about, lease.body()).await
}

/// Whether a notification has found no host that keeps to proven TLS on its further way: it is sent
/// once more, without what asks for that (RFC 8689 §5).
fn is_to_be_redacted(lease: &Lease, result: &DeliveryResult) -> bool {
    let found_no_way = match result {
        DeliveryResult::Bounced(failure) => {
            matches!(failure.cause, FailureCause::Expired | FailureCause::RequireTls)
        }
        DeliveryResult::Deferred(_) | DeliveryResult::Delivered { .. } => false,
    };
    found_no_way && lease.message().tls == TlsRequired::YesOrRedacted
}

/// Whether the sender of a message is to have a report of a failure or of a delay in this attempt.
pub(crate) fn is_bad_news(client: &Client, part: &Part) -> bool {
    let has_sender = part.lease.message().reverse_path.mailbox().is_some();
    let late = lateness(client, &part.lease);
    let is_bad = |result: &RecipientResult| match wanted(late, result) {
        Some(News::Delayed(_) | News::Failed(_)) => true,
        Some(News::Relayed { .. }) | None => false,
    };
    has_sender && part.results.iter().any(is_bad)
}

/// The same result, once a notification of it is written.
pub(crate) fn noticed(client: &Client, lease: &Lease, result: RecipientResult) -> RecipientResult {
    match wanted(lateness(client, lease), &result) {
        Some(News::Delayed(_)) => {
            let recipient = LeasedRecipient { delay: DelayNotice::Sent, ..result.recipient };
            RecipientResult { recipient, ..result }
        }
        Some(News::Failed(_) | News::Relayed { .. }) | None => result,
    }
}

/// Whether a message is so late that its sender is to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lateness {
    InTime,
    Late,
}

fn lateness(client: &Client, lease: &Lease) -> Lateness {
    let waited = lease.queued_for(client.clock.now());
    match client.settings.delay_notice {
        Some(after) if waited >= after => Lateness::Late,
        Some(_) | None => Lateness::InTime,
    }
}

/// What of a result the sender wants to know.
fn wanted(late: Lateness, result: &RecipientResult) -> Option<News<'_>> {
    let LeasedRecipient { recipient, delay, .. } = &result.recipient;
    news(&result.record.result, late, *delay).filter(|news| news.is_wanted(recipient))
}

/// What a result is to its sender, who may know of the delay.
const fn news(result: &DeliveryResult, late: Lateness, delay: DelayNotice) -> Option<News<'_>> {
    match (result, late, delay) {
        (DeliveryResult::Bounced(failure), _, _) => Some(News::Failed(&failure.reason)),
        (DeliveryResult::Deferred(failure), Lateness::Late, DelayNotice::Due) => {
            Some(News::Delayed(&failure.reason))
        }
        (DeliveryResult::Delivered { mx, addr, reply, reports: Reports::Ours }, _, _) => {
            Some(News::Relayed { mx: mx.as_str(), addr: *addr, reply: reply.as_str() })
        }
        (DeliveryResult::Deferred(_), Lateness::InTime, _)
        | (DeliveryResult::Deferred(_), Lateness::Late, DelayNotice::Sent)
        | (DeliveryResult::Delivered { reports: Reports::Passed, .. }, _, _) => None,
    }
}

/// The message that a notification is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The relay's own name.
    pub(crate) hostname: &'a Domain,
    /// Who signs for it.
    pub(crate) signing: &'a SigningTable,
    /// When the notification is written.
    pub(crate) now: SystemTime,
    /// The message's name in the queue.
    pub(crate) id: QueueId,
    /// The message.
    pub(crate) message: &'a Message,
    /// Until when it is tried.
    pub(crate) retry_until: Option<SystemTime>,
}

impl Subject<'_> {
    /// Writes a notification of this news; none where there is none, or nobody to tell.
    pub(crate) async fn draft(
        self,
        queue: &Queue,
        about: &[About<'_>],
        body: impl Future<Output = Result<BodyReader, BodyError>>,
    ) -> Result<Option<Draft>, NoticeError> {
        let message = self.message;
        let Some(sender) = message.reverse_path.mailbox().filter(|_| !about.is_empty()) else {
            return Ok(None);
        };
        let whole = self.returns_whole(about);
        // Better a notification without the headers than none.
        let (whole, bytes) = match beginning(body, whole).await {
            Ok(bytes) => (whole, bytes),
            Err(error) => {
                tracing::error!(queue_id = %self.id, error = error.in_full(), "notification written without message headers");
                (Whole::No, Vec::new())
            }
        };
        let returned = match whole {
            Whole::No => Returned::Header(&bytes),
            Whole::Yes => Returned::Whole(&bytes),
        };
        // What is sent to who sent the message is itself never answered (RFC 3461 §4.1).
        let recipient = Recipient { notify: Some(Notify::NEVER), ..Recipient::new(sender.clone()) };
        let ascii = returned.is_ascii() && message.smtputf8 == Smtputf8::NotRequested;
        let mut draft = queue.begin_own(OwnMessage {
            reverse_path: ReversePath::Null,
            recipients: vec![recipient],
            body: if ascii { BodyType::SevenBit } else { BodyType::EightBitMime },
            smtputf8: message.smtputf8,
            purpose: Purpose::Mail,
            // That a message is to arrive come what may says nothing of the way back.
            tls: match message.tls {
                TlsRequired::No | TlsRequired::Unspecified => TlsRequired::Unspecified,
                TlsRequired::Yes | TlsRequired::YesOrRedacted => TlsRequired::YesOrRedacted,
            },
        })?;
        let notification = Notification {
            hostname: self.hostname,
            id: draft.id(),
            boundary: &format!("{}/{:016x}", draft.id(), rand::rng().random::<u64>()),
            now: self.now,
            sender,
            message_id: self.id,
            message,
            retry_until: self.retry_until,
            about,
            returned,
        };
        let notification = notification.to_bytes();
        draft.write(self.signatures(&notification).as_bytes()).await?;
        draft.write(&notification).await?;
        Ok(Some(draft))
    }

    /// The notification that `lease` is, redacted, in its place; none where it is none.
    async fn redacted(self, queue: &Queue, lease: &Lease) -> Result<Option<Draft>, NoticeError> {
        let message = self.message;
        let mut notification = Vec::new();
        let read = async {
            lease.body().await?.take(message.size).read_to_end(&mut notification).await?;
            Ok::<(), BodyError>(())
        };
        if let Err(error) = read.await {
            tracing::error!(error = error.in_full(), "message unreadable");
            return Ok(None);
        }
        let Some(notification) = redacted(&notification) else { return Ok(None) };
        let mut draft = queue.begin_own(OwnMessage {
            reverse_path: ReversePath::Null,
            recipients: lease.recipients().to_vec(),
            body: message.body,
            smtputf8: message.smtputf8,
            purpose: Purpose::Mail,
            tls: TlsRequired::Unspecified,
        })?;
        tracing::info!(queue_id = %self.id, notification = %draft.id(), "notification redacted");
        draft.write(self.signatures(&notification).as_bytes()).await?;
        draft.write(&notification).await?;
        Ok(Some(draft))
    }

    /// The signatures of a notification by the keys of its From field (RFC 6376), which go before
    /// it. It is sent without where none can be made: better unsigned than none.
    fn signatures(&self, notification: &[u8]) -> String {
        if self.signing.is_empty() {
            return String::new();
        }
        let choice = self.signing.for_mail(std::slice::from_ref(self.hostname), self.now);
        choice.sign(&MessageHash::of(notification), self.now).unwrap_or_else(|error| {
            tracing::error!(queue_id = %self.id, error = in_full(&error), "notification not signed");
            String::new()
        })
    }

    /// Whether the message is returned whole: where it has failed, that is asked for, and it is
    /// small (RFC 3461 §4.3).
    fn returns_whole(&self, about: &[About<'_>]) -> Whole {
        let failed = about.iter().any(|about| matches!(about.news, News::Failed(_)));
        let most = u64::try_from(RETURNED_MESSAGE_MAX).unwrap_or(u64::MAX);
        // One without lines could only be returned as it came, to hosts that may not take it.
        let fits = self.message.size <= most && self.message.body != BodyType::BinaryMime;
        let may_leave = !self.message.tls.is_yes();
        if failed && fits && may_leave && self.message.dsn.ret == Some(Ret::Full) {
            Whole::Yes
        } else {
            Whole::No
        }
    }
}

/// How much of a message is returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whole {
    /// Its header.
    No,
    /// All of it.
    Yes,
}

/// As much of a message as is returned, and perhaps some more.
async fn beginning(
    body: impl Future<Output = Result<BodyReader, BodyError>>,
    whole: Whole,
) -> Result<Vec<u8>, BodyError> {
    let limit = match whole {
        Whole::No => RETURNED_HEADER_MAX,
        Whole::Yes => RETURNED_MESSAGE_MAX,
    };
    // One byte more, so that the end of a whole message is seen, where its checksum is looked at.
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    body.await?.take(limit).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
