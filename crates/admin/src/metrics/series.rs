//! Labelled counters and gauges, and the numbers they take.

use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Labels, each with its value.
pub(crate) type Labels<const N: usize> = [(&'static str, &'static str); N];

/// A counter for each combination of labels.
pub(crate) type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// A gauge for each combination of labels.
pub(crate) type Gauges<const N: usize> = Family<Labels<N>, Gauge>;

/// A number that a counter takes; what does not fit is as much as does.
pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A number that a gauge takes; what does not fit is as much as does.
pub(crate) fn level(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A moment as Prometheus has it: seconds since 1970.
pub(crate) fn unix_seconds(moment: SystemTime) -> i64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    level(since.as_secs())
}
