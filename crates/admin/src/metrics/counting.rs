//! What is counted for TLS reports, and what is not.

use prometheus_client::registry::Registry;
use reporting::{CountingObserver, DropReason};

use super::series::{Counters, Gauges, count, level};

/// The domains of which the present day's connections are counted.
const COUNTING: [(&str, &str); 1] = [("state", "counting")];

/// What is counted for TLS reports, and what is not.
#[derive(Debug)]
pub struct CountingMetrics {
    dropped: Counters<1>,
    /// Shared with what is there at a scrape: one gauge has all states of reports.
    domains: Gauges<1>,
}

impl CountingMetrics {
    /// All at nought, in `registry`; how many domains are counted is one of the states of `domains`.
    pub(crate) fn registered(registry: &mut Registry, domains: Gauges<1>) -> Self {
        let new = Self { dropped: Counters::default(), domains };
        drop(new.domains.get_or_create(&COUNTING));
        let help = "Connections that a TLS report should have counted and does not, by why";
        registry.register("tls_observations_dropped", help, new.dropped.clone());
        for reason in DropReason::ALL {
            drop(new.dropped.get_or_create(&[("reason", reason.label())]));
        }
        new
    }
}

impl CountingObserver for CountingMetrics {
    fn counting(&self, domains: usize) {
        self.domains.get_or_create(&COUNTING).set(level(count(domains)));
    }

    fn dropped(&self, reason: DropReason, sessions: u64) {
        self.dropped.get_or_create(&[("reason", reason.label())]).inc_by(sessions);
    }
}
