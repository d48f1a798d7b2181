//! Who is told of deliveries: another, and whoever waits for the word of a TLS report.

use std::sync::Arc;

use delivery::Observer;
use mail::{DeliveryRecord, Protection};
use reporting::Reporting;
use tls_rpt::Observation;

/// Tells both.
#[derive(Debug)]
pub(crate) struct DeliveryObservers {
    pub(crate) other: Arc<dyn Observer>,
    pub(crate) reporting: Reporting,
}

impl Observer for DeliveryObservers {
    fn observed(&self, observation: &Observation) {
        self.other.observed(observation);
    }

    fn tls_failed(&self, reason: &'static str) {
        self.other.tls_failed(reason);
    }

    fn opened(&self, protection: Protection) {
        self.other.opened(protection);
    }

    fn finished(&self, record: &DeliveryRecord, recipients: usize) {
        self.other.finished(record, recipients);
        self.reporting.finished(record);
    }
}
