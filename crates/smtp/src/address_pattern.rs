//! A pattern of addresses: one, all of a domain, or all there are.

use std::fmt;

use crate::domain::Domain;
use crate::mailbox::{AddressError, Mailbox, MailboxDomain};

/// A pattern of addresses.
///
/// ```
/// use smtp::{AddressPattern, Mailbox};
///
/// let ann = Mailbox::parse("Ann@example.org").unwrap();
/// for (pattern, covers) in [
///     ("ann@example.org", true),
///     ("@example.org", true),
///     ("*", true),
///     ("bob@example.org", false),
///     ("@sub.example.org", false),
/// ] {
///     assert_eq!(AddressPattern::parse(pattern).unwrap().covers(&ann), covers, "{pattern}");
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AddressPattern {
    /// `*`: every address.
    Any,
    /// `@example.org`: every address of the domain, and none of its subdomains.
    Domain(Domain),
    /// `ann@example.org`: one address.
    Mailbox(Mailbox),
}

impl AddressPattern {
    /// Reads an address, `@` and a domain, or `*`.
    ///
    /// # Errors
    ///
    /// [`AddressError`]: it is none of the three.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('@') {
            _ if text == "*" => Ok(Self::Any),
            Some(domain) => Ok(Self::Domain(Domain::parse(domain)?)),
            None => Mailbox::parse(text).map(Self::Mailbox),
        }
    }

    /// Whether `mailbox` is one of its addresses. Local parts are told apart by their case on no system
    /// where two users' addresses differ by it alone.
    #[must_use]
    pub fn covers(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => match mailbox.domain() {
                MailboxDomain::Domain(other) => other == domain,
                MailboxDomain::Literal(_) => false,
            },
            Self::Mailbox(own) => {
                own.domain() == mailbox.domain()
                    && own.to_string().eq_ignore_ascii_case(&mailbox.to_string())
            }
        }
    }

    /// Whether every address of `other` is one of its addresses.
    ///
    /// ```
    /// use smtp::AddressPattern;
    ///
    /// let pattern = |text| AddressPattern::parse(text).unwrap();
    /// assert!(pattern("@example.org").includes(&pattern("ann@example.org")));
    /// assert!(!pattern("ann@example.org").includes(&pattern("@example.org")));
    /// ```
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match other {
            Self::Any | Self::Domain(_) => self == other || *self == Self::Any,
            Self::Mailbox(mailbox) => self.covers(mailbox),
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}
