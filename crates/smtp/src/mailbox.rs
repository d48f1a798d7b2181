//! Mailboxes (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! A mailbox keeps what an address *means*: the local part without its quotes. It is written by one
//! printer, which quotes whatever needs it, so that nothing in an address can end the path it stands
//! in and become a parameter or a line of its own. Comments and folding white space, which RFC 5322
//! lets stand in headers, have no place in an envelope and are not read.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::{Domain, DomainError};

/// How many octets nearly all mailboxes have at most.
const USUAL_OCTETS: usize = 64;

/// An address that can be written to: a local part at a domain or at an address literal.
///
/// ```
/// use smtp::Mailbox;
///
/// let mailbox = Mailbox::parse("\"j\\ohn\"@Example.COM")?;
/// assert_eq!(mailbox.to_string(), "john@example.com");
///
/// let odd = Mailbox::parse("\"x> SIZE=1\"@example.com")?;
/// assert_eq!(odd.local().as_str(), "x> SIZE=1");
/// assert_eq!(odd.to_string(), "\"x> SIZE=1\"@example.com");
/// # Ok::<(), smtp::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    local: LocalPart,
    domain: MailboxDomain,
}

impl Mailbox {
    /// The most octets a mailbox may have: a path's 256 less the brackets (RFC 5321 §4.5.3.1.3).
    pub const MAX_OCTETS: usize = 254;

    /// Joins a local part and a domain.
    ///
    /// # Errors
    ///
    /// The whole would be longer than a path may be.
    pub fn new(local: LocalPart, domain: MailboxDomain) -> Result<Self, AddressError> {
        if local.octets() + "@".len() + domain.octets() > Self::MAX_OCTETS {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local, domain })
    }

    /// Reads an address as it stands in an envelope, without angle brackets.
    ///
    /// Without quotes the dots of a local part may stand anywhere: `u..x@d.example` and
    /// `u.@d.example` are addresses of large providers. They are written with the quotes that
    /// RFC 5321 §4.1.2 asks for.
    ///
    /// The length is judged as the address would be written again.
    ///
    /// # Errors
    ///
    /// Says what keeps `text` from being an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = match text.strip_prefix('"') {
            Some(quoted) => {
                let (content, rest) = unquote(quoted)?;
                let domain = rest.strip_prefix('@').ok_or(AddressError::MissingAt)?;
                (LocalPart::new(&content)?, domain)
            }
            None => {
                let (local, domain) = text.split_once('@').ok_or(AddressError::MissingAt)?;
                (LocalPart::unquoted(local)?, domain)
            }
        };
        Self::new(local, MailboxDomain::parse(domain)?)
    }

    /// What stands before the at sign.
    #[must_use]
    pub const fn local(&self) -> &LocalPart {
        &self.local
    }

    /// What stands after it.
    #[must_use]
    pub const fn domain(&self) -> &MailboxDomain {
        &self.domain
    }

    /// The mailbox as it is written, in one allocation unless it is very long.
    #[must_use]
    pub fn text(&self) -> String {
        in_a_row(std::iter::once(self))
    }

    /// Whether the mailbox can be written without SMTPUTF8 (RFC 6531 §3.4); its domain always can.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local.as_str().is_ascii()
    }
}

