//! The time by which certificates are judged.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use clock::Clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Lets certificates be judged by the wall clock, whose dates they bear.
#[derive(Debug)]
pub struct WallClock(Arc<dyn Clock>);

impl WallClock {
    /// The wall clock of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.wall().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
