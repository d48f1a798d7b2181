//! Enhanced mail system status codes (RFC 3463).

use std::fmt::{self, Write as _};

/// The first number of an enhanced code: how it ended (RFC 3463 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 2: it was done.
    Success,
    /// 4: it may yet succeed if tried again.
    PersistentTransient,
    /// 5: it will not succeed as it is.
    Permanent,
}

impl Class {
    const fn digit(self) -> u16 {
        match self {
            Self::Success => 2,
            Self::PersistentTransient => 4,
            Self::Permanent => 5,
        }
    }
}

/// `class.subject.detail`.
///
/// ```
/// use smtp::{Class, EnhancedCode};
///
/// const NO_STARTTLS: EnhancedCode = EnhancedCode::new(Class::PersistentTransient, 7, 10);
/// assert_eq!(NO_STARTTLS.to_string(), "4.7.10");
/// assert_eq!(EnhancedCode::parse("4.7.10"), Some(NO_STARTTLS));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedCode {
    class: Class,
    subject: u16,
    detail: u16,
}

impl EnhancedCode {
    /// The largest subject and detail there can be: three digits (RFC 3463 §2).
    pub const MAX_NUMBER: u16 = 999;

    /// The code `class.subject.detail`; a number of more than three digits becomes 999.
    #[must_use]
    pub const fn new(class: Class, subject: u16, detail: u16) -> Self {
        Self { class, subject: three_digits(subject), detail: three_digits(detail) }
    }

    /// Reads `class.subject.detail`; leading zeros and unknown classes make it none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (class, numbers) = text.split_once('.')?;
        let (subject, detail) = numbers.split_once('.')?;
        let class = match class {
            "2" => Class::Success,
            "4" => Class::PersistentTransient,
            "5" => Class::Permanent,
            _ => return None,
        };
        Some(Self { class, subject: number(subject)?, detail: number(detail)? })
    }

    /// How it ended.
    #[must_use]
    pub const fn class(self) -> Class {
        self.class
    }

    /// What it was about: addressing, mailbox, mail system, network, protocol, content, policy.
    #[must_use]
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// What exactly.
    #[must_use]
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// How many octets it has where it is written.
    pub(crate) const fn octets(self) -> usize {
        "2.1.5".len() + further_digits(self.subject) + further_digits(self.detail)
    }

    /// The code as it is written, in ASCII.
    pub(crate) fn written(self) -> impl Iterator<Item = u8> {
        let (class, subject, detail) = (digit(self.class.digit()), self.subject, self.detail);
        let (subject, detail) = (digits(subject), digits(detail));
        [class, b'.'].into_iter().chain(subject).chain([b'.']).chain(detail)
    }

    /// The same matter with another ending: 4.7.5 for one that may be tried again, 5.7.5 at last.
    #[must_use]
    pub const fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written().try_for_each(|octet| f.write_char(char::from(octet)))
    }
}

/// The last digit of a number, in ASCII.
pub(crate) fn digit(number: u16) -> u8 {
    u8::try_from(number % 10).unwrap_or_default() | b'0'
}

/// A number of at most three digits, in ASCII and without zeros before it.
fn digits(number: u16) -> impl Iterator<Item = u8> {
    let places = [100, 10, 1].into_iter();
    places
        .filter(move |place| number >= *place || *place == 1)
        .map(move |place| digit(number / place))
}

/// How many digits a number of at most three has beside the first.
const fn further_digits(number: u16) -> usize {
    match number {
        0..10 => 0,
        10..100 => 1,
        100.. => 2,
    }
}

const fn three_digits(number: u16) -> u16 {
    if number > EnhancedCode::MAX_NUMBER { EnhancedCode::MAX_NUMBER } else { number }
}

fn number(text: &str) -> Option<u16> {
    let plain = matches!(text.len(), 1..=3) && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if plain && !padded { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_enhanced_code_is_none() {
        let bad = [
            "",
            "5",
            "5.7",
            "5.7.",
            ".7.1",
            "5..1",
            "5.7.1.1",
            "3.0.0",
            "1.0.0",
            "6.0.0",
            "5.07.1",
            "5.7.01",
            "5.1000.1",
            "5.7.1000",
            "5.+7.1",
            "5.7.-1",
            " 5.7.1",
            "5.7.1 ",
            "5.7.x",
            "55.7.1",
            "5.7.\u{661}",
        ];
        for text in bad {
            assert_eq!(EnhancedCode::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_number_of_four_digits_is_cut_to_three() {
        assert_eq!(EnhancedCode::new(Class::Success, 1000, u16::MAX).to_string(), "2.999.999");
    }

    #[test]
    fn the_class_changes_and_the_matter_stays() {
        let deferred = EnhancedCode::new(Class::PersistentTransient, 7, 5);
        assert_eq!(deferred.with_class(Class::Permanent).to_string(), "5.7.5");
    }

    proptest! {
        #[test]
        fn a_written_code_reads_as_itself(
            class in prop::sample::select(
                vec![Class::Success, Class::PersistentTransient, Class::Permanent]
            ),
            subject in 0..=999_u16,
            detail in 0..=999_u16,
        ) {
            let code = EnhancedCode::new(class, subject, detail);
            let written = code.to_string();
            prop_assert_eq!(EnhancedCode::parse(&written), Some(code));
            prop_assert_eq!(code.octets(), written.len());
        }
    }
}
