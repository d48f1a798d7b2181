//! BASE64 (RFC 4648 §4), as SASL responses have it (RFC 4954 §4).

/// The digits, in the order of their values.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// These octets as BASE64 text, padded.
#[must_use]
pub fn to_base64(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3).saturating_mul(4));
    for group in octets.chunks(3) {
        let octet = |place: usize| u32::from(group.get(place).copied().unwrap_or_default());
        let bits = (octet(0) << 16) | (octet(1) << 8) | octet(2);
        for place in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 0x3f).unwrap_or_default();
            let known = DIGITS.get(digit).filter(|_| place <= group.len());
            text.push(char::from(known.copied().unwrap_or(b'=')));
        }
    }
    text
}

/// What BASE64 text says (RFC 4648 §4), padded as it must be; nothing else is BASE64.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        bits = (bits << 6) | value(digit)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // Bits that are left over say nothing; two texts for one secret are one too many.
    (bits == 0 && held < 6).then_some(octets)
}

/// What a digit of BASE64 stands for.
fn value(digit: u8) -> Option<u32> {
    Some(match digit {
        b'A'..=b'Z' => u32::from(digit - b'A'),
        b'a'..=b'z' => u32::from(digit - b'a') + 26,
        b'0'..=b'9' => u32::from(digit - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Exchange, Mechanism, Turn};

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        // RFC 4648 §10.
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(to_base64(octets.as_bytes()), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_by_the_other_side(name in "[^\\x00\\pC]{1,40}", password in "[^\\x00]{1,40}") {
            let Ok(Turn::Challenge(exchange)) = Exchange::begin(Mechanism::Plain, None) else {
                panic!("PLAIN waits for the client")
            };
            let said = to_base64(format!("\0{name}\0{password}").as_bytes());
            let Ok(Turn::Complete(heard)) = exchange.answer(said.as_bytes()) else {
                panic!("{said} is not read")
            };
            prop_assert_eq!((heard.name(), heard.password()), (name.as_str(), password.as_str()));
        }
    }
}
