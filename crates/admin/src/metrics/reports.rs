//! What becomes of the TLS reports that are sent.

use prometheus_client::registry::Registry;
use reporting::{ReportObserver, ReportResult, Transport};

use super::series::Counters;

/// What becomes of the TLS reports that are sent.
#[derive(Debug, Default)]
pub struct ReportMetrics(Counters<2>);

impl ReportMetrics {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let help = "TLS reports that came to their end at a destination, by how";
        registry.register("tls_reports", help, new.0.clone());
        for transport in Transport::ALL {
            for result in ReportResult::ALL {
                drop(new.0.get_or_create(&labels(transport, result)));
            }
        }
        new
    }
}

impl ReportObserver for ReportMetrics {
    fn ended(&self, transport: Transport, result: ReportResult) {
        self.0.get_or_create(&labels(transport, result)).inc();
    }
}

/// The labels of a way and an end.
const fn labels(transport: Transport, result: ReportResult) -> [(&'static str, &'static str); 2] {
    [("transport", transport.word()), ("result", result.word())]
}
