//! Selectors (RFC 6376 §3.1).

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use smtp::{Domain, DomainError};

/// Which of a domain's keys it is: labels of letters, digits and hyphens, in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector(String);

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    ///
    /// [`SelectorError`]: no key record can have this name.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let is_label = |label: &str| {
            let fits = (1..=Domain::MAX_LABEL_OCTETS).contains(&label.len());
            fits && !label.starts_with('-') && !label.ends_with('-')
        };
        match text.chars().find(|c| !part(*c)) {
            Some(c) => Err(SelectorError::Character(c)),
            None if text.split('.').all(is_label) => Ok(Self(text.to_ascii_lowercase())),
            None => Err(SelectorError::Label),
        }
    }

    /// The selector as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the key record of this selector at a domain (RFC 6376 §3.6.2.1).
    ///
    /// # Errors
    ///
    /// The name is too long for the DNS.
    pub fn record_name(&self, domain: &Domain) -> Result<Domain, DomainError> {
        Domain::parse(&format!("{self}._domainkey.{domain}"))
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

/// Why a text is no selector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// It holds a character that no selector has.
    #[error("character {0:?} in a selector")]
    Character(char),
    /// A label is empty, longer than 63 octets, or begins or ends with a hyphen.
    #[error("a label of a selector has 1 to 63 octets and no hyphen at its ends")]
    Label,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_labels() {
        for (text, name) in [("mail", "mail"), ("2026-12.EU", "2026-12.eu"), ("0", "0")] {
            assert_eq!(Selector::parse(text).unwrap().as_str(), name);
        }
        let long = "x".repeat(64);
        for bad in ["", ".", "a.", "a..b", "a_b", "a;b", "a b", "-a", "a-", "\u{fc}", &long] {
            assert!(Selector::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_record_stands_below_domainkey() {
        let domain = Domain::parse("Example.com").unwrap();
        let name = Selector::parse("a.b").unwrap().record_name(&domain).unwrap();
        assert_eq!(name.as_str(), "a.b._domainkey.example.com");
        let long = Domain::parse(&format!("{0}.{0}.{0}.{0}", "x".repeat(60))).unwrap();
        assert!(Selector::parse("a").unwrap().record_name(&long).is_err());
    }
}
