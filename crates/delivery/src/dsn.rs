//! Delivery status notifications (RFC 3464), as far as they tell of failure.
//!
//! A notification has three parts: words for a person, fields for a program, and the headers of
//! the message it is about. It is written by hand because the mail library at hand gives a charset
//! to `message/delivery-status`, which has none. It is 7-bit, unless the message itself needed
//! SMTPUTF8: then its internationalised forms are used (RFC 6533). The body of the message is
//! never returned, so a bounce is small whatever it answers.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use queue::{QueueId, Reason};
use smtp::{Domain, Mailbox, MailboxDomain, Smtputf8};

use crate::status::permanent;

/// How much of a message's header a notification returns, in bytes.
pub(crate) const RETURNED_HEADER_MAX: usize = 16 * 1024;

/// The longest line, without its CRLF (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;

/// Where text is folded.
const FOLD_AT: usize = 76;

/// Tells a sender whom a message could not be delivered to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailureNotice<'a> {
    /// The relay's own name.
    pub(crate) hostname: &'a Domain,
    /// The queue id of the notification itself, for its Message-ID.
    pub(crate) id: QueueId,
    /// A word that stands nowhere else in the notification (RFC 2046 §5.1.1).
    pub(crate) boundary: &'a str,
    /// When it is written.
    pub(crate) now: SystemTime,
    /// Who is told.
    pub(crate) sender: &'a Mailbox,
    /// The queue id of the message.
    pub(crate) message: QueueId,
    /// When the message was taken.
    pub(crate) arrived: SystemTime,
    /// Whether the message needed SMTPUTF8, so that its sender can read it.
    pub(crate) smtputf8: Smtputf8,
    /// Whom it could not be delivered to; never empty.
    pub(crate) failures: &'a [Failure<'a>],
    /// The beginning of the message: as much of its header as there is, and perhaps some more.
    pub(crate) head: &'a [u8],
}

/// One recipient who got nothing, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    /// The recipient.
    pub(crate) recipient: &'a Mailbox,
    /// Why.
    pub(crate) reason: &'a Reason,
}

