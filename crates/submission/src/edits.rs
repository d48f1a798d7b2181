//! What is added to a header section and removed from it (RFC 6409 §8).
//!
//! A message that carries a DKIM-Signature has been finished by somebody else: a field more or less
//! could break the signature, so nothing of it is changed for want of something. Whom it is from is
//! rewritten all the same, for whoever asks for that means all mail.

use smtp::Mailbox;

use crate::rewriting::Rewriting;
use crate::section::{Field, HeaderSection};

/// What is to be done to a header section once it has been received whole.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edits {
    /// The fields that it gets where it lacks them.
    pub additions: Additions,
    /// What becomes of its Bcc fields.
    pub bcc: Bcc,
    /// For whom the message was, where staging has put others in their place: each has an
    /// X-Original-To field of its own.
    pub original_recipients: Vec<Mailbox>,
    /// Which addresses become others, once all this is done.
    pub rewriting: Rewriting,
}

/// The fields that a message gets where it lacks them, each if it is set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Additions {
    /// What Date says (RFC 6409 §8.2).
    pub date: Option<String>,
    /// Who wrote it (RFC 5322 §3.6.2).
    pub from: Option<Mailbox>,
    /// What Message-ID says, angle brackets included (RFC 6409 §8.3).
    pub message_id: Option<String>,
}

/// What becomes of Bcc fields, which tell every recipient of the hidden ones (RFC 5322 §3.6.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Bcc {
    /// They stay.
    #[default]
    Kept,
    /// They are removed.
    Removed,
}

/// A header section after its edits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edited {
    /// What it has become.
    pub bytes: Vec<u8>,
    /// The Message-ID that it got.
    pub given_id: Option<String>,
}

impl Edits {
    /// Whether there is nothing to be done to any header section.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Edits a header section, and what was received behind it stays. A message without a byte stays
    /// without. Where the section is not followed by an empty line, what follows would join what is added.
    ///
    /// ```
    /// use submission::{Bcc, Edits};
    ///
    /// let edits = Edits { bcc: Bcc::Removed, ..Edits::default() };
    /// let edited = edits.apply(b"To: a@b.example\r\nBcc: c@d.example\r\n\r\n");
    /// assert_eq!(edited.bytes, b"To: a@b.example\r\n\r\n");
    /// ```
    #[must_use]
    pub fn apply(&self, received: &[u8]) -> Edited {
        let edited = self.complete(received);
        if self.rewriting.is_empty() {
            return edited;
        }
        Edited { bytes: self.rewriting.header(&edited.bytes), ..edited }
    }

    /// Adds what the header section lacks, and removes what it should not have.
    fn complete(&self, received: &[u8]) -> Edited {
        let section = HeaderSection::read(received);
        let mut bytes = self.original_to().into_bytes();
        if received.is_empty() || section.has("DKIM-Signature") {
            bytes.extend_from_slice(received);
            return Edited { bytes, given_id: None };
        }
        let given_id = self.additions.message_id.clone().filter(|_| !section.has("Message-ID"));
        bytes.extend_from_slice(self.additions.missing_in(&section).as_bytes());
        bytes.reserve(received.len());
        for field in section.fields().iter().filter(|field| self.keeps(field)) {
            bytes.extend_from_slice(field.bytes());
        }
        bytes.extend_from_slice(section.rest());
        Edited { bytes, given_id }
    }

    /// The fields that say for whom the message was.
    fn original_to(&self) -> String {
        let field = |mailbox| format!("X-Original-To: {mailbox}\r\n");
        self.original_recipients.iter().map(field).collect()
    }

    /// Whether a field stays.
    fn keeps(&self, field: &Field<'_>) -> bool {
        match self.bcc {
            Bcc::Kept => true,
            Bcc::Removed => !field.is("Bcc") && !field.is("Resent-Bcc"),
        }
    }
}

impl Additions {
    /// The fields that `section` lacks, as they are written.
    fn missing_in(&self, section: &HeaderSection<'_>) -> String {
        let from = self.from.as_ref().map(ToString::to_string);
        let mut missing = String::new();
        for (name, value) in
            [("Date", &self.date), ("From", &from), ("Message-ID", &self.message_id)]
        {
            if let Some(value) = value.as_ref().filter(|_| !section.has(name)) {
                missing.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits() -> Edits {
        Edits {
            additions: Additions {
                date: Some("Tue, 1 Dec 2026 00:00:00 +0000".to_owned()),
                from: Some(Mailbox::parse("ann@client.example").unwrap()),
                message_id: Some("<1@relay.example>".to_owned()),
            },
            bcc: Bcc::Removed,
            ..Edits::default()
        }
    }

    const DATE: &str = "Date: Tue, 1 Dec 2026 00:00:00 +0000\r\n";
    const FROM: &str = "From: ann@client.example\r\n";
    const ID: &str = "Message-ID: <1@relay.example>\r\n";

    #[test]
    fn what_is_lacking_is_put_first_and_the_rest_stays_as_it_is() {
        for (received, expected) in [
            (String::new(), String::new()),
            ("\r\nbody".to_owned(), format!("{DATE}{FROM}{ID}\r\nbody")),
            (format!("X: y\r\n{DATE}\r"), format!("{FROM}{ID}X: y\r\n{DATE}\r")),
            (
                "date:\r\nMESSAGE-id: <a>\r\nfrom: x\r\n".to_owned(),
                "date:\r\nMESSAGE-id: <a>\r\nfrom: x\r\n".to_owned(),
            ),
            (
                format!(
                    "{DATE}{ID}Bcc: a@b.example,\r\n c@d.example\r\nFrom: x\r\nbcc : y\r\nResent-Bcc: z\r\nBccc: w\r\n\r\nBcc: body\r\n"
                ),
                format!("{DATE}{ID}From: x\r\nBccc: w\r\n\r\nBcc: body\r\n"),
            ),
        ] {
            let edited = edits().apply(received.as_bytes());
            assert_eq!(String::from_utf8(edited.bytes).unwrap(), expected, "{received}");
            let lacked = !received.is_empty() && !received.to_lowercase().contains("message-id");
            assert_eq!(edited.given_id.is_some(), lacked, "{received}");
        }
    }

    #[test]
    fn a_signed_message_lacks_nothing() {
        let signed = b"DKIM-Signature: v=1\r\nBcc: a@b.example\r\n\r\n";
        let edited = edits().apply(signed);
        assert_eq!((edited.bytes.as_slice(), edited.given_id), (&signed[..], None));
    }

    #[test]
    fn nothing_is_done_where_nothing_is_asked_for() {
        assert!(Edits::default().are_none() && !edits().are_none());
        let received = b"Bcc: a@b.example\r\n\r\n";
        assert_eq!(Edits::default().apply(received).bytes, received);
    }
}
