//! The reverse-path and the forward-path (RFC 5321 §4.1.2).
//!
//! A source route is understood and dropped, as RFC 5321 §4.1.1.3 and appendix C let a receiver do.
//!
//! What printers, scanners and old programs write is taken where its meaning is clear: a path
//! without its brackets, blanks inside them, a sender at an IPv4 address without brackets. It is
//! written as RFC 5321 has it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::domain::{Domain, DomainError};
use crate::mailbox::{AddressError, LocalPart, Mailbox, MailboxDomain};

/// Where a message's delivery reports go: the argument of MAIL.
///
/// ```
/// use smtp::ReversePath;
///
/// assert_eq!(ReversePath::parse("<>")?, ReversePath::Null);
/// assert_eq!(ReversePath::parse("<@a.example:bob@b.example>")?.to_string(), "<bob@b.example>");
/// # Ok::<(), smtp::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// The null reverse-path `<>` of reports, to which nothing is ever sent (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Reads a path with its angle brackets.
    ///
    /// # Errors
    ///
    /// `text` is no path, or more than a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::from_bracketed(whole(text)?)
    }

    /// Reads what stood between the brackets.
    pub(crate) fn from_bracketed(inside: &str) -> Result<Self, PathError> {
        let inside = inside.trim_matches(BLANKS);
        if inside.is_empty() {
            return Ok(Self::Null);
        }
        match routed_mailbox(inside) {
            Err(PathError::Address(AddressError::Domain(DomainError::Numeric))) => {
                Ok(Self::Mailbox(at_bare_address(inside)?))
            }
            read => Ok(Self::Mailbox(read?)),
        }
    }

    /// The mailbox, unless the path is null.
    #[must_use]
    pub const fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether the path can be written without SMTPUTF8 (RFC 6531 §3.4).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Whom a message is for: the argument of RCPT.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardPath {
    /// A mailbox.
    Mailbox(Mailbox),
    /// `<postmaster>` without a domain, which every server must know (RFC 5321 §4.5.1).
    Postmaster,
}

impl ForwardPath {
    /// Reads a path with its angle brackets.
    ///
    /// # Errors
    ///
    /// `text` is no path, or more than a path, or the null path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::from_bracketed(whole(text)?)
    }

    /// Reads what stood between the brackets.
    pub(crate) fn from_bracketed(inside: &str) -> Result<Self, PathError> {
        let inside = inside.trim_matches(BLANKS);
        if inside.is_empty() {
            return Err(PathError::Null);
        }
        if inside.eq_ignore_ascii_case("postmaster") {
            return Ok(Self::Postmaster);
        }
        Ok(Self::Mailbox(routed_mailbox(inside)?))
    }

    /// The mailbox, unless it is the nameless postmaster.
    #[must_use]
    pub const fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Mailbox(mailbox) => Some(mailbox),
            Self::Postmaster => None,
        }
    }

    /// Whether the path can be written without SMTPUTF8 (RFC 6531 §3.4).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
            Self::Postmaster => f.write_str("<postmaster>"),
        }
    }
}

/// What separates the words of a command: a blank, or a tab from clients that do not know better.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

/// The path that `text` begins with, without brackets, and what follows it. Without brackets the
/// path ends at the first blank that is not quoted.
pub(crate) fn split(text: &str) -> Result<(&str, &str), PathError> {
    if text.starts_with('<') {
        return split_bracketed(text);
    }
    let end = end_of(text, |c| BLANKS.contains(&c)).unwrap_or(text.len());
    match text.split_at_checked(end) {
        None | Some(("", _)) => Err(PathError::Brackets),
        Some(split) => Ok(split),
    }
}

/// What stands between the brackets of the path that `text` begins with, and what follows it.
///
/// A bracket inside a quoted local part does not end the path.
fn split_bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let inside = text.strip_prefix('<').ok_or(PathError::Brackets)?;
    let end = end_of(inside, |c| c == '>').ok_or(PathError::Brackets)?;
    let (path, rest) = inside.split_at_checked(end).ok_or(PathError::Brackets)?;
    Ok((path, rest.strip_prefix('>').unwrap_or(rest)))
}

