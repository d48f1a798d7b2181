//! What a sender asks of delivery reports: the parameters of RFC 3461 and RFC 6533.

use std::fmt::{self, Write};

use crate::xtext;

/// How much of the message a failure report returns: the RET parameter of MAIL (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its headers.
    Hdrs,
}

impl Ret {
    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Hdrs => "HDRS",
        }
    }

    /// Reads the parameter's value, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Hdrs].into_iter().find(|ret| text.eq_ignore_ascii_case(ret.as_str()))
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sender's own name for the transaction: the ENVID parameter of MAIL (RFC 3461 §4.4).
///
/// It is kept decoded and written as xtext.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// The most octets of the parameter's value (RFC 3461 §4.4).
    pub const MAX_OCTETS: usize = 100;

    /// Reads the parameter's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAX_OCTETS {
            return None;
        }
        xtext::decode(text).map(Self)
    }

    /// What it says: graphic ASCII characters and blanks, as a report shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        xtext::write(f, &self.0)
    }
}

/// When the sender wants a report: the NOTIFY parameter of RCPT (RFC 3461 §4.1).
///
/// ```
/// use smtp::{Condition, Notify};
///
/// let notify = Notify::parse("SUCCESS,DELAY").unwrap();
/// assert!(notify.on(Condition::Success) && !notify.on(Condition::Failure));
/// assert_eq!(Notify::parse("NEVER,DELAY"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notify(u8);

/// What may be worth a report (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It was delivered.
    Success,
    /// It could not be delivered.
    Failure,
    /// It is late.
    Delay,
}

impl Condition {
    const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Delay];

    /// The word in the parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Delay => "DELAY",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Success => 1,
            Self::Failure => 2,
            Self::Delay => 4,
        }
    }
}

impl Notify {
    /// Never.
    pub const NEVER: Self = Self(0);

    /// Reads the parameter's value, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Some(Self::NEVER);
        }
        text.split(',').try_fold(Self::NEVER, |notify, word| {
            let condition =
                Condition::ALL.into_iter().find(|c| word.eq_ignore_ascii_case(c.as_str()))?;
            Some(notify.and(condition))
        })
    }

    /// The same, and when `condition` comes about.
    #[must_use]
    pub const fn and(self, condition: Condition) -> Self {
        Self(self.0 | condition.bit())
    }

    /// Whether a report is wanted when `condition` comes about.
    #[must_use]
    pub const fn on(self, condition: Condition) -> bool {
        self.0 & condition.bit() != 0
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            Condition::ALL.into_iter().filter(|&c| self.on(c)).map(Condition::as_str).collect();
        f.write_str(if words.is_empty() { "NEVER" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

/// Whom the sender first wrote to: the ORCPT parameter of RCPT (RFC 3461 §4.2, RFC 6533 §3).
///
/// It is kept decoded. An address of type `utf-8` is written in the form that needs no SMTPUTF8,
/// every other as xtext.
///
/// ```
/// use smtp::OriginalRecipient;
///
/// let first = OriginalRecipient::parse("rfc822;Bob+2Bnews@example.com").unwrap();
/// assert_eq!(first.address(), "Bob+news@example.com");
/// assert_eq!(first.to_string(), "rfc822;Bob+2Bnews@example.com");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginalRecipient {
    /// In lower case.
    address_type: String,
    address: String,
}

impl OriginalRecipient {
    /// The most octets of the parameter's value (RFC 3461 §4.2).
    pub const MAX_OCTETS: usize = 500;
    /// The address type of mailboxes (RFC 3461 §4.2).
    const RFC822: &str = "rfc822";
    /// The address type of internationalised mailboxes (RFC 6533 §3).
    const UTF_8: &str = "utf-8";

    /// Reads the parameter's value; one longer than 500 octets, as it would be written again, is
    /// none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_OCTETS {
            return None;
        }
        let (address_type, address) = text.split_once(';')?;
        let address_type = address_type.to_ascii_lowercase();
        if !is_address_type(&address_type) || address.is_empty() {
            return None;
        }
        let address = match address_type.as_str() {
            Self::UTF_8 => decode_utf_8(address)?,
            Self::RFC822 => xtext::decode_utf_8(address)?,
            _ => xtext::decode(address)?,
        };
        // One beyond ASCII is of the other type, whatever it is called.
        let address_type = if address.is_ascii() { address_type } else { Self::UTF_8.to_owned() };
        let recipient = Self { address_type, address };
        (recipient.to_string().len() <= Self::MAX_OCTETS).then_some(recipient)
    }

    /// The kind of address, in lower case: `rfc822` almost always.
    #[must_use]
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// The address; without control characters, otherwise as the sender wrote it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.address_type)?;
        match self.address_type.as_str() {
            Self::UTF_8 => write_utf_8(f, &self.address),
            _ => xtext::write(f, &self.address),
        }
    }
}

/// An IANA-registered name is an `atom` (RFC 3461 §4.2); all there are hold letters, digits, hyphens.
fn is_address_type(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// RFC 6533 §3: characters as they are, or as `\x{` hexadecimal digits `}`.
fn decode_utf_8(text: &str) -> Option<String> {
    let mut said = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => {
                let (point, rest) = chars.as_str().strip_prefix("x{")?.split_once('}')?;
                chars = rest.chars();
                code_point(point)?
            }
            '+' | '=' | ' ' => return None,
            c => c,
        };
        if c.is_control() {
            return None;
        }
        said.push(c);
    }
    Some(said)
}

