//! Domain names as mail uses them (RFC 5321 §2.3.5, RFC 5890 A-labels).
//!
//! A domain is brought to one form when it is parsed, so that two spellings of one name are one
//! value: whoever looks up a policy for it cannot be led past it by a capital letter or a final dot.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use idna::AsciiDenyList;

/// A domain name: A-labels in lower case, without a final dot.
///
/// ```
/// use smtp::Domain;
///
/// assert_eq!(Domain::parse("MX.Example.COM.")?.as_str(), "mx.example.com");
/// assert_eq!(Domain::parse("bücher.example")?.as_str(), "xn--bcher-kva.example");
/// assert!(Domain::parse("192.0.2.1").is_err());
/// # Ok::<(), smtp::DomainError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// The most octets a name may have as text, without the final dot (RFC 1035 §2.3.4).
    pub const MAX_OCTETS: usize = 253;
    /// The most octets a label may have (RFC 1035 §2.3.4).
    pub const MAX_LABEL_OCTETS: usize = 63;

    /// Reads a name, in ASCII or as U-labels, with or without a final dot.
    ///
    /// Underscores are let through, since names with them exist in the DNS and receive mail.
    /// A name whose last label is all digits is refused: it is an address that lost its brackets.
    ///
    /// # Errors
    ///
    /// Says what keeps `text` from being a domain name.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let name = a_labels(text)?;
        check(&name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

/// The name in lower case, U-labels turned into A-labels (UTS 46, non-transitional).
fn a_labels(text: &str) -> Result<Cow<'_, str>, DomainError> {
    if text.is_ascii() {
        let lower = !text.bytes().any(|octet| octet.is_ascii_uppercase());
        return Ok(if lower { text.into() } else { text.to_ascii_lowercase().into() });
    }
    // No U-label takes more than four octets for each of its A-label's; Punycode is not linear.
    if text.len() > 4 * Domain::MAX_OCTETS {
        return Err(DomainError::TooLong);
    }
    match idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY) {
        Ok(name) => Ok(name),
        Err(source) => Err(DomainError::Idna(source)),
    }
}

fn check(name: &str) -> Result<(), DomainError> {
    if name.is_empty() {
        return Err(DomainError::Empty);
    }
    if name.len() > Domain::MAX_OCTETS {
        return Err(DomainError::TooLong);
    }
    name.split('.').try_for_each(check_label)?;
    match name.rsplit('.').next() {
        Some(last) if last.bytes().all(|b| b.is_ascii_digit()) => Err(DomainError::Numeric),
        Some(_) | None => Ok(()),
    }
}

fn check_label(label: &str) -> Result<(), DomainError> {
    if label.is_empty() {
        return Err(DomainError::EmptyLabel);
    }
    if label.len() > Domain::MAX_LABEL_OCTETS {
        return Err(DomainError::LabelTooLong);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(DomainError::Hyphen);
    }
    match label.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        Some(c) => Err(DomainError::Character(c)),
        None => Ok(()),
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

/// Why a text is no domain name.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// It holds a character no host name has.
    #[error("character {0:?} in a domain name")]
    Character(char),
    /// There is nothing.
    #[error("empty domain name")]
    Empty,
    /// Two dots stand together, or one stands first.
    #[error("empty label in a domain name")]
    EmptyLabel,
    /// A label begins or ends with a hyphen (RFC 5321 §4.1.2, `sub-domain`).
    #[error("a label begins or ends with a hyphen")]
    Hyphen,
    /// It is not ASCII and has no A-label form.
    #[error("internationalised domain name that cannot be encoded")]
    Idna(#[source] idna::Errors),
    /// A label has more than 63 octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// Its last label is a number.
    #[error("the last label is a number")]
    Numeric,
    /// The name has more than 253 octets.
    #[error("domain name longer than 253 octets")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_name_has_one_form() {
        let long_label = "a".repeat(63);
        let longest = format!("{0}.{0}.{0}.{1}", long_label, "b".repeat(61));
        let good = [
            ("example.com", "example.com"),
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("localhost", "localhost"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("a_b.example", "a_b.example"),
            ("1and1.com", "1and1.com"),
            ("4.example", "4.example"),
            ("a--b.example", "a--b.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            (longest.as_str(), longest.as_str()),
        ];
        for (text, name) in good {
            assert_eq!(Domain::parse(text).unwrap().as_str(), name, "{text}");
        }
        assert_eq!(longest.len(), 253);
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let too_long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62));
        let label = format!("{}.example", "a".repeat(64));
        let wide = "\u{1f600}".repeat(300);
        let bad = [
            ("", "empty"),
            (".", "the root is no mail domain"),
            ("..", "empty label"),
            (".example.com", "empty first label"),
            ("a..b", "empty label"),
            ("example.com..", "two final dots"),
            ("192.0.2.1", "an address"),
            ("example.123", "numeric top level"),
            ("1", "number"),
            ("[192.0.2.1]", "a literal"),
            ("exa mple.com", "blank"),
            ("example.com ", "blank at the end"),
            ("example.com\r\n", "line end"),
            ("example.com\0", "NUL"),
            ("a@b", "at sign"),
            ("a/b", "slash"),
            ("a>b", "angle bracket"),
            ("-a.example", "hyphen first"),
            ("a-.example", "hyphen last"),
            ("a＠b.example", "an at sign in disguise"),
            ("a\u{ff1e}b.example", "an angle bracket in disguise"),
            ("a\u{2028}b.example", "line separator"),
            ("\u{fffd}.example", "replacement character"),
            (too_long.as_str(), "254 octets"),
            (label.as_str(), "label of 64 octets"),
            (wide.as_str(), "long and wide"),
        ];
        for (text, why) in bad {
            assert!(Domain::parse(text).is_err(), "{why}: {text:?}");
        }
    }

    #[test]
    fn labels_come_from_the_left() {
        let domain = Domain::parse("mx.example.com").unwrap();
        assert_eq!(domain.labels().collect::<Vec<_>>(), ["mx", "example", "com"]);
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(text in "\\PC{0,40}|[a-zA-Z0-9_äß.-]{1,60}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert!(domain.as_str().len() <= Domain::MAX_OCTETS);
                prop_assert!(domain.as_str().bytes().all(
                    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)
                ));
                prop_assert_eq!(&Domain::parse(&domain.to_string()).unwrap(), &domain);
            }
        }
    }
}
