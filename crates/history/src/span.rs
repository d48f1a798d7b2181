//! A span of time in the unit in which the history counts time.

use std::time::Duration;

/// A span of time in milliseconds.
pub(crate) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
