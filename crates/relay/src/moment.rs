//! A moment as people and scripts write it, in settings and in the admin interface.
//!
//! It is read from a day (`2026-12-24`, which begins at midnight UTC) or a full RFC 3339 time, as
//! text or as TOML's own date; it is written as RFC 3339, to the second.

use std::fmt;
use std::time::SystemTime;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A point in time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(Timestamp);

impl Moment {
    /// The second that `time` is in; times beyond what a calendar has are its ends.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let nearest = if time < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
        let exact = Timestamp::try_from(time).unwrap_or(nearest);
        Self(Timestamp::from_second(exact.as_second()).unwrap_or(nearest))
    }

    /// The same, as the rest of the program measures time.
    #[must_use]
    pub fn time(self) -> SystemTime {
        self.0.into()
    }

    /// The moment that `text` says.
    fn parse(text: &str) -> Option<Self> {
        let zoned = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
        // A time without a zone would also be read as its date, and the time be dropped.
        let moment = if text.contains(':') { text.parse().ok() } else { zoned() };
        moment.map(Self)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What TOML may hold where a moment is wanted.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    /// A date or time without quotes.
    Date(toml::value::Datetime),
    /// A date or time within quotes.
    Text(String),
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(input);
        let text = match written {
            Ok(Written::Date(date)) => date.to_string(),
            Ok(Written::Text(text)) => text,
            Err(_) => return Err(D::Error::custom("write a day such as 2026-12-24")),
        };
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a day such as 2026-12-24, nor a time such as 2026-12-24T18:00:00Z"
            ))
        })
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Until {
        until: Moment,
    }

    #[test]
    fn a_day_begins_at_midnight_utc_in_every_spelling() {
        for text in [
            "until = 2026-12-24",
            "until = \"2026-12-24\"",
            "until = 2026-12-24T00:00:00Z",
            "until = \"2026-12-24T01:00:00+01:00\"",
        ] {
            let read: Until = toml::from_str(text).unwrap();
            assert_eq!(read.until.to_string(), "2026-12-24T00:00:00Z", "{text}");
        }
    }

    #[test]
    fn what_has_no_zone_or_is_no_date_is_refused() {
        for text in
            ["until = \"tomorrow\"", "until = 2026-12-24T18:00:00", "until = 3", "until = 07:32:00"]
        {
            assert!(toml::from_str::<Until>(text).is_err(), "{text}");
        }
    }
}