/// Mailboxes as they are written, with commas between them.
#[expect(single_use_lifetimes, reason = "an anonymous one is not allowed here yet")]
pub fn in_a_row<'a>(mailboxes: impl Iterator<Item = &'a Mailbox>) -> String {
    let mut text = String::with_capacity(USUAL_OCTETS);
    for mailbox in mailboxes {
        let before = if text.is_empty() { "" } else { ", " };
        // A string takes whatever is written.
        let _written = write!(text, "{before}{mailbox}");
    }
    text
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.local.fmt(f)?;
        f.write_char('@')?;
        self.domain.fmt(f)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// What a local part says, without quotes or backslashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Arc<str>);

impl LocalPart {
    /// The most octets a local part may have, quotes not counted: what fits a mailbox.
    ///
    /// RFC 5321 §4.5.3.1.1 obliges nobody to take more than 64, but §4.5.3.1 asks for no limit where
    /// none is needed, and senders that write a return address into another one go beyond it.
    pub const MAX_OCTETS: usize = 252;

    /// A local part that says `content`; whether it needs quotes shows when it is written.
    ///
    /// # Errors
    ///
    /// `content` is too long, or holds a control character.
    pub fn new(content: &str) -> Result<Self, AddressError> {
        if content.len() > Self::MAX_OCTETS {
            return Err(AddressError::LocalPartTooLong);
        }
        match content.chars().find(|c| c.is_control()) {
            Some(c) => Err(AddressError::LocalPart(c)),
            None => Ok(Self(content.into())),
        }
    }

    /// A local part written without quotes (RFC 5321 §4.1.2, `Dot-string`), its dots anywhere.
    fn unquoted(text: &str) -> Result<Self, AddressError> {
        if let Some(c) = text.chars().find(|&c| c != '.' && !is_atext(c)) {
            return Err(AddressError::LocalPart(c));
        }
        if text.is_empty() {
            return Err(AddressError::LocalPartEmpty);
        }
        Self::new(text)
    }

    /// What it says.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many octets it has where it is written, with the quotes it needs.
    fn octets(&self) -> usize {
        if is_dot_string(&self.0) {
            return self.0.len();
        }
        let escaped = self.0.bytes().filter(|octet| matches!(octet, b'"' | b'\\')).count();
        self.0.len() + escaped + "\"\"".len()
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

/// The host part of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailboxDomain {
    /// A domain name.
    Domain(Domain),
    /// An address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

impl MailboxDomain {
    /// Reads a domain name or a bracketed address literal.
    ///
    /// # Errors
    ///
    /// `text` is neither.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('[') {
            Some(rest) => {
                let inside = rest.strip_suffix(']').ok_or(AddressError::Literal)?;
                literal(inside).map(Self::Literal).ok_or(AddressError::Literal)
            }
            None => Ok(Self::Domain(Domain::parse(text)?)),
        }
    }

    /// How many octets it has where it is written.
    fn octets(&self) -> usize {
        match self {
            Self::Domain(domain) => domain.as_str().len(),
            Self::Literal(_) => self.to_string().len(),
        }
    }
}

impl From<Domain> for MailboxDomain {
    fn from(domain: Domain) -> Self {
        Self::Domain(domain)
    }
}

impl fmt::Display for MailboxDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// What stands in the brackets of a literal; general literals (`[tag:..]`) have no registry entry.
fn literal(inside: &str) -> Option<IpAddr> {
    match inside.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        Some(_) | None => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// What a quoted string says, and what follows its closing quote.
fn unquote(text: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().ok_or(AddressError::UnclosedQuote)? {
            '"' => return Ok((content, chars.as_str())),
            '\\' => content.push(chars.next().ok_or(AddressError::UnclosedQuote)?),
            c => content.push(c),
        }
    }
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5321 §4.1.2 `atext`, with the rest of Unicode as RFC 6531 §3.3 adds it.
fn is_atext(c: char) -> bool {
    match c {
        c if c.is_ascii_alphanumeric() => true,
        c if c.is_ascii() => matches!(
            c,
            '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~'
        ),
        c => !c.is_control(),
    }
}

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// What follows the at sign is no domain name.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Brackets hold something other than an IPv4 or IPv6 address.
    #[error("malformed address literal")]
    Literal,
    /// The local part holds a character that may not stand there.
    #[error("character {0:?} in a local part")]
    LocalPart(char),
    /// Without quotes a local part is not empty.
    #[error("no local part before the @")]
    LocalPartEmpty,
    /// The local part has more than 252 octets.
    #[error("local part longer than 252 octets")]
    LocalPartTooLong,
    /// There is no at sign after the local part.
    #[error("no @ after the local part")]
    MissingAt,
    /// The mailbox does not fit a path.
    #[error("address longer than 254 octets")]
    TooLong,
    /// A quoted local part does not end.
    #[error("unclosed quote")]
    UnclosedQuote,
}

#[cfg(test)]
pub(crate) mod tests;
