//! Durations as people write them: `"250ms"`, `"5m"`, `"1h30m"`, `"5d"`.
//!
//! For `#[serde(with = "duration_text")]` on a [`Duration`]. A bare number is refused: its unit
//! would have to be guessed.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest duration a setting may have: a century, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads a duration.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a duration; write a number and a unit (ms, s, m, h, d), as in \"90s\""
        ))
    })
}

/// Writes a duration the way it is read.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_str(&print(*duration))
}

/// The duration that `text` says: one or more numbers, each with its unit.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at_checked(letters)?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = tail.trim_start();
    }
    Some(Duration::from_millis(total)).filter(|duration| *duration <= LONGEST)
}

/// `duration` in the largest unit that divides it.
pub(crate) fn print(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("4h", 14_400_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("5d", 432_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5 m", "-5m", "1.5h", "5M", "5w", "99999999999999d", "ü"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_printed_so_that_it_reads_back() {
        for text in ["0s", "1ms", "1500ms", "90s", "5m", "36h", "5d"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
    }
}
