//! Names of domains and hosts as reports write them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name (RFC 1035 §2.3.4, without the dot at the end).
const NAME_MAX: usize = 253;

/// The longest label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The name of a domain or a host: A-labels, lower case, without a dot at the end.
///
/// RFC 8460 §4.4 and §5.1 want A-labels everywhere; whoever has U-labels converts them first.
///
/// ```
/// use tls_rpt::DomainName;
///
/// assert_eq!(DomainName::parse("Mail.Example.ORG.")?.as_str(), "mail.example.org");
/// assert!(DomainName::parse("münchen.example").is_err());
/// # Ok::<(), tls_rpt::DomainNameError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// [`DomainNameError`] where it is not one: U-labels and IP addresses included.
    pub fn parse(text: &str) -> Result<Self, DomainNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
        if name.len() <= NAME_MAX && name.split('.').all(is_label) && !is_address {
            Ok(Self(name.to_ascii_lowercase().into()))
        } else {
            Err(DomainNameError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is letters, digits, hyphens (neither first nor last) and underscores, which RFC 1123
/// §2.1 does not have and hosts in use do.
fn is_label(label: &str) -> bool {
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DomainName {
    type Error = DomainNameError;

    fn try_from(text: String) -> Result<Self, DomainNameError> {
        Self::parse(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.as_str().to_owned()
    }
}

/// A text is not a domain name of A-labels.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is not a domain name in A-labels")]
pub struct DomainNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_labels_of_letters_digits_hyphens_and_underscores() {
        for good in
            ["a", "a.example", "A.Example.", "xn--mnchen-3ya.example", "mx_1.example", "1.a"]
        {
            let name = DomainName::parse(good).unwrap();
            assert_eq!(name.as_str(), good.trim_end_matches('.').to_ascii_lowercase());
        }
        let (long_label, long_name) = ("a".repeat(64), "a.".repeat(127));
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "-a.example",
            "a-.example",
            "ä.example",
            "192.0.2.1",
            "a.example..",
            "a\r\n.example",
            "[192.0.2.1]",
            "a.1",
            &long_label,
            &format!("{long_name}a"),
        ] {
            assert_eq!(DomainName::parse(bad), Err(DomainNameError), "{bad}");
        }
    }
}
