//! Delivery status notifications (RFC 3464): what has failed, what is late, what was passed on.
//!
//! A notification has three parts: words for a person, fields for a program, and the message it is
//! about or its headers. It is written by hand because the mail library at hand gives a charset to
//! `message/delivery-status`, which has none. It is 7-bit, unless the message itself needed
//! SMTPUTF8, whose internationalised forms are used then (RFC 6533), or is returned whole and is
//! not ASCII. Whatever it answers, it has an end.

use smtp::{Smtputf8, split_field};

mod fields;
mod news;
mod notification;
mod redaction;
mod text;
mod words;

pub(crate) use self::news::{About, News};
pub(crate) use self::notification::{
    Notification, RETURNED_HEADER_MAX, RETURNED_MESSAGE_MAX, Returned,
};
pub(crate) use self::redaction::redacted;
use self::text::{Text, date};

impl Notification<'_> {
    /// The notification, with CRLF at the end of every line.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut text = Text::new(self.message.smtputf8);
        self.header(&mut text);
        self.words(&mut text);
        self.status(&mut text);
        let mut bytes = self.begin_returned(text);
        self.returned(&mut bytes);
        bytes.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        bytes
    }

    fn header(&self, text: &mut Text) {
        let hostname = self.hostname;
        text.line(&format!("From: Mail Delivery System <MAILER-DAEMON@{hostname}>"));
        text.line(&format!("To: {}", self.sender));
        text.line(&format!("Subject: {}", self.subject()));
        text.line(&format!("Date: {}", date(self.now)));
        text.line(&format!("Message-ID: <{}@{hostname}>", self.id));
        text.line("Auto-Submitted: auto-replied");
        text.line("MIME-Version: 1.0");
        text.line("Content-Type: multipart/report; report-type=delivery-status;");
        text.line(&format!("\tboundary=\"{}\"", self.boundary));
        text.line(&format!("Content-Transfer-Encoding: {}", self.encoding()));
        text.line("");
    }

    /// The headers of the part that returns the message, or its headers (RFC 6522 §3, RFC 6533
    /// §3), behind all that stands before it.
    fn begin_returned(&self, mut text: Text) -> Vec<u8> {
        let (description, name) = match (self.returned, self.message.smtputf8) {
            (Returned::Header(_), Smtputf8::NotRequested) => {
                ("Headers of the message", "text/rfc822-headers")
            }
            (Returned::Header(_), Smtputf8::Requested) => {
                ("Headers of the message", "message/global-headers")
            }
            (Returned::Whole(_), Smtputf8::NotRequested) => ("The message", "message/rfc822"),
            (Returned::Whole(_), Smtputf8::Requested) => ("The message", "message/global"),
        };
        text.part(self.boundary, description, name, self.encoding());
        text.into_bytes()
    }

    fn returned(&self, bytes: &mut Vec<u8>) {
        match self.returned {
            Returned::Header(head) => {
                let mut text = Text::new(self.message.smtputf8);
                returned_header(head, &mut text);
                bytes.extend_from_slice(&text.into_bytes());
            }
            Returned::Whole(message) => {
                bytes.extend_from_slice(message);
                bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The encoding of the whole, which is that of its least plain part (RFC 2045 §6.4).
    fn encoding(&self) -> &'static str {
        match self.message.smtputf8 {
            Smtputf8::NotRequested if self.returned.is_ascii() => "7bit",
            Smtputf8::NotRequested | Smtputf8::Requested => "8bit",
        }
    }
}

/// The headers of the message, whole lines of them, up to a line that belongs to no field: a message
/// that an earlier version took in may have no empty line before its body.
fn returned_header(head: &[u8], text: &mut Text) {
    let mut room = RETURNED_HEADER_MAX;
    for header in head.split_inclusive(|byte| *byte == b'\n') {
        let Some(header) = header.strip_suffix(b"\r\n").filter(|header| is_of_field(header)) else {
            break;
        };
        let Some(left) = room.checked_sub(header.len()) else { break };
        room = left;
        text.line(&String::from_utf8_lossy(header));
    }
    text.line("");
}

/// Whether a line begins a header field or continues one (RFC 5322 §2.2, §4.5).
fn is_of_field(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) || split_field(line).is_some()
}

#[cfg(test)]
mod tests;
