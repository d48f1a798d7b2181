//! SHA-256, by which facts, texts and certificates are named.

use std::fmt::{self, Debug, Display, Formatter};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many octets a digest has.
const LENGTH: usize = 32;

/// A SHA-256 (FIPS 180-4). Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Digest([u8; LENGTH]);

impl Digest {
    /// The digest that is all zero, which no text has.
    pub(crate) const ZERO: Self = Self([0; LENGTH]);

    /// These octets, which are one.
    pub(crate) const fn new(octets: [u8; LENGTH]) -> Self {
        Self(octets)
    }

    /// The digest of all these octets, one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().try_into().map_or(Self::ZERO, Self)
    }

    /// A digest that was kept; none of another length.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }

    /// A digest that was written as hexadecimal digits; none where they are not 64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::read(&unhex(text)?)
    }

    /// Its octets.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Display for Digest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = [0; LENGTH * 2];
        for (pair, octet) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&digits(octet));
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Debug for Digest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no SHA-256"))
    }
}

/// Octets as lower-case hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    text.extend(octets.iter().flat_map(|octet| digits(*octet).map(char::from)));
    text
}

/// The octets that hexadecimal digits stand for; none where they are no such digits, or one is alone.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let octet = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(octet).collect()
}

/// The two digits of an octet.
fn digits(octet: u8) -> [u8; 2] {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
    [digit(octet >> 4), digit(octet & 0xf)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_as_digits_and_read_back() {
        let digest = Digest::of(&[b"a", b"bc"]);
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string().as_str(), Digest::parse(text)), (text, Some(digest)));
        assert_eq!(hex(digest.as_bytes()), text);
        for bad in [
            "",
            "ba",
            text.trim_start_matches('b'),
            &text.replace('b', "g"),
            &text.replace('b', "+"),
        ] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
