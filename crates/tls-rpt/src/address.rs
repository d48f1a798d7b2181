//! Mail addresses of those who get reports and of those who send them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::DomainName;

/// The longest local part (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_MAX: usize = 64;

/// A mail address: an addr-spec of RFC 5322 §3.4.1 in ASCII, without comments, at a domain.
///
/// It holds no control character, so it can stand in a header field as it is.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress {
    local_part: String,
    domain: DomainName,
}

impl MailAddress {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// [`MailAddressError`] where it is not one: address literals and non-ASCII addresses included.
    pub fn parse(text: &str) -> Result<Self, MailAddressError> {
        let (local_part, domain) = text.rsplit_once('@').ok_or(MailAddressError)?;
        let fits = local_part.len() <= LOCAL_PART_MAX;
        let domain = DomainName::parse(domain).ok().filter(|_| fits).ok_or(MailAddressError)?;
        if is_dot_atom(local_part) || is_quoted_string(local_part) {
            Ok(Self { local_part: local_part.to_owned(), domain })
        } else {
            Err(MailAddressError)
        }
    }

    /// What stands before the `@`, with its quotes if it has any.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = MailAddressError;

    fn try_from(text: String) -> Result<Self, MailAddressError> {
        Self::parse(&text)
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.to_string()
    }
}

/// A text is not a mail address.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is not a mail address")]
pub struct MailAddressError;

/// `dot-atom-text` of RFC 5322 §3.2.3.
fn is_dot_atom(text: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// `quoted-string` of RFC 5322 §3.2.4, without folding.
fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    for byte in inner.bytes() {
        match byte {
            _ if !(byte.is_ascii_graphic() || byte == b' ') => return false,
            _ if escaped => escaped = false,
            b'"' => return false,
            b'\\' => escaped = true,
            _ => {}
        }
    }
    !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_local_part_at_a_domain() {
        for good in ["a@b.example", "a.b+c@b.example", "\"a b@c\"@b.example", r#""\"\\"@b.example"#]
        {
            assert_eq!(MailAddress::parse(good).unwrap().to_string(), good);
        }
        let upper = MailAddress::parse("Reports@Example.ORG").unwrap();
        assert_eq!(upper.to_string(), "Reports@example.org");
        for bad in [
            "",
            "a",
            "@b.example",
            "a@",
            "a..b@c.example",
            ".a@b.example",
            "a b@c.example",
            "a@[192.0.2.1]",
            "a@b@c.example",
            "ä@b.example",
            "a@ä.example",
            "<a@b.example>",
            "\"a@b.example",
            "\"\"\"@b.example",
            "\"\\\"@b.example",
            "\"a\r\nb\"@c.example",
            "a,b@c.example",
            &format!("{}@b.example", "a".repeat(65)),
        ] {
            assert_eq!(MailAddress::parse(bad), Err(MailAddressError), "{bad}");
        }
    }
}
