//! Addresses that can be looked for and not read: their HMAC-SHA-256 under a segment's own key, which
//! goes with the segment.

use std::fmt::{self, Debug, Formatter};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

use crate::chain::hex;

/// How many octets of the HMAC are kept (RFC 2104 §5).
const KEPT: usize = 16;

/// How many octets a key has.
pub(crate) const KEY_LENGTH: usize = 32;

/// The key of one segment.
pub(crate) struct AddressKey(Key);

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
