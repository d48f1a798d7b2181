//! The reverse-path and the forward-path (RFC 5321 §4.1.2).
//!
//! A source route is understood and dropped, as RFC 5321 §4.1.1.3 and appendix C let a receiver do.

use std::fmt;

use crate::domain::Domain;
use crate::mailbox::{AddressError, Mailbox};

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
        if inside.is_empty() {
            return Ok(Self::Null);
        }
        Ok(Self::Mailbox(routed_mailbox(inside)?))
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

/// What stands between the brackets of the path that `text` begins with, and what follows it.
///
/// A bracket inside a quoted local part does not end the path.
pub(crate) fn split_bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let inside = text.strip_prefix('<').ok_or(PathError::Brackets)?;
    let mut chars = inside.char_indices();
    let mut quoted = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => drop(chars.next()),
            '>' if !quoted => {
                let path = inside.get(..at).ok_or(PathError::Brackets)?;
                return Ok((path, chars.as_str()));
            }
            _ => {}
        }
    }
    Err(PathError::Brackets)
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
        ];
        for (text, written) in good {
            assert_eq!(ReversePath::parse(text).unwrap().to_string(), written, "{text}");
            assert_eq!(ForwardPath::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn only_a_reverse_path_may_be_null() {
        assert_eq!(ReversePath::parse("<>").unwrap(), ReversePath::Null);
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
            ("< bob@example.com>", "blank"),
            ("<bob>", "no domain"),
            ("< >", "blank"),
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