/// Where the first character stands that `ends` the path and is not quoted.
fn end_of(text: &str, ends: impl Fn(char) -> bool) -> Option<usize> {
    let mut chars = text.char_indices();
    let mut quoted = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => drop(chars.next()),
            c if !quoted && ends(c) => return Some(at),
            _ => {}
        }
    }
    None
}

fn whole(text: &str) -> Result<&str, PathError> {
    match split_bracketed(text)? {
        (inside, "") => Ok(inside),
        (_, _) => Err(PathError::Brackets),
    }
}

/// A mailbox, behind a source route or not (RFC 5321 §4.1.2, `A-d-l`).
fn routed_mailbox(inside: &str) -> Result<Mailbox, PathError> {
    if !inside.starts_with('@') {
        return Ok(Mailbox::parse(inside)?);
    }
    let (route, mailbox) = inside.split_once(':').ok_or(PathError::SourceRoute)?;
    for hop in route.split(',') {
        let domain = hop.strip_prefix('@').ok_or(PathError::SourceRoute)?;
        Domain::parse(domain).map_err(AddressError::from)?;
    }
    Ok(Mailbox::parse(mailbox)?)
}

/// A mailbox at an IPv4 address that has no brackets, as devices without a name write it.
fn at_bare_address(inside: &str) -> Result<Mailbox, PathError> {
    let numeric = || AddressError::from(DomainError::Numeric);
    let (local, domain) = inside.rsplit_once('@').ok_or_else(numeric)?;
    let address: Ipv4Addr = domain.parse().map_err(|_cause| numeric())?;
    // Reads the local part by the same rules as any other.
    let named = Mailbox::parse(&format!("{local}@invalid"))?;
    let local: LocalPart = named.local().clone();
    Ok(Mailbox::new(local, MailboxDomain::Literal(IpAddr::V4(address)))?)
}

