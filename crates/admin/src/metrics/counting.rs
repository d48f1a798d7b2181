//! What is counted for TLS reports, and what is not.

use prometheus_client::registry::Registry;
use reporting::{CountingObserver, DropReason};

use super::series::Counters;

/// What is counted for TLS reports, and what is not.
#[derive(Debug, Default)]
pub struct CountingMetrics {
    dropped: Counters<1>,
}

impl CountingMetrics {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let help = "Connections that a TLS report should have counted and does not, by why";
        registry.register("tls_observations_dropped", help, new.dropped.clone());
        for reason in DropReason::ALL {
            drop(new.dropped.get_or_create(&[("reason", reason.label())]));
        }
        new
    }
}

impl CountingObserver for CountingMetrics {
    fn counting(&self, _domains: usize) {}

    fn dropped(&self, reason: DropReason, sessions: u64) {
        self.dropped.get_or_create(&[("reason", reason.label())]).inc_by(sessions);
    }
}
