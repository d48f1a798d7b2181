//! `mx` patterns: which hosts a policy names (RFC 8461 §4.1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::name::{MxHost, ends_in_number, is_host_name};

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
    /// Underscores are taken as they are in the names of hosts: MX records with such names exist,
    /// and a policy that names one would otherwise protect nothing. U-labels are refused (RFC 8461
    /// §3.2 has A-labels only), and so is a pattern that ends in a number: no host it could name
    /// exists.
    ///
    /// # Errors
    ///
    /// [`MxPatternError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MxPatternError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.contains('*') {
            return Err(MxPatternError::Wildcard);
        }
        if !is_host_name(name) {
            return Err(MxPatternError::NotADomain);
        }
        if ends_in_number(name) {
            return Err(MxPatternError::Numeric);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The same, with a dot at the end overlooked and blanks around it, as in a policy file.
    ///
    /// # Errors
    ///
    /// [`MxPatternError`] says what is wrong with it.
    pub fn parse_leniently(text: &str) -> Result<Self, MxPatternError> {
        let text = text.trim_matches([' ', '\t']);
        Self::parse(text.strip_suffix('.').unwrap_or(text))
    }

    /// Whether it has an underscore, which the grammar does not allow (RFC 5321 §4.1.2).
    pub(crate) fn has_underscore(&self) -> bool {
        self.0.contains('_')
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

/// The patterns of a policy, in its order, and so that a host is found without a look at each.
///
/// Who publishes a policy says how many patterns it has, and how many MX hosts are held against it.
#[derive(Clone, Debug)]
pub(crate) struct MxPatterns {
    listed: Vec<MxPattern>,
    /// The same by their text.
    sorted: Vec<MxPattern>,
}

impl MxPatterns {
    pub(crate) fn new(listed: Vec<MxPattern>) -> Self {
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        Self { listed, sorted }
    }

    /// As the policy lists them.
    pub(crate) fn listed(&self) -> &[MxPattern] {
        &self.listed
    }

    /// Whether one of them names `host`, as [`MxPattern::matches`] has it.
    pub(crate) fn name(&self, host: &MxHost) -> bool {
        let host = host.as_str();
        let parent = host.find('.').and_then(|dot| host.get(dot..)).unwrap_or_default();
        self.has(&[host]) || (!parent.is_empty() && self.has(&["*", parent]))
    }

    /// Whether the pattern that these parts make together is one of them.
    fn has(&self, parts: &[&str]) -> bool {
        let text = || parts.iter().flat_map(|part| part.bytes());
        self.sorted.binary_search_by(|pattern| pattern.0.bytes().cmp(text())).is_ok()
    }
}

/// What is listed says all.
impl PartialEq for MxPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.listed == other.listed
    }
}

impl Eq for MxPatterns {}

/// Why a text is not an `mx` pattern.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum MxPatternError {
    /// It is not a domain name of letters, digits, hyphens and underscores (RFC 5321 §4.1.2, and
    /// underscores as in the names of hosts).
    #[error("it is not a domain name of letters, digits, hyphens and underscores")]
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
    use proptest::prelude::*;

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
            ("mx_1.ex~mple.com", MxPatternError::NotADomain),
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
    #[test]
    fn an_underscore_is_taken_wherever_the_name_of_a_host_may_have_one() {
        for text in ["mx_1.example.com", "_mx.example.com", "mx_.example.com", "*.a_b.example"] {
            assert!(MxPattern::parse(text).unwrap().has_underscore(), "{text}");
        }
        assert!(!MxPattern::parse("*.example.com").unwrap().has_underscore());
    }

    #[test]
    fn a_dot_at_the_end_and_blanks_around_a_pattern_are_overlooked() {
        for text in ["a.example.", " a.example ", "\ta.example.\t"] {
            assert_eq!(MxPattern::parse_leniently(text).unwrap().as_str(), "a.example", "{text:?}");
        }
        for text in ["a.example..", ".", "", "a. example"] {
            assert!(MxPattern::parse_leniently(text).is_err(), "{text:?}");
        }
    }

    fn label() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "mx1", "x_y", "example"])
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."))
    }

    proptest! {
        #[test]
        fn a_host_is_found_where_one_pattern_after_the_other_would_name_it(
            names in prop::collection::vec((name(), prop::bool::ANY), 0..12),
            host in name(),
        ) {
            let patterns: Vec<_> = names
                .iter()
                .map(|(name, wild)| if *wild { format!("*.{name}") } else { name.clone() })
                .map(|text| MxPattern::parse(&text).unwrap())
                .collect();
            let host = MxHost::parse(&host).unwrap();
            let named = patterns.iter().any(|pattern| pattern.matches(&host));
            prop_assert_eq!(MxPatterns::new(patterns).name(&host), named);
        }
    }
}
