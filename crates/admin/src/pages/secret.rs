//! A random number that only who was given it knows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use rand::RngCore as _;

/// 256 random bits, as 64 hexadecimal digits in text. Never shown in a log.
#[derive(Clone, Copy, Eq)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut bits = [0; 32];
        rand::rng().fill_bytes(&mut bits);
        Self(bits)
    }

    /// The digits, for the one who may know them.
    pub(crate) fn reveal(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            text.extend(
                [byte >> 4, byte & 15]
                    .map(|half| char::from_digit(half.into(), 16))
                    .into_iter()
                    .flatten(),
            );
            text
        })
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A text that is no secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotASecret;

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotASecret);
        }
        let mut bits = [0; 32];
        for (bit, pair) in bits.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_not_ascii| NotASecret)?;
            *bit = u8::from_str_radix(pair, 16).map_err(|_not_hex| NotASecret)?;
        }
        Ok(Self(bits))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_from_its_digits_alone() {
        let secret = Secret::new();
        let text = secret.reveal();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(secret));
        assert_ne!(Secret::new(), secret);
        for wrong in [
            "",
            text.trim_start_matches(|_: char| true),
            &format!("{text}0"),
            &"g".repeat(64),
            &"+f".repeat(32),
        ] {
            assert_eq!(wrong.parse::<Secret>(), Err(NotASecret), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_in_a_log() {
        assert_eq!(format!("{:?}", Secret::new()), "Secret");
    }
}
