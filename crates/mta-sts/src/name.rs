//! Names: the domain a policy is for, and the hosts it may name.
//!
//! Both are kept as A-labels in lower case without a trailing dot, so that comparing them is
//! comparing bytes (RFC 8461 §3.1 and §4.1, RFC 5890 §2.3.2.1). A name that was parsed as one kind
//! cannot be passed as the other.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest name that DNS can carry (RFC 1035 §2.3.4), in presentation form.
const NAME_MAX: usize = 253;

/// What stands before a policy domain in the name of its record (RFC 8461 §3.1).
const RECORD_LABEL: &str = "_mta-sts.";

/// The longest label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The domain that a policy is published for and that mail is addressed to (RFC 8461 §1.1).
///
/// For mail that goes to a configured next hop it is the smart host's domain (RFC 8461 §3.4).
/// It is never a parent of the recipient's domain, and never the MX host's.
///
/// ```
/// use mta_sts::PolicyDomain;
///
/// let domain = PolicyDomain::parse("Bücher.Example")?;
/// assert_eq!(domain.as_str(), "xn--bcher-kva.example");
/// assert_eq!(domain.policy_host(), "mta-sts.xn--bcher-kva.example");
/// # Ok::<(), mta_sts::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PolicyDomain(Arc<str>);

impl PolicyDomain {
    /// Parses a domain name; U-labels become A-labels, a trailing dot is dropped.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse(text).map(Self)
    }

    /// The name, in A-labels and lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the TXT record of the domain is (RFC 8461 §3.1).
    ///
    /// It can be longer than DNS allows; then no such record can exist.
    #[must_use]
    pub fn record_name(&self) -> String {
        [RECORD_LABEL, self.as_str()].concat()
    }

    /// Where the policy file of the domain is (RFC 8461 §3.2).
    #[must_use]
    pub fn policy_host(&self) -> String {
        format!("mta-sts.{}", self.0)
    }

    /// Whether DNS can carry the names this domain's policy would be found at.
    pub(crate) fn can_publish(&self) -> bool {
        RECORD_LABEL.len() + self.as_str().len() <= NAME_MAX
    }
}

/// The name of a mail host, as an MX record gives it.
///
/// Host names with an underscore occur in real MX records and are let through; whether a policy
/// admits one is for its patterns to say (RFC 8461 §4.1).
///
/// ```
/// use mta_sts::MxHost;
///
/// assert_eq!(MxHost::parse("MX1.Example.org.")?.as_str(), "mx1.example.org");
/// assert!(MxHost::parse("192.0.2.1").is_err());
/// # Ok::<(), mta_sts::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MxHost(Arc<str>);

impl MxHost {
    /// Parses a host name; U-labels become A-labels, a trailing dot is dropped.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse(text).map(Self)
    }

    /// The name, in A-labels and lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not the name of a domain or a host.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// Two dots stand together, or a dot stands in front.
    #[error("a label of the name is empty")]
    EmptyLabel,
    /// The name has U-labels that are not valid (RFC 5891).
    #[error("the name is not a valid internationalised domain name")]
    Idna,
    /// Something other than letters, digits, hyphens and underscores.
    #[error("{0:?} cannot stand in a host name")]
    Character(char),
    /// A label of more than 63 octets (RFC 1035 §2.3.4).
    #[error("a label of the name is longer than 63 octets")]
    LongLabel,
    /// More than 253 octets (RFC 1035 §2.3.4).
    #[error("the name is longer than 253 octets")]
    Long,
    /// The last label is a number, so this is an IP address or nothing (RFC 3696 §2).
    #[error("the last label is a number: an address is not a name")]
    Numeric,
}

fn parse(text: &str) -> Result<Arc<str>, NameError> {
    let ascii = to_ascii(text)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_MAX {
        return Err(NameError::Long);
    }
    name.split('.').try_for_each(check_label)?;
    if ends_in_number(name) {
        return Err(NameError::Numeric);
    }
    Ok(name.into())
}

