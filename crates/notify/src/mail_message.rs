//! A notice as a message.

use std::time::SystemTime;

use dkim::{MessageHash, SigningTable};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use mail::{Purpose, Recipient, TlsRequired, in_full};
use queue::{OwnMessage, Queue};
use smtp::{BodyType, Domain, Mailbox, Notify, ReversePath, Smtputf8};

use crate::post_error::SendError;
use crate::rendering::Message;

/// The most characters of a Subject.
const SUBJECT_MOST: usize = 150;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) hostname: &'a Domain,
    pub(crate) signing: &'a SigningTable,
    /// By the wall clock.
    pub(crate) now: SystemTime,
}

/// Puts a notice into the queue, where it is durable when this returns. It has the null reverse-path and says
/// that nobody wrote it, so that nothing answers (RFC 3834 §2, §5).
pub(crate) async fn enqueue(
    queue: &Queue,
    writer: Writer<'_>,
    to: &[Mailbox],
    message: &Message,
) -> Result<(), SendError> {
    let recipient =
        |to: &Mailbox| Recipient { notify: Some(Notify::NEVER), ..Recipient::new(to.clone()) };
    let mut draft = queue.begin_own(OwnMessage {
        reverse_path: ReversePath::Null,
        recipients: to.iter().map(recipient).collect(),
        body: BodyType::EightBitMime,
        smtputf8: Smtputf8::NotRequested,
        purpose: Purpose::Mail,
        tls: TlsRequired::Unspecified,
    })?;
    let written = written(writer, to, message);
    draft.write(signatures(writer, written.as_bytes()).as_bytes()).await?;
    draft.write(written.as_bytes()).await?;
    draft.commit().await?;
    Ok(())
}

/// The message, without signatures.
fn written(writer: Writer<'_>, to: &[Mailbox], message: &Message) -> String {
    let Writer { hostname, now, .. } = writer;
    let date = jiff::Timestamp::try_from(now).unwrap_or_default().to_zoned(TimeZone::UTC);
    let date = rfc2822::to_string(&date).unwrap_or_default();
    let to: Vec<_> = to.iter().map(ToString::to_string).collect();
    let header = [
        format!("Date: {date}"),
        format!("From: sts-relay <mailer-daemon@{hostname}>"),
        format!("To: {}", to.join(",\r\n ")),
        format!("Subject: {}", subject(&format!("[sts-relay] {}", message.line()))),
        format!("Message-ID: <{}@{hostname}>", message.id),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Transfer-Encoding: 8bit".to_owned(),
    ];
    format!("{}\r\n\r\n{}\r\n", header.join("\r\n"), message.lines().join("\r\n"))
}

/// A Subject in ASCII, of one line.
fn subject(text: &str) -> String {
    text.chars()
        .take(SUBJECT_MOST)
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect()
}

/// The signatures by the keys of the From field; a notice goes without where none can be made.
fn signatures(writer: Writer<'_>, message: &[u8]) -> String {
    if writer.signing.is_empty() {
        return String::new();
    }
    let choice = writer.signing.for_mail(std::slice::from_ref(writer.hostname), writer.now);
    choice.sign(&MessageHash::of(message), writer.now).unwrap_or_else(|error| {
        tracing::error!(error = in_full(&error), "notice not signed");
        String::new()
    })
}
