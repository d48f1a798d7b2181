//! What is said of limits, and of what hosts have slowed.

use clock::{Clock, Timestamp};
use delivery::{PaceStatus, SlowedBy};
use serde::{Deserialize, Serialize};

/// A limit, or a destination under none whose rate hosts have halved.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LimitStats {
    /// The first pattern of the limit, or the destination.
    pub limit: String,
    /// How many connections there are.
    pub connections: usize,
    /// How many there may be; none: any number.
    pub most_connections: Option<usize>,
    /// How many milliseconds messages are apart; none: any number.
    pub interval_ms: Option<f64>,
    /// How many destinations wait.
    pub waiting_destinations: usize,
    /// Since when hosts have halved the rate, if they have.
    pub slowed_since: Option<Timestamp>,
    /// The reply because of which.
    pub slowed_by: Option<String>,
}

impl LimitStats {
    /// How a limit stands, as `clock` shows times.
    pub(crate) fn of(pace: PaceStatus, clock: &dyn Clock) -> Self {
        let (since, reply) =
            pace.slowed.map(|SlowedBy { since, reply }| (since, reply.to_string())).unzip();
        Self {
            limit: pace.key.name().to_string(),
            connections: pace.connections,
            most_connections: pace.most_connections,
            interval_ms: pace.interval.map(|interval| interval.as_secs_f64() * 1000.0),
            waiting_destinations: pace.waiting,
            slowed_since: since.map(|since| Timestamp::of(clock.on_wall(since))),
            slowed_by: reply,
        }
    }
}
