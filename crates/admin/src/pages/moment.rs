//! Times as people read them.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// In which zone times are shown, and which year goes without saying.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    zone: TimeZone,
    now: Timestamp,
}

/// A point in time: its day and minute, and the same in UTC for whoever wants to be certain.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    text: String,
    utc: String,
}

impl Calendar {
    /// Times in UTC, seen from `now`.
    pub(crate) fn utc(now: SystemTime) -> Self {
        Self { zone: TimeZone::UTC, now: stamp(now) }
    }

    /// The name of the zone.
    pub(crate) fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// To the minute; with its year where that is another one.
    pub(crate) fn minute(&self, time: SystemTime) -> Moment {
        let time = stamp(time);
        let same_year = self.here(time).year() == self.here(self.now).year();
        self.moment(time, if same_year { "%-d %b %H:%M" } else { "%-d %b %Y %H:%M" })
    }

    /// To the second.
    pub(crate) fn second(&self, time: SystemTime) -> Moment {
        self.moment(stamp(time), "%-d %b %H:%M:%S")
    }

    /// The time of the day, to the millisecond.
    pub(crate) fn clock(&self, time: SystemTime) -> Moment {
        self.moment(stamp(time), "%H:%M:%S%.3f")
    }

    fn moment(&self, time: Timestamp, form: &str) -> Moment {
        Moment {
            text: self.here(time).strftime(form).to_string(),
            utc: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    fn here(&self, time: Timestamp) -> jiff::Zoned {
        time.to_zoned(self.zone.clone())
    }
}

impl Moment {
    /// In UTC, by RFC 3339.
    pub(crate) fn utc(&self) -> &str {
        &self.utc
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The same time; beyond what a calendar has, its end.
fn stamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

/// How long something takes or took: its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::with_capacity(4);
    for (length, unit) in UNITS {
        let count = rest.checked_div(length).unwrap_or(0);
        rest = rest.checked_rem(length).unwrap_or(0);
        if count > 0 {
            words.push(format!("{count} {unit}"));
        } else if !words.is_empty() {
            break;
        }
    }
    words.truncate(2);
    if words.is_empty() { "0 s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_time_has_its_year_where_that_is_another_one() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let calendar = Calendar::utc(at(1_796_000_000));
        let this_year = calendar.minute(at(1_795_999_000));
        assert_eq!(
            (this_year.to_string().as_str(), this_year.utc()),
            ("30 Nov 00:36", "2026-11-30T00:36:40Z")
        );
        assert_eq!(calendar.minute(at(0)).to_string(), "1 Jan 1970 00:00");
        assert_eq!(calendar.zone(), "UTC");
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (90_061, "1 d 1 h"),
            (86_460, "1 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
