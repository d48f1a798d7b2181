//! Addresses that can be looked for and not read: their HMAC-SHA-256 under a key that is replaced each
//! month, and goes with the last segment in which it was used.

use std::fmt::{self, Debug, Formatter};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use clock::{Timestamp, time};

use crate::digest::hex;

/// How many octets of the HMAC are kept (RFC 2104 §5).
const KEPT: usize = 16;

/// How many octets a key has.
pub(crate) const KEY_LENGTH: usize = 32;

/// A key of addresses.
pub(crate) struct AddressKey(Key);

/// The key of a month.
#[derive(Debug)]
pub(crate) struct MonthKey {
    /// Which month, as in `2026-12`.
    pub(crate) month: String,
    /// Its key.
    pub(crate) key: AddressKey,
}

/// The month of a time, in milliseconds since 1970: `2026-12`.
pub(crate) fn month_of(now: u64) -> String {
    let mut text = Timestamp::of(time(now)).to_string();
    text.truncate("2026-12".len());
    text
}

impl AddressKey {
    /// A key of these octets.
    pub(crate) fn new(octets: &[u8; KEY_LENGTH]) -> Self {
        Self(Key::new(HMAC_SHA256, octets))
    }

    /// What is kept of an address; of the null reverse-path nothing. Upper and lower case are the
    /// same, so that an address is found however it was typed.
    pub(crate) fn hashed(&self, address: &str) -> String {
        if address.is_empty() {
            return String::new();
        }
        let tag = sign(&self.0, address.to_lowercase().as_bytes());
        hex(tag.as_ref().get(..KEPT).unwrap_or_default())
    }
}

impl Debug for AddressKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("AddressKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_one_that_the_calendar_of_utc_says() {
        for (now, month) in [
            (0, "1970-01"),
            (1_798_761_599_999, "2026-12"),
            (1_798_761_600_000, "2027-01"),
            (u64::MAX, "9999-12"),
        ] {
            assert_eq!(month_of(now), month);
        }
    }
}
