//! `mx` patterns: which hosts a policy names (RFC 8461 §4.1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::name::{MxHost, ends_in_number, is_smtp_domain};

/// One `mx` value: a host name, or `*.` and the rest of one (RFC 8461 §3.2).
///
/// ```
/// use mta_sts::{MxHost, MxPattern};
///
/// let pattern = MxPattern::parse("*.example.com")?;
/// assert!(pattern.matches(&MxHost::parse("mail.example.com")?));
/// assert!(!pattern.matches(&MxHost::parse("example.com")?));
/// assert!(!pattern.matches(&MxHost::parse("foo.bar.example.com")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MxPattern(Arc<str>);

impl MxPattern {
    /// Parses `["*."] Domain` (RFC 8461 §3.2, RFC 5321 §4.1.2), in any case.
    ///
    /// U-labels are refused (RFC 8461 §3.2 has A-labels only), and so is a pattern that ends in a
    /// number: no host it could name exists.
    ///
    /// # Errors
    ///
    /// [`MxPatternError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MxPatternError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.contains('*') {
            return Err(MxPatternError::Wildcard);
        }
        if !is_smtp_domain(name) {
            return Err(MxPatternError::NotADomain);
        }
        if ends_in_number(name) {
            return Err(MxPatternError::Numeric);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Whether the pattern names `host`: `*` stands for exactly one whole label, the left-most
    /// (RFC 8461 §4.1, RFC 6125 §6.4).
    #[must_use]
    pub fn matches(&self, host: &MxHost) -> bool {
        let host = host.as_str();
        let Some(parent) = self.0.strip_prefix('*') else {
            return *self.0 == *host;
        };
        host.strip_suffix(parent).is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }

    /// The pattern in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MxPattern {
    type Err = MxPatternError;

    fn from_str(text: &str) -> Result<Self, MxPatternError> {
        Self::parse(text)
    }
}

/// Why a text is not an `mx` pattern.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum MxPatternError {
    /// It is not a domain name of letters, digits and hyphens (RFC 5321 §4.1.2).
    #[error("it is not a domain name of letters, digits and hyphens")]
    NotADomain,
    /// It ends in a number, so it is an address or nothing.
    #[error("it ends in a number, so no host has this name")]
    Numeric,
    /// The wildcard is not the whole left-most label.
    #[error("a wildcard can only be the whole left-most label")]
    Wildcard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        for (text, error) in [
            ("", MxPatternError::NotADomain),
            ("*", MxPatternError::Wildcard),
            ("*.", MxPatternError::NotADomain),
            ("*.*.example.com", MxPatternError::Wildcard),
            ("m*.example.com", MxPatternError::Wildcard),
            (".example.com", MxPatternError::NotADomain),
            ("example.com.", MxPatternError::NotADomain),
            ("-mx.example.com", MxPatternError::NotADomain),
            ("mx-.example.com", MxPatternError::NotADomain),
            ("mx_1.example.com", MxPatternError::NotADomain),
            ("møx.example.com", MxPatternError::NotADomain),
            ("192.0.2.1", MxPatternError::Numeric),
        ] {
            assert_eq!(MxPattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        let pattern = MxPattern::parse("*.Example.com").unwrap();
        for (host, named) in [
            ("a.example.com", true),
            ("EXAMPLE.com", false),
            ("a.b.example.com", false),
            ("aexample.com", false),
            ("a.example.com.evil.test", false),
        ] {
            assert_eq!(pattern.matches(&MxHost::parse(host).unwrap()), named, "{host}");
        }
    }
}
