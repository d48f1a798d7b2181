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
