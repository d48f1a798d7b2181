//! What several commands take as it is typed.

use std::time::SystemTime;

use clock::{Clock as _, SystemClock, Timestamp, TimestampError};
use mail::Protection;
use settings::parse_duration;
use smtp::Domain;

/// What protected mail.
pub(super) fn protection(text: &str) -> Result<Protection, &'static str> {
    let found = Protection::ALL.into_iter().find(|one| one.label() == text);
    found.ok_or("it is one of plaintext, tls, dane, verified")
}

/// A point in time, or how long ago it was.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    if let Some(ago) = parse_duration(text) {
        return SystemClock.now().checked_sub(ago).ok_or_else(|| "that is too long ago".to_owned());
    }
    text.parse().map(Timestamp::time).map_err(|error: TimestampError| error.to_string())
}

/// A domain, as people write it: U-labels and capitals are as good as A-labels.
pub(super) fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| error.to_string())
}
