//! The part of a notification for programs (RFC 3464 §2, RFC 3461 §6.3, RFC 6533 §3).

use smtp::{Mailbox, OriginalRecipient, Smtputf8};

use super::news::{About, News};
use super::notification::Notification;
use super::text::{Text, date};

/// The address type of mailboxes beyond ASCII.
const UTF_8: &str = "utf-8";

impl Notification<'_> {
    /// The fields of the message, then those of each recipient.
    pub(super) fn status(&self, text: &mut Text) {
        let name = match self.message.smtputf8 {
            Smtputf8::NotRequested => "message/delivery-status",
            Smtputf8::Requested => "message/global-delivery-status",
        };
        text.part(self.boundary, "Delivery report", name, text.encoding());
        if let Some(envid) = &self.message.dsn.envid {
            text.line(&format!("Original-Envelope-Id: {}", envid.as_str()));
        }
        text.line(&format!("Reporting-MTA: dns; {}", self.hostname));
        text.line(&format!("X-STS-Relay-Queue-ID: {}", self.message_id));
        text.line(&format!("Arrival-Date: {}", date(self.message.received_at)));
        text.line("");
        for about in self.about {
            self.recipient(text, about);
        }
    }

    /// The fields of one recipient, in the order in which RFC 3464 §2.3 has them.
    fn recipient(&self, text: &mut Text, about: &About<'_>) {
        let About { recipient, news } = about;
        if let Some(original) = &recipient.orcpt {
            text.line(&format!("Original-Recipient: {}", self.original(original)));
        }
        text.line(&format!("Final-Recipient: {}", self.last(&recipient.mailbox)));
        text.line(&format!("Action: {}", news.action()));
        text.line(&format!("Status: {}", news.status()));
        if let Some(mx) = news.mx() {
            text.line(&format!("Remote-MTA: dns; {mx}"));
        }
        match (news.reply(), news.reason()) {
            (Some(reply), _) => text.folded(&format!("Diagnostic-Code: smtp; {reply}"), "    "),
            (None, Some(reason)) => {
                text.folded(&format!("Diagnostic-Code: X-STS-Relay; {}", reason.text), "    ");
            }
            (None, None) => {}
        }
        text.line(&format!("Last-Attempt-Date: {}", date(self.now)));
        if let (News::Delayed(_), Some(until)) = (news, self.retry_until) {
            text.line(&format!("Will-Retry-Until: {}", date(until)));
        }
        text.line("");
    }

    /// Whom the sender first wrote to, decoded; in a notification of ASCII alone an address beyond
    /// it keeps the form that ORCPT had (RFC 6533 §3).
    fn original(&self, original: &OriginalRecipient) -> String {
        match self.message.smtputf8 {
            Smtputf8::NotRequested if original.address_type() == UTF_8 => {
                original.to_string().replacen(';', "; ", 1)
            }
            Smtputf8::NotRequested | Smtputf8::Requested => {
                format!("{}; {}", original.address_type(), original.address())
            }
        }
    }

    /// Whom the mail was for.
    fn last(&self, mailbox: &Mailbox) -> String {
        let kind = match self.message.smtputf8 {
            Smtputf8::Requested if !mailbox.is_ascii() => UTF_8,
            Smtputf8::Requested | Smtputf8::NotRequested => "rfc822",
        };
        format!("{kind}; {mailbox}")
    }
}
