//! The queue id: 64 bits, ordered by time, written as thirteen letters and digits.
//!
//! An id is never given twice; the store that gives them sees to it.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::SystemTime;

use clock::time;

/// The digits of an id's text, in order: no `i`, `l`, `o` or `u`, which are misread.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many digits an id's text has: 13 times 5 bits hold 64.
const LENGTH: usize = 13;

/// How far the millisecond is shifted to leave room for a count within it.
const SHIFT: u32 = 20;

/// The name of one message in the queue; later ids are greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct QueueId(u64);

impl QueueId {
    /// The id with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The id's number, as the store writes it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The first id of a millisecond, as [`clock::millis`] counts them.
    #[must_use]
    pub const fn first_at(millis: u64) -> Self {
        Self(millis << SHIFT)
    }

    /// When the id was given, more or less: a clock that jumps is followed a second later, and one
    /// that goes back is not followed.
    #[must_use]
    pub fn given_at(self) -> SystemTime {
        time(self.0 >> SHIFT)
    }
}

impl Display for QueueId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut text, mut rest) = ([b'0'; LENGTH], self.0);
        for place in text.iter_mut().rev() {
            let index = usize::try_from(rest & 31).unwrap_or_default();
            *place = DIGITS.get(index).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        // In one piece: this is done a dozen times for a message.
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The text is not a queue id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a queue id: an id has 13 letters and digits")]
pub struct QueueIdError;

impl FromStr for QueueId {
    type Err = QueueIdError;

    fn from_str(text: &str) -> Result<Self, QueueIdError> {
        if text.len() != LENGTH {
            return Err(QueueIdError);
        }
        let mut number = 0_u64;
        for byte in text.bytes() {
            let lower = byte.to_ascii_lowercase();
            let digit = DIGITS.iter().position(|digit| *digit == lower).ok_or(QueueIdError)?;
            let digit = u64::try_from(digit).map_err(|_cause| QueueIdError)?;
            number = number.checked_mul(32).ok_or(QueueIdError)? | digit;
        }
        Ok(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "0", "000000000000", "00000000000000", "000000000000u", "zzzzzzzzzzzzz"] {
            assert_eq!(text.parse::<QueueId>(), Err(QueueIdError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_back_from_its_text_and_sorts_like_it(a: u64, b: u64) {
            let (a, b) = (QueueId(a), QueueId(b));
            prop_assert_eq!(a.to_string().parse::<QueueId>(), Ok(a));
            prop_assert_eq!(a.to_string().to_uppercase().parse::<QueueId>(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