/// Plain ASCII is only lowered: a label that is not valid punycode is still a name in DNS.
fn to_ascii(text: &str) -> Result<String, NameError> {
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    match idna::domain_to_ascii(text) {
        Ok(ascii) => Ok(ascii),
        Err(idna::Errors { .. }) => Err(NameError::Idna),
    }
}

fn check_label(label: &str) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if label.len() > LABEL_MAX {
        return Err(NameError::LongLabel);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    label.chars().find(|c| !allowed(*c)).map_or(Ok(()), |c| Err(NameError::Character(c)))
}

/// Whether the last label has digits only; no top-level domain does (RFC 3696 §2).
pub(crate) fn ends_in_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `name` is a `Domain` as RFC 5321 §4.1.2 has it, underscores apart, and short enough for
/// DNS.
pub(crate) fn is_host_name(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('.').all(is_sub_domain)
}

fn is_sub_domain(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let edge = |edge: Option<u8>| edge.is_some_and(inside);
    label.len() <= LABEL_MAX
        && edge(label.bytes().next())
        && edge(label.bytes().last())
        && label.bytes().all(|byte| inside(byte) || byte == b'-')
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

as_text!(PolicyDomain);
as_text!(MxHost);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_kept_in_one_form() {
        for (text, kept) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("Ñaca.com", "xn--aca-6ma.com"),
            ("mx_1.example.org", "mx_1.example.org"),
            ("localhost", "localhost"),
            ("1.2.3.example", "1.2.3.example"),
        ] {
            assert_eq!(MxHost::parse(text).map(|name| name.to_string()), Ok(kept.into()), "{text}");
            assert_eq!(PolicyDomain::parse(text).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused_and_said_why() {
        let label = "x".repeat(64);
        let long = ["x".repeat(63).as_str(); 4].join(".");
        for (text, error) in [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("a..b", NameError::EmptyLabel),
            (".example", NameError::EmptyLabel),
            ("example..", NameError::EmptyLabel),
            ("*.example", NameError::Character('*')),
            ("a b.example", NameError::Character(' ')),
            ("a\r\n.example", NameError::Character('\r')),
            ("192.0.2.1", NameError::Numeric),
            ("[192.0.2.1]", NameError::Character('[')),
            ("example.123", NameError::Numeric),
            (&label, NameError::LongLabel),
            (&long, NameError::Long),
            ("\u{ff00}.example", NameError::Idna),
        ] {
            assert_eq!(PolicyDomain::parse(text), Err(error), "{text}");
        }
    }

    /// A name of so many octets.
    fn of_length(length: usize) -> String {
        let labels = [63, 63, 63].map(|length| "x".repeat(length)).join(".");
        format!("{labels}.{}", "y".repeat(length - labels.len() - 1))
    }

    #[test]
    fn the_longest_names_and_labels_that_the_dns_has_are_names() {
        let longest = of_length(NAME_MAX);
        assert_eq!(longest.len(), 253);
        assert!(is_host_name(&longest));
        assert_eq!(MxHost::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(MxHost::parse(&of_length(NAME_MAX + 1)), Err(NameError::Long));
        assert!(!is_host_name(&of_length(NAME_MAX + 1)) && !is_host_name(&"x".repeat(64)));
    }

    #[test]
    fn a_domain_too_long_for_a_record_cannot_publish_one() {
        let room = NAME_MAX - "_mta-sts.".len();
        assert!(PolicyDomain::parse(&of_length(room)).unwrap().can_publish());
        assert!(!PolicyDomain::parse(&of_length(room + 1)).unwrap().can_publish());
    }

    proptest! {
        #[test]
        fn parsing_a_name_never_panics_and_settles_at_once(text in "\\PC{0,80}") {
            if let Ok(name) = MxHost::parse(&text) {
                prop_assert_eq!(MxHost::parse(name.as_str()), Ok(name));
            }
        }
    }
}
