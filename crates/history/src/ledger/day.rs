//! A day of a domain.

use std::fmt;

use clock::{Timestamp, millis, time};
use mail::Protection;
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A day has so many milliseconds.
const MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// A day of the UTC calendar, written `2026-12-24`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Day(u32);

/// What one day was for a domain's mail.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DayBar {
    /// The day.
    pub day: Day,
    /// The least that protected mail on that day; absent: none was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Protection>,
    /// Recipients.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What became of attempts, in recipients.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// The next host has taken responsibility for so many.
    pub delivered: u64,
    /// There was to be another attempt for so many.
    pub deferred: u64,
    /// So many got nothing.
    pub bounced: u64,
}

impl Day {
    /// The day that this moment is in, in milliseconds since 1970.
    #[must_use]
    pub fn of(at: u64) -> Self {
        Self(u32::try_from(at / MILLIS).unwrap_or(u32::MAX))
    }

    /// The day with this number, counted from 1970.
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        Self(number)
    }

    /// Its number, counted from 1970.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// When it begins, in milliseconds since 1970.
    #[must_use]
    pub fn begins(self) -> u64 {
        u64::from(self.0).saturating_mul(MILLIS)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Timestamp::of(time(self.begins())).to_string();
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let day: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Self::of(millis(day.time())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_its_date_and_read_again() {
        let day = Day::of(1_800_000_000_000);
        assert_eq!(day.to_string(), "2027-01-15");
        let text = serde_json::to_string(&day).unwrap();
        assert_eq!(serde_json::from_str::<Day>(&text).unwrap(), day);
        assert_eq!(Day::of(day.begins() + MILLIS - 1), day);
        assert_eq!(Day::of(day.begins() + MILLIS).number(), day.number() + 1);
    }
}
