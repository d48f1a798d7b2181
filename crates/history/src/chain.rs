//! The chain: each record's link is made of the one before and of its own text, so that none can be
//! changed, removed or put in without changing every link after it.

use std::fmt::{self, Display, Formatter};

use aws_lc_rs::digest::{Context, SHA256, digest};

/// How many octets a link has.
const LENGTH: usize = 32;

/// A link of the chain: SHA-256 over the link before and the text of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Link([u8; LENGTH]);

impl Link {
    /// Before the first record of a chain.
    pub(crate) const START: Self = Self([0; LENGTH]);

    /// The link of the record with this text, which follows.
    pub(crate) fn next(&self, text: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(text.as_bytes());
        Self::of(context.finish().as_ref())
    }

    /// A link that was kept; none of another length.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// A link that was written as hexadecimal digits; none where they are not 64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let octet = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(octet).collect();
        Self::read(&octets?)
    }

    /// Its octets.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A digest as a link.
    fn of(bytes: &[u8]) -> Self {
        bytes.try_into().map_or(Self::START, Self)
    }
}

impl Display for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The SHA-256 of a text, as hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// Octets as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let digits = [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16));
        text.extend(digits.into_iter().flatten());
    }
    text
}
