//! Moments in every spelling that TOML has for them.

use clock::Timestamp;
use toml::Table;

use crate::misfit::{self, Misfit};

/// A key with a moment.
#[derive(Debug, serde::Deserialize)]
struct Until {
    until: Timestamp,
}

/// The moment as a settings file says it.
fn read(toml: &str) -> Result<Until, Misfit> {
    misfit::read(toml::from_str::<Table>(toml).unwrap())
}

#[test]
fn a_day_begins_at_midnight_utc_in_every_spelling() {
    for text in [
        "until = 2026-12-24",
        "until = \"2026-12-24\"",
        "until = 2026-12-24T00:00:00Z",
        "until = \"2026-12-24T01:00:00+01:00\"",
    ] {
        let read = read(text).unwrap();
        assert_eq!(read.until.to_string(), "2026-12-24T00:00:00Z", "{text}");
    }
}

#[test]
fn what_has_no_zone_or_is_no_date_is_refused() {
    for text in
        ["until = \"tomorrow\"", "until = 2026-12-24T18:00:00", "until = 3", "until = 07:32:00"]
    {
        assert!(read(text).is_err(), "{text}");
    }
}
