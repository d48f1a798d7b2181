//! The addresses that somebody may send from.

use std::fmt;
use std::sync::Arc;

use smtp::{AddressPattern, Mailbox, ReversePath};

/// The addresses that a user, or the hosts of a network, may send from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedSenders(Arc<[AddressPattern]>);

/// Something in a list of senders is neither an address, nor a domain, nor `*` alone.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is neither an address, nor a domain such as @example.org, nor * for all")]
pub struct SenderError(pub String);

impl AllowedSenders {
    /// Every address there is.
    #[must_use]
    pub fn all() -> Self {
        Self(Arc::new([AddressPattern::Any]))
    }

    /// This address and no other.
    #[must_use]
    pub fn one(mailbox: Mailbox) -> Self {
        Self(Arc::new([AddressPattern::Mailbox(mailbox)]))
    }

    /// These and one address more.
    #[must_use]
    pub fn with(&self, mailbox: Mailbox) -> Self {
        if self.are_all() {
            return self.clone();
        }
        Self(self.0.iter().cloned().chain([AddressPattern::Mailbox(mailbox)]).collect())
    }

    /// Whether every address is allowed.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.0.contains(&AddressPattern::Any)
    }

    /// Reads a list of addresses and domains, or `*` alone: beside it others would say nothing.
    ///
    /// # Errors
    ///
    /// [`SenderError`] for the first that is none.
    pub fn parse<I>(list: I) -> Result<Self, SenderError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let read = |text: I::Item| {
            let text = text.as_ref().trim();
            AddressPattern::parse(text).map_err(|_cause| SenderError(text.to_owned()))
        };
        let patterns = list.into_iter().map(read).collect::<Result<Arc<[_]>, _>>()?;
        if patterns.len() > 1 && patterns.contains(&AddressPattern::Any) {
            return Err(SenderError("*".to_owned()));
        }
        Ok(Self(patterns))
    }

    /// Whether mail may be from `path`. The null one is everybody's: it is how one answers without
    /// being answered (RFC 5321 §4.5.5).
    #[must_use]
    pub fn allow(&self, path: &ReversePath) -> bool {
        path.mailbox().is_none_or(|mailbox| self.hold(mailbox))
    }

    /// Whether `mailbox` is one of them.
    #[must_use]
    pub fn hold(&self, mailbox: &Mailbox) -> bool {
        self.0.iter().any(|pattern| pattern.covers(mailbox))
    }

    /// The address, where one is listed and nothing else.
    #[must_use]
    pub fn only(&self) -> Option<&Mailbox> {
        match &*self.0 {
            [AddressPattern::Mailbox(mailbox)] => Some(mailbox),
            [] | [AddressPattern::Any | AddressPattern::Domain(_)] | [_, _, ..] => None,
        }
    }
}

impl fmt::Display for AllowedSenders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, pattern) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{pattern}")?;
        }
        Ok(())
    }
}
