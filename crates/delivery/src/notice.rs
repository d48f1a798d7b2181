//! Telling senders what became of their mail (RFC 3461, RFC 3464): who is told, of what, and how
//! much of the message goes along.

use std::time::SystemTime;

use mail::{
    DelayNotice, DeliveryRecord, DeliveryResult, Message, Purpose, QueueId, Recipient, Reports,
};
use queue::{BeginError, BodyError, BodyReader, CommitError, Draft, OwnMessage, Queue};
use rand::Rng as _;
use smtp::{BodyType, Domain, Notify, Ret, Smtputf8};
use tokio::io::AsyncReadExt as _;

use crate::client::Client;
use crate::dsn::{About, News, Notification, RETURNED_HEADER_MAX, RETURNED_MESSAGE_MAX, Returned};
use crate::gathering::Part;

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

/// Writes the notification of what attempts for one message have brought that the sender wants to
/// know; it enters the queue together with the outcomes that it tells of.
///
/// None where there is no such news, and none where nobody can be told: a notification is never
/// answered by another (RFC 5321 §6.1, RFC 3464 §2).
pub(crate) async fn notice(
    client: &Client,
    queue: &Queue,
    parts: &mut [Part],
) -> Result<Option<Draft>, NoticeError> {
    let now = client.clock.now();
    let (draft, delayed) = {
        let Some(first) = parts.first() else { return Ok(None) };
        let lease = &first.lease;
        let news: Vec<Vec<Option<News<'_>>>> =
            parts.iter().map(|part| wanted(client, part, now)).collect();
        let about: Vec<About<'_>> = parts
            .iter()
            .zip(&news)
            .flat_map(|(part, news)| part.lease.recipients().iter().zip(news))
            .filter_map(|(recipient, news)| Some(About { recipient, news: (*news)? }))
            .collect();
        let subject = Subject {
            hostname: &client.settings.hostname,
            now,
            id: lease.id(),
            message: lease.message(),
            retry_until: lease.expires_at(),
        };
        let draft = subject.draft(queue, &about, lease.body()).await?;
        let is_delay = |news: &Option<News<'_>>| matches!(news, Some(News::Delayed(_)));
        let delayed: Vec<Vec<bool>> =
            news.iter().map(|news| news.iter().map(is_delay).collect()).collect();
        (draft, delayed)
    };
    if draft.is_some() {
        for (part, delayed) in parts.iter_mut().zip(delayed) {
            part.lease.tell_of_delay(|place| delayed.get(place).copied().unwrap_or(false));
        }
    }
    Ok(draft)
}

/// Writes the notification of those recipients of an attempt to whom the message was passed on.
pub(crate) async fn passed_on(
    client: &Client,
    queue: &Queue,
    part: &Part,
) -> Result<Option<Draft>, NoticeError> {
    let now = client.clock.now();
    let lease = &part.lease;
    let is_relayed = |news: &News<'_>| match news {
        News::Relayed { .. } => true,
        News::Delayed(_) | News::Failed(_) => false,
    };
    let about: Vec<About<'_>> = lease
        .recipients()
        .iter()
        .zip(wanted(client, part, now))
        .filter_map(|(recipient, news)| Some(About { recipient, news: news.filter(is_relayed)? }))
        .collect();
    // What people read is the wall clock's.
    let on_wall = |time| client.clock.on_wall(time);
    let received_at = on_wall(lease.message().received_at);
    let subject = Subject {
        hostname: &client.settings.hostname,
        now: client.clock.wall(),
        id: lease.id(),
        message: &Message { received_at, ..lease.message().clone() },
        retry_until: lease.expires_at().map(on_wall),
    };
    subject.draft(queue, &about, lease.body()).await
}

/// Whether the sender of a message is to have a report of a failure or of a delay in this attempt.
pub(crate) fn is_bad_news(client: &Client, part: &Part) -> bool {
    let has_sender = part.lease.message().reverse_path.mailbox().is_some();
    let is_bad = |news: Option<News<'_>>| match news {
        Some(News::Delayed(_) | News::Failed(_)) => true,
        Some(News::Relayed { .. }) | None => false,
    };
    has_sender && wanted(client, part, client.clock.now()).into_iter().any(is_bad)
}

/// What of an attempt the sender wants to know, for each recipient in order.
fn wanted<'a>(client: &Client, part: &'a Part, now: SystemTime) -> Vec<Option<News<'a>>> {
    let Part { lease, ended } = part;
    let is_late = client.settings.delay_notice.is_some_and(|after| lease.queued_for(now) >= after);
    let one = |(ended, (recipient, delay)): (&'a DeliveryRecord, (&Recipient, &DelayNotice))| {
        // What is not late needs no telling.
        let delay = if is_late { *delay } else { DelayNotice::Told };
        news(ended, delay).filter(|news| news.is_wanted(recipient))
    };
    ended.iter().zip(lease.recipients().iter().zip(lease.delays())).map(one).collect()
}

/// What a recipient's end in an attempt is to its sender, who may know of the delay.
fn news(ended: &DeliveryRecord, delay: DelayNotice) -> Option<News<'_>> {
    match (&ended.result, delay) {
        (DeliveryResult::Bounced(failure), _) => Some(News::Failed(&failure.reason)),
        (DeliveryResult::Deferred(failure), DelayNotice::Owed) => {
            Some(News::Delayed(&failure.reason))
        }
        (DeliveryResult::Delivered { mx, addr, reply, reports: Reports::Ours }, _) => {
            Some(News::Relayed { mx, addr: *addr, reply })
        }
        (DeliveryResult::Deferred(_), DelayNotice::Told)
        | (DeliveryResult::Delivered { reports: Reports::Passed, .. }, _) => None,
    }
}

/// The message that a notification is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The relay's own name.
    pub(crate) hostname: &'a Domain,
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
            recipients: vec![recipient],
            body: if ascii { BodyType::SevenBit } else { BodyType::EightBitMime },
            smtputf8: message.smtputf8,
            purpose: Purpose::Mail,
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
        draft.write(&notification.to_bytes()).await?;
        Ok(Some(draft))
    }

    /// Whether the message is returned whole: where it has failed, that is asked for, and it is
    /// small (RFC 3461 §4.3).
    fn returns_whole(&self, about: &[About<'_>]) -> Whole {
        let failed = about.iter().any(|about| matches!(about.news, News::Failed(_)));
        let most = u64::try_from(RETURNED_MESSAGE_MAX).unwrap_or(u64::MAX);
        // One without lines could only be returned as it came, to hosts that may not take it.
        let fits = self.message.size <= most && self.message.body != BodyType::BinaryMime;
        if failed && fits && self.message.dsn.ret == Some(Ret::Full) {
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
