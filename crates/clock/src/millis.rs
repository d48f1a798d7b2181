//! Points in time as milliseconds since 1970, as stores write them.

use std::time::{Duration, SystemTime};

/// The most milliseconds that [`millis`] gives: 44 bits, which last until the year 2527. The other 20
/// count within a millisecond where both together are one number.
const MOST: u64 = u64::MAX >> 20;

/// Milliseconds since 1970, 0 before it, and never more than 44 bits of them.
#[must_use]
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).min(MOST)
}

/// The time that [`millis`] gave.
#[must_use]
pub fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
