//! What an envelope says about the message's bytes (RFC 6152, RFC 3030, RFC 6531), and about the way
//! they may go (RFC 8689).

use std::fmt;

/// How many bits of its octets a message uses, and whether it has lines: the BODY parameter of
/// MAIL (RFC 6152 §2, RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyType {
    /// ASCII alone.
    #[default]
    SevenBit,
    /// Octets above 127 may stand in it.
    EightBitMime,
    /// The body is octets without lines: it goes in chunks or not at all (RFC 3030 §3).
    BinaryMime,
}

impl BodyType {
    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }

    /// Reads the parameter's value, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SevenBit, Self::EightBitMime, Self::BinaryMime]
            .into_iter()
            .find(|body| text.eq_ignore_ascii_case(body.as_str()))
    }
}

impl fmt::Display for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the sender asked for SMTPUTF8 (RFC 6531 §3.4): the envelope or headers may be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Smtputf8 {
    /// It did not: envelope and headers are ASCII.
    #[default]
    NotRequested,
    /// It did.
    Requested,
}

/// Whether the sender asked for REQUIRETLS (RFC 8689 §2): the message goes over proven TLS, to hosts
/// that will do the same, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequireTls {
    /// It did not.
    #[default]
    NotRequested,
    /// It did.
    Requested,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_type_is_read_in_any_case() {
        for body in [BodyType::SevenBit, BodyType::EightBitMime, BodyType::BinaryMime] {
            assert_eq!(BodyType::parse(&body.to_string()), Some(body));
            assert_eq!(BodyType::parse(&body.to_string().to_lowercase()), Some(body));
        }
        for text in ["", "8BIT", "BINARY", "7BIT "] {
            assert_eq!(BodyType::parse(text), None);
        }
    }
}