impl FailureNotice<'_> {
    /// The notification, with CRLF at the end of every line.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut text = String::new();
        self.header(&mut text);
        self.words(&mut text);
        self.status(&mut text);
        self.returned_header(&mut text);
        line(&mut text, &format!("--{}--", self.boundary));
        text.into_bytes()
    }

    fn header(&self, text: &mut String) {
        let hostname = self.hostname;
        line(text, &format!("From: Mail Delivery System <MAILER-DAEMON@{hostname}>"));
        line(text, &format!("To: {}", self.clean(&self.sender.to_string())));
        line(text, "Subject: Undelivered Mail Returned to Sender");
        line(text, &format!("Date: {}", date(self.now)));
        line(text, &format!("Message-ID: <{}@{hostname}>", self.id));
        line(text, "Auto-Submitted: auto-replied");
        line(text, "MIME-Version: 1.0");
        line(text, "Content-Type: multipart/report; report-type=delivery-status;");
        line(text, &format!("\tboundary=\"{}\"", self.boundary));
        line(text, &format!("Content-Transfer-Encoding: {}", self.encoding()));
        line(text, "");
    }

    /// The part for a person.
    fn words(&self, text: &mut String) {
        self.begin_part(text, "Notification", &format!("text/plain; charset={}", self.charset()));
        self.paragraph(text, &format!("This is the mail relay {}.", self.hostname));
        self.paragraph(
            text,
            "Your message could not be delivered to the recipients below, and no further attempt \
             will be made. Its headers are at the end of this report.",
        );
        for failure in self.failures {
            line(text, &self.clean(&format!("<{}>", failure.recipient)));
            line(text, "");
            self.paragraph(text, &failure.reason.text);
            if let Some(reply) = &failure.reason.reply {
                let host = failure.reason.mx.as_deref().unwrap_or("The receiving host");
                self.paragraph(text, &format!("{host} said: {reply}"));
            }
            if failure.reason.policy.is_some() {
                self.advice(text, failure.recipient.domain());
            }
        }
    }

    /// What can be done where a policy stood in the way.
    fn advice(&self, text: &mut String, domain: &MailboxDomain) {
        self.paragraph(
            text,
            &format!(
                "{domain} asks all senders to deliver its mail only over an encrypted connection, \
                 to the hosts its policy names, and only if they prove their names (MTA-STS, \
                 RFC 8461). Your message was held back for its whole lifetime because none of \
                 those hosts did so; nothing of it was sent unprotected.",
            ),
        );
        self.paragraph(
            text,
            &format!(
                "What to do: this can be mended only where mail for {domain} is run. Please pass \
                 this report on to its postmaster by another way (telephone, another mail \
                 address) and send your message again later.",
            ),
        );
    }

    /// The part for a program (RFC 3464 §2.1).
    fn status(&self, text: &mut String) {
        let (name, global) = match self.smtputf8 {
            Smtputf8::NotRequested => ("message/delivery-status", "rfc822"),
            Smtputf8::Requested => ("message/global-delivery-status", "utf-8"),
        };
        self.begin_part(text, "Delivery report", name);
        line(text, &format!("Reporting-MTA: dns; {}", self.hostname));
        line(text, &format!("X-STS-Relay-Queue-ID: {}", self.message));
        line(text, &format!("Arrival-Date: {}", date(self.arrived)));
        line(text, "");
        for failure in self.failures {
            let address = failure.recipient.to_string();
            let kind = if failure.recipient.is_ascii() { "rfc822" } else { global };
            line(text, &self.clean(&format!("Final-Recipient: {kind}; {address}")));
            line(text, "Action: failed");
            line(text, &format!("Status: {}", permanent(failure.reason.enhanced)));
            if let Some(mx) = &failure.reason.mx {
                line(text, &self.clean(&format!("Remote-MTA: dns; {mx}")));
            }
            let diagnostic = match &failure.reason.reply {
                Some(reply) => format!("Diagnostic-Code: smtp; {reply}"),
                None => format!("Diagnostic-Code: X-STS-Relay; {}", failure.reason.text),
            };
            self.folded(text, &diagnostic, "    ");
            line(text, &format!("Last-Attempt-Date: {}", date(self.now)));
            line(text, "");
        }
    }

    /// The headers of the message (RFC 3462 §2, RFC 6533 §3), whole lines of them.
    fn returned_header(&self, text: &mut String) {
        let name = match self.smtputf8 {
            Smtputf8::NotRequested => "text/rfc822-headers",
            Smtputf8::Requested => "message/global-headers",
        };
        self.begin_part(text, "Headers of the message", name);
        let mut room = RETURNED_HEADER_MAX;
        for header in self.head.split_inclusive(|byte| *byte == b'\n') {
            let Some(header) = header.strip_suffix(b"\r\n").filter(|header| !header.is_empty())
            else {
                break;
            };
            let Some(left) = room.checked_sub(header.len()) else { break };
            room = left;
            line(text, &self.clean(&String::from_utf8_lossy(header)));
        }
        line(text, "");
    }

    fn begin_part(&self, text: &mut String, description: &str, content_type: &str) {
        line(text, &format!("--{}", self.boundary));
        line(text, &format!("Content-Description: {description}"));
        line(text, &format!("Content-Type: {content_type}"));
        line(text, &format!("Content-Transfer-Encoding: {}", self.encoding()));
        line(text, "");
    }

    fn paragraph(&self, text: &mut String, words: &str) {
        self.folded(text, words, "");
        line(text, "");
    }

    /// Breaks `words` into lines at blanks; every line but the first begins with `indent`.
    fn folded(&self, text: &mut String, words: &str, indent: &str) {
        let clean = self.clean_all(words);
        let mut current = String::new();
        for word in clean.split_ascii_whitespace() {
            let length = current.len().saturating_add(word.len());
            if !current.trim_start().is_empty() && length >= FOLD_AT {
                line(text, cut(&current, LINE_MAX));
                indent.clone_into(&mut current);
            }
            if !current.trim_start().is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        line(text, cut(&current, LINE_MAX));
    }

    /// One line's worth of `words` that cannot end its line or leave its alphabet.
    fn clean(&self, words: &str) -> String {
        cut(&self.clean_all(words), LINE_MAX).to_owned()
    }

    fn clean_all(&self, words: &str) -> String {
        let clean = |letter: char| match letter {
            '\t' | ' ' => letter,
            _ if letter.is_control() => ' ',
            _ if letter.is_ascii() || self.smtputf8 == Smtputf8::Requested => letter,
            _ => '?',
        };
        words.chars().map(clean).collect()
    }

    const fn encoding(&self) -> &'static str {
        match self.smtputf8 {
            Smtputf8::NotRequested => "7bit",
            Smtputf8::Requested => "8bit",
        }
    }

    const fn charset(&self) -> &'static str {
        match self.smtputf8 {
            Smtputf8::NotRequested => "us-ascii",
            Smtputf8::Requested => "utf-8",
        }
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push_str("\r\n");
}

/// The longest beginning of `text` that has at most `length` bytes.
fn cut(text: &str, length: usize) -> &str {
    text.get(..text.floor_char_boundary(length)).unwrap_or(text)
}

/// A date as RFC 5322 §3.3 writes it, in UTC.
fn date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    rfc2822::to_string(&time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
