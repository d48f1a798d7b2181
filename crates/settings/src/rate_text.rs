//! Rates as people write them: `"60/m"`, `"2/s"`, `"1000/h"`, `"5000/d"`.
//!
//! For `#[serde(with = "rate_text")]` on an [`Option`] of a [`Rate`]; an empty text is none.

use std::num::NonZeroU32;
use std::time::Duration;

use delivery::Rate;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;

/// The times, each with its name.
const TIMES: [(&str, Duration); 4] = [
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
    ("d", Duration::from_secs(24 * 60 * 60)),
];

/// Reads a rate, or none from an empty text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Rate>, D::Error> {
    let text = String::deserialize(input)?;
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(D::Error::custom)
}

/// Writes a rate the way it is read.
pub(crate) fn serialize<S: Serializer>(rate: &Option<Rate>, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_str(&rate.map_or_else(String::new, print))
}

/// The rate that `text` says: messages, and the time in which there are no more.
///
/// # Errors
///
/// What is wrong with it, and how it is written right.
pub(crate) fn parse(text: &str) -> Result<Rate, String> {
    let rate = text.split_once('/').and_then(|(messages, time)| {
        let messages: u32 = messages.trim().parse().ok()?;
        let (_, per) = TIMES.iter().find(|(name, _)| *name == time.trim())?;
        Some((messages, *per))
    });
    let Some((messages, per)) = rate else {
        return Err(format!(
            "`{text}` is not a rate; write a number of messages and a time (s, m, h, d), as in \"60/m\""
        ));
    };
    let messages = NonZeroU32::new(messages)
        .ok_or_else(|| format!("`{text}` lets no message through; hold mail back with staging"))?;
    Ok(Rate { messages, per })
}

fn print(rate: Rate) -> String {
    let name = TIMES.iter().find(|(_, per)| *per == rate.per).map_or("s", |(name, _)| *name);
    format!("{}/{name}", rate.messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_messages_and_a_time_and_is_printed_so_that_it_reads_back() {
        for text in ["60/m", "2/s", "1000/h", "4294967295/d"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
        assert_eq!(parse(" 60 / m ").unwrap(), parse("60/m").unwrap());
        for text in ["", "60", "60/", "/m", "60/w", "60/M", "-1/m", "1.5/m", "0/m", "4294967296/s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
