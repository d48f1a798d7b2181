//! The day that a report is about.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The seconds of a day; UTC as computers have it knows no leap seconds.
const SECONDS: u64 = 86_400;

/// A day in UTC, from 00:00:00 to 23:59:59 (RFC 8460 §4.1).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tls_rpt::Day;
///
/// let day = Day::of(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 5));
/// assert_eq!(day.to_string(), "1970-01-02");
/// assert_eq!(day.begins(), SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// The day of `time`. Times before the year -9999 and after 9999 count as the epoch.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(TimeZone::UTC.to_datetime(time).date())
    }

    /// Parses a day as it prints: `2026-11-30`.
    ///
    /// # Errors
    ///
    /// [`DayError`] where it is not one.
    pub fn parse(text: &str) -> Result<Self, DayError> {
        let is_date = |(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => u8::is_ascii_digit(&byte),
        };
        if text.len() == 10 && text.bytes().enumerate().all(is_date) {
            text.parse().map(Self).map_err(|_no_date: jiff::Error| DayError)
        } else {
            Err(DayError)
        }
    }

    /// Its first second.
    #[must_use]
    pub fn begins(self) -> SystemTime {
        let epoch = Timestamp::UNIX_EPOCH;
        self.0.to_zoned(TimeZone::UTC).map_or(epoch, |begin| begin.timestamp()).into()
    }

    /// Its last second.
    #[must_use]
    pub fn ends(self) -> SystemTime {
        self.begins() + Duration::from_secs(SECONDS - 1)
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1.day()))
    }

    /// The day after.
    #[must_use]
    pub fn after(self) -> Self {
        Self(self.0.saturating_add(1.day()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Day {
    type Error = DayError;

    fn try_from(text: String) -> Result<Self, DayError> {
        Self::parse(&text)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// A text is not a day.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is not a date such as 2026-11-30")]
pub struct DayError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_what_the_clock_shows_in_utc() {
        let day = Day::parse("2024-02-29").unwrap();
        assert_eq!(Day::of(day.begins()), day);
        assert_eq!(Day::of(day.ends()), day);
        assert_eq!(Day::of(day.ends() + Duration::from_secs(1)), day.after());
        assert_eq!(day.after().to_string(), "2024-03-01");
        assert_eq!(day.before().to_string(), "2024-02-28");
        assert_eq!(
            Day::of(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).to_string(),
            "1969-12-31"
        );
        for bad in ["", "2024-02-30", "2024-2-29", "20240229", "2024-02-29 ", "2024-02-29T00:00:00"]
        {
            assert_eq!(Day::parse(bad), Err(DayError), "{bad}");
        }
    }
}
