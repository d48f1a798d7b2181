//! Who is told of deliveries: another, and whoever waits for the word of a TLS report.

use std::sync::Arc;

use delivery::{DaneResult, Observer};
use mail::{DeliveryRecord, DeliveryResult, Protection};
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

    fn dane_host(&self, result: DaneResult) {
        self.other.dane_host(result);
    }

    fn requiretls(&self, result: &DeliveryResult) {
        self.other.requiretls(result);
    }

    fn slowed(&self) {
        self.other.slowed();
    }

    fn opened(&self, protection: Protection) {
        self.other.opened(protection);
    }

    fn finished(&self, record: &DeliveryRecord, recipients: usize) {
        self.other.finished(record, recipients);
        self.reporting.finished(record);
    }
}