fn code_point(digits: &str) -> Option<char> {
    let plain = matches!(digits.len(), 1..=6) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { char::from_u32(u32::from_str_radix(digits, 16).ok()?) } else { None }
}

fn write_utf_8(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '+' | '=' | '\\' | ..=' ' | '\x7f'.. => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            '!'..='~' => f.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notify_is_never_or_a_list_of_conditions() {
        let good = [
            ("NEVER", "NEVER"),
            ("never", "NEVER"),
            ("SUCCESS", "SUCCESS"),
            ("delay,Failure", "FAILURE,DELAY"),
            ("SUCCESS,FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"),
            ("DELAY,DELAY", "DELAY"),
        ];
        for (text, written) in good {
            let notify = Notify::parse(text).unwrap();
            assert_eq!(notify.to_string(), written);
            assert_eq!(Notify::parse(written), Some(notify));
        }
        let bad = ["", ",", "NEVER,FAILURE", "FAILURE,NEVER", "FAILURE,", ",FAILURE", "ALWAYS"];
        for text in bad {
            assert_eq!(Notify::parse(text), None, "{text}");
        }
        assert!(!Notify::NEVER.on(Condition::Failure));
    }

    #[test]
    fn ret_is_full_or_hdrs() {
        assert_eq!(Ret::parse("full"), Some(Ret::Full));
        assert_eq!(Ret::parse("HDRS"), Some(Ret::Hdrs));
        assert_eq!(Ret::parse("BODY"), None);
    }

    #[test]
    fn an_envelope_id_is_at_most_100_octets_of_xtext() {
        assert_eq!(EnvelopeId::parse("QQ+20314159").unwrap().as_str(), "QQ 314159");
        assert!(EnvelopeId::parse(&"a".repeat(100)).is_some());
        for text in ["", &"a".repeat(101), "a+0D+0ABcc:x", "a=b", "ä"] {
            assert_eq!(EnvelopeId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_original_recipient_has_a_type_and_an_address() {
        let good = [
            ("rfc822;Bob@example.com", "rfc822", "Bob@example.com", "rfc822;Bob@example.com"),
            ("RFC822;a+2Bb@x", "rfc822", "a+b@x", "rfc822;a+2Bb@x"),
            ("rfc822;a;b", "rfc822", "a;b", "rfc822;a;b"),
            ("x-local;bob", "x-local", "bob", "x-local;bob"),
            ("utf-8;j\\x{F6}rg@x", "utf-8", "jörg@x", "utf-8;j\\x{F6}rg@x"),
            ("utf-8;jörg@x", "utf-8", "jörg@x", "utf-8;j\\x{F6}rg@x"),
            ("rfc822;b+C3+A4r@x", "utf-8", "b\u{e4}r@x", "utf-8;b\\x{E4}r@x"),
            ("utf-8;\\x{1F600}\\x{2B}\\x{5c}", "utf-8", "😀+\\", "utf-8;\\x{1F600}\\x{2B}\\x{5C}"),
        ];
        for (text, address_type, address, written) in good {
            let recipient = OriginalRecipient::parse(text).unwrap();
            assert_eq!(recipient.address_type(), address_type, "{text}");
            assert_eq!(recipient.address(), address, "{text}");
            assert_eq!(recipient.to_string(), written, "{text}");
            assert_eq!(OriginalRecipient::parse(written), Some(recipient), "{text}");
        }
    }

    #[test]
    fn an_original_recipient_that_is_malformed_or_hides_a_line_end_is_refused() {
        let long = format!("rfc822;{}", "a".repeat(494));
        let wide = format!("utf-8;{}", "ö".repeat(200));
        let bad = [
            "",
            "rfc822",
            "rfc822;",
            ";bob@example.com",
            "rfc 822;bob",
            "rfc822;jörg@x",
            "rfc822;a+0D+0Ab",
            "rfc822;a=b",
            "utf-8;\\x{A}",
            "utf-8;\\x{D800}",
            "utf-8;\\x{110000}",
            "utf-8;\\x{0000041}",
            "utf-8;\\x{}",
            "utf-8;\\x{+1}",
            "utf-8;\\x{41",
            "utf-8;\\x41",
            "utf-8;\\",
            "utf-8;a\u{85}b",
            "utf-8;a+2Bb",
            long.as_str(),
            wide.as_str(),
        ];
        for text in bad {
            assert_eq!(OriginalRecipient::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_envelope_id_reads_as_itself(text in "[!-~]{1,100}|([a-z]|\\+[2-7][0-9A-F]){1,33}") {
            if let Some(id) = EnvelopeId::parse(&text) {
                prop_assert_eq!(EnvelopeId::parse(&id.to_string()), Some(id));
            }
        }

        #[test]
        fn a_written_original_recipient_reads_as_itself(
            text in "(rfc822|utf-8|x);([!-~]|\\\\x\\{[0-9A-F]{1,6}\\}|\\+[0-9A-F]{2}|\\PC){1,40}"
        ) {
            if let Some(recipient) = OriginalRecipient::parse(&text) {
                let written = recipient.to_string();
                prop_assert!(written.bytes().all(|b| matches!(b, b'!'..=b'~')));
                prop_assert!(!recipient.address().chars().any(char::is_control));
                prop_assert_eq!(OriginalRecipient::parse(&written), Some(recipient));
            }
        }
    }
}
