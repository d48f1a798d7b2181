//! The name of a header field.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// The name of a header field that a signature may name (RFC 5322 §3.6.8, RFC 6376 §3.5): written as
/// it was given, compared without regard to case.
#[derive(Clone, Debug)]
pub struct FieldName(String);

impl FieldName {
    /// The most octets of a name, so that a line of names can be folded.
    pub const MAX_OCTETS: usize = 70;

    /// Reads a name.
    ///
    /// # Errors
    ///
    /// Says why no field of that name can be signed.
    pub fn parse(name: &str) -> Result<Self, FieldNameError> {
        if name.is_empty() || name.len() > Self::MAX_OCTETS {
            return Err(FieldNameError::Length);
        }
        // A semicolon may stand in a field's name, and would end the tag that lists it.
        match name.chars().find(|c| !c.is_ascii_graphic() || matches!(c, ':' | ';')) {
            Some(c) => Err(FieldNameError::Character(c)),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The author's field (RFC 5322 §3.6.2).
    #[must_use]
    pub fn from_field() -> Self {
        Self("From".to_owned())
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case.
    pub(crate) fn to_lower(&self) -> Vec<u8> {
        self.0.to_ascii_lowercase().into_bytes()
    }

    /// Whether it is this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for FieldName {}

impl Display for FieldName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(name: &str) -> Result<Self, FieldNameError> {
        Self::parse(name)
    }
}

/// Why a text is no field's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FieldNameError {
    /// It holds a character that no name has.
    #[error("character {0:?} in the name of a header field")]
    Character(char),
    /// It has no octet or too many.
    #[error("the name of a header field has 1 to {} octets", FieldName::MAX_OCTETS)]
    Length,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_whatever_its_case_and_ends_no_tag() {
        assert_eq!(FieldName::parse("message-id"), FieldName::parse("Message-ID"));
        for bad in ["", "a:b", "a;b", "a b", "a\r\n", "\u{fc}", &"x".repeat(71)] {
            assert!(FieldName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
