//! How a client calls itself in EHLO and HELO (RFC 5321 §4.1.1.1).

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::domain::Domain;
use crate::mailbox::MailboxDomain;

/// The argument of EHLO or HELO.
///
/// RFC 5321 §4.1.4 forbids to refuse a client for its name, so a name that is neither a domain nor
/// an address literal is kept as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientName {
    /// A domain name.
    Domain(Domain),
    /// An address literal.
    Literal(IpAddr),
    /// Something else without control characters, at most 255 octets.
    Other(String),
}

impl ClientName {
    /// The most octets of a name (RFC 5321 §4.5.3.1.2).
    pub const MAX_OCTETS: usize = 255;

    /// Takes the name; none if it is empty, too long or holds a control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match MailboxDomain::parse(text) {
            Ok(MailboxDomain::Domain(domain)) => return Some(Self::Domain(domain)),
            Ok(MailboxDomain::Literal(address)) => return Some(Self::Literal(address)),
            Err(_) => {}
        }
        let fits = (1..=Self::MAX_OCTETS).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| Self::Other(text.to_owned()))
    }
}

impl fmt::Display for ClientName {
    /// The name as it may stand in a Received header: of an unusual one only letters, digits and
    /// the marks of host names and literals are kept, the rest become question marks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Literal(address) => write!(f, "{}", MailboxDomain::Literal(*address)),
            Self::Other(text) => text.chars().try_for_each(|c| {
                let kept = c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
                f.write_char(if kept { c } else { '?' })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_is_refused_for_an_unusual_name() {
        let table = [
            ("Mail.Example.COM", "mail.example.com"),
            ("localhost", "localhost"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("Bob's Computer", "Bob?s?Computer"),
            ("a (b) <c> \"d\"; e", "a??b???c???d???e"),
            ("jörg's", "j?rg?s"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ];
        for (text, shown) in table {
            assert_eq!(ClientName::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(
            ClientName::parse("Bob's Computer"),
            Some(ClientName::Other("Bob's Computer".to_owned()))
        );
    }

    #[test]
    fn a_name_is_there_fits_and_has_no_control_characters() {
        assert!(ClientName::parse(&"_a".repeat(127)).is_some());
        for text in ["", "a\tb", "a\u{7f}", "a\u{85}b", &"a".repeat(256)] {
            assert_eq!(ClientName::parse(text), None, "{text:?}");
        }
    }
}
