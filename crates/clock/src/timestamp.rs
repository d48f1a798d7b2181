//! A timestamp as people and scripts write it, in settings and in the admin interface.
//!
//! It is read from a day (`2026-12-24`, which begins at midnight UTC) or a full RFC 3339 time; it is
//! written as RFC 3339, to the second.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::{civil::Date, tz::TimeZone};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A point in time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The second that `time` is in; times beyond what a calendar has are its ends.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let nearest =
            if time < SystemTime::UNIX_EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let exact = jiff::Timestamp::try_from(time).unwrap_or(nearest);
        Self(jiff::Timestamp::from_second(exact.as_second()).unwrap_or(nearest))
    }

    /// The same, as the rest of the program measures time.
    #[must_use]
    pub fn time(self) -> SystemTime {
        self.0.into()
    }

    fn parse(text: &str) -> Option<Self> {
        let zoned = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
        // A time without a zone would also be read as its date, and the time be dropped.
        let moment = if text.contains(':') { text.parse().ok() } else { zoned() };
        moment.map(Self)
    }
}

/// A text that is no timestamp.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimestampError(String);

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is not a day such as 2026-12-24, nor a time such as 2026-12-24T18:00:00Z"
        )
    }
}

impl std::error::Error for TimestampError {}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| TimestampError(text.to_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)
            .map_err(|_other| D::Error::custom("write a day such as 2026-12-24"))?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}