/// Why a text is no path.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The mailbox in it is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It does not begin with `<`, does not end with `>`, or goes on after it.
    #[error("a path stands in angle brackets")]
    Brackets,
    /// A forward-path is never null.
    #[error("a recipient cannot be the null path")]
    Null,
    /// The source route is malformed.
    #[error("malformed source route")]
    SourceRoute,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::tests::any_mailbox;

    #[test]
    fn a_path_is_read_and_its_source_route_dropped() {
        let good = [
            ("<bob@example.com>", "<bob@example.com>"),
            ("<\"a>b\"@example.com>", "<\"a>b\"@example.com>"),
            ("<\"a\\\">b\"@example.com>", "<\"a\\\">b\"@example.com>"),
            ("<@a.example:bob@example.com>", "<bob@example.com>"),
            ("<@a.example,@b.example:bob@example.com>", "<bob@example.com>"),
            ("<@a.example:\"x:y\"@example.com>", "<\"x:y\"@example.com>"),
            ("<bob@[IPv6:::1]>", "<bob@[IPv6:::1]>"),
            ("< bob@example.com\t>", "<bob@example.com>"),
            ("<u..x@example.com>", "<\"u..x\"@example.com>"),
            ("<@a.example:u.@example.com>", "<\"u.\"@example.com>"),
        ];
        for (text, written) in good {
            assert_eq!(ReversePath::parse(text).unwrap().to_string(), written, "{text}");
            assert_eq!(ForwardPath::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn a_sender_at_a_bare_ipv4_address_is_at_its_literal_and_a_recipient_is_not() {
        for (text, written) in [
            ("<scanner@192.0.2.1>", "<scanner@[192.0.2.1]>"),
            ("<a..b@192.0.2.1>", "<\"a..b\"@[192.0.2.1]>"),
            ("<\"a@b\"@192.0.2.1>", "<\"a@b\"@[192.0.2.1]>"),
        ] {
            assert_eq!(ReversePath::parse(text).unwrap().to_string(), written);
            assert!(ForwardPath::parse(text).is_err(), "{text}");
        }
        for text in ["<a@1>", "<a@1.2.3>", "<a@192.0.2.256>", "<a@b@192.0.2.1>", "<@192.0.2.1>"] {
            assert!(ReversePath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_without_brackets_ends_at_the_first_blank_that_is_not_quoted() {
        for (text, parts) in [
            ("bob@example.com", ("bob@example.com", "")),
            ("bob@example.com SIZE=1", ("bob@example.com", " SIZE=1")),
            ("bob@example.com\tSIZE=1", ("bob@example.com", "\tSIZE=1")),
            ("\"a b\"@example.com X", ("\"a b\"@example.com", " X")),
            ("\"a\\\" b\"@example.com X", ("\"a\\\" b\"@example.com", " X")),
            ("<a b@example.com> X", ("a b@example.com", " X")),
        ] {
            assert_eq!(split(text).unwrap(), parts, "{text}");
        }
        for text in ["", " bob@example.com", "<bob@example.com"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_reverse_path_may_be_null() {
        assert_eq!(ReversePath::parse("<>").unwrap(), ReversePath::Null);
        assert_eq!(ReversePath::parse("< >").unwrap(), ReversePath::Null);
        assert!(matches!(ForwardPath::parse("< >"), Err(PathError::Null)));
        assert_eq!(ReversePath::Null.to_string(), "<>");
        assert!(matches!(ForwardPath::parse("<>"), Err(PathError::Null)));
    }

    #[test]
    fn only_a_forward_path_may_be_the_nameless_postmaster() {
        for text in ["<postmaster>", "<Postmaster>", "<POSTMASTER>"] {
            assert_eq!(ForwardPath::parse(text).unwrap(), ForwardPath::Postmaster);
            assert!(ReversePath::parse(text).is_err());
        }
        assert_eq!(ForwardPath::Postmaster.to_string(), "<postmaster>");
        assert!(ForwardPath::parse("<@a.example:postmaster>").is_err());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let bad = [
            ("", "nothing"),
            ("bob@example.com", "no brackets"),
            ("<bob@example.com", "not closed"),
            ("bob@example.com>", "not opened"),
            ("<<bob@example.com>>", "two brackets"),
            ("<bob@example.com>>", "more after it"),
            ("<bob@example.com> SIZE=1", "more after it"),
            ("<\"a@example.com>", "quote not closed"),
            ("<\"a\\\"@example.com>", "quote not closed"),
            ("<bob>", "no domain"),
            ("<@a.example>", "a route to nobody"),
            ("<@a.example:>", "a route to nobody"),
            ("<@:bob@example.com>", "a route without a host"),
            ("<@a.example,:bob@example.com>", "a hop without a host"),
            ("<@a.example,b.example:bob@example.com>", "a hop without its sign"),
            ("<@a b:bob@example.com>", "a hop that is no domain"),
            ("<@a.example:@b.example:bob@example.com>", "two routes"),
        ];
        for (text, why) in bad {
            assert!(ReversePath::parse(text).is_err(), "{why}: {text:?}");
            assert!(ForwardPath::parse(text).is_err(), "{why}: {text:?}");
        }
    }

    #[test]
    fn a_path_is_at_most_256_octets_long() {
        let domain = format!("{0}.{0}.{0}.example", "d".repeat(60));
        let room = 256 - "<@>".len() - domain.len();
        let longest = format!("<{}@{domain}>", "a".repeat(room));
        assert_eq!(longest.len(), 256);
        assert_eq!(ForwardPath::parse(&longest).unwrap().to_string(), longest);
        assert!(ForwardPath::parse(&format!("<{}@{domain}>", "a".repeat(room + 1))).is_err());
    }

    proptest! {
        #[test]
        fn a_written_path_reads_as_itself(mailbox in any_mailbox()) {
            let reverse = ReversePath::Mailbox(mailbox.clone());
            prop_assert_eq!(ReversePath::parse(&reverse.to_string()).unwrap(), reverse);
            let forward = ForwardPath::Mailbox(mailbox);
            prop_assert_eq!(ForwardPath::parse(&forward.to_string()).unwrap(), forward);
        }
    }
}
