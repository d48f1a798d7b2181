//! The addresses that mail may be sent to.

use smtp::{AddressError, AddressPattern, Mailbox};

/// The addresses that mail may be sent to: all of them, unless there is a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AllowedRecipients(Vec<AddressPattern>);

impl AllowedRecipients {
    /// Reads a list of addresses and domains; an empty one allows every address.
    ///
    /// # Errors
    ///
    /// [`AddressError`] for the first that is neither.
    pub fn parse<I>(list: I) -> Result<Self, AddressError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let read = |text: I::Item| AddressPattern::parse(text.as_ref());
        list.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether mail may be sent to `mailbox`.
    #[must_use]
    pub fn hold(&self, mailbox: &Mailbox) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.covers(mailbox))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_every_recipient_is_allowed_and_with_one_those_on_it() {
        for (list, recipient, allowed) in [
            (&[][..], "ann@example.org", true),
            (&["@example.org"], "ANN@Example.org", true),
            (&["@example.org"], "ann@sub.example.org", false),
            (&["@example.org", "bob@example.net"], "Bob@example.net", true),
            (&["@example.org", "bob@example.net"], "ann@example.net", false),
            (&["@example.org"], "ann@[192.0.2.1]", false),
            (&["*"], "ann@[192.0.2.1]", true),
        ] {
            let recipients = AllowedRecipients::parse(list).unwrap();
            let recipient = Mailbox::parse(recipient).unwrap();
            assert_eq!(recipients.hold(&recipient), allowed, "{list:?} {recipient}");
        }
        assert!(AllowedRecipients::parse(["example.org"]).is_err());
    }
}
