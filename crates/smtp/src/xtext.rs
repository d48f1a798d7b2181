//! xtext: any ASCII text as the value of a parameter (RFC 3461 §4).

use std::fmt::{self, Write};

/// Writes `text` as xtext.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' | ..=b' ' | b'\x7f'.. => write!(f, "+{octet:02X}")?,
            b'!'..=b'~' => f.write_char(char::from(octet))?,
        }
    }
    Ok(())
}

/// What xtext says, if it is xtext and says nothing but graphic ASCII characters and blanks.
///
/// RFC 3461 §4.2 and §4.4 allow no others in ORCPT and ENVID; a line end decoded here would become a
/// line of its own in a delivery report.
pub(crate) fn decode(text: &str) -> Option<String> {
    decode_utf_8(text).filter(|said| said.is_ascii())
}

/// The same with characters beyond ASCII in UTF-8: no RFC has it, and Postfix up to 3.7 writes the
/// address of an SMTPUTF8 recipient so. Control characters are none still.
pub(crate) fn decode_utf_8(text: &str) -> Option<String> {
    let mut said = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'+' => hex(octets.next()?)? * 16 + hex(octets.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        };
        said.push(octet);
    }
    String::from_utf8(said).ok().filter(|said| !said.contains(char::is_control))
}

/// A hexadecimal digit; the RFC has capitals only, senders have both.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Xtext<'a>(&'a str);

    impl fmt::Display for Xtext<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, self.0)
        }
    }

    #[test]
    fn xtext_says_what_its_hexadecimal_digits_say() {
        let good =
            [("", ""), ("abc", "abc"), ("a+2Bb", "a+b"), ("a+3Db+20c", "a=b c"), ("+2b", "+")];
        for (text, said) in good {
            assert_eq!(decode(text).as_deref(), Some(said), "{text}");
        }
    }

    #[test]
    fn xtext_that_is_malformed_or_says_a_control_character_is_refused() {
        let bad = [
            "+", "+2", "+2G", "+ 2", "a=b", "a b", "ä", "\t", "\u{7f}", "+0A", "+0D+0A", "+00",
            "+7F", "+80", "+FF", "++2B",
        ];
        for text in bad {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn characters_beyond_ascii_are_read_where_they_are_asked_for() {
        assert_eq!(decode_utf_8("b+C3+A4r@x").as_deref(), Some("b\u{e4}r@x"));
        for text in ["b+C3r@x", "+C2+85", "+0D+0A", "+00", "b\u{e4}r"] {
            assert_eq!(decode_utf_8(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn written_xtext_reads_as_itself(text in "[ -~]{0,40}") {
            let written = Xtext(&text).to_string();
            prop_assert!(written.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'='));
            prop_assert_eq!(decode(&written), Some(text));
        }
    }
}
