//! The sending of TLS reports, with the keys that sign them.

use std::sync::Arc;

use admin::metrics::Metrics;
use clock::Clock;
use delivery::{Observer, WallClock};
use dns::Dns;
use pkix::SetupError;
use queue::Queue;
use reporting::{ReadyReporting, ReportTuning, Reporting, ReportingParts};
use settings::Settings;

use crate::adapters::delivery_observers::DeliveryObservers;
use crate::adapters::report_signatures::ReportSignatures;

/// Sends TLS reports.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub(super) reporting: Reporting,
    signatures: Arc<ReportSignatures>,
}

impl Reports {
    /// Sends reports by these settings.
    pub(super) fn new(
        settings: &Settings,
        queue: &Queue,
        dns: &Arc<dyn Dns>,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, SetupError> {
        let signatures = ReportSignatures::new(Arc::clone(&settings.dkim.table), Arc::clone(clock));
        let signatures = Arc::new(signatures);
        let parts = ReportingParts {
            queue: queue.clone(),
            dns: Arc::clone(dns),
            clock: Arc::clone(clock),
            certificate_time: Arc::new(WallClock::new(Arc::clone(clock))),
            signatures: Arc::<ReportSignatures>::clone(&signatures),
            observer: metrics.reports(),
        };
        Ok(Self { reporting: Reporting::new(parts, tuning(settings))?, signatures })
    }

    /// Tells `other` of deliveries, and this of the messages of reports.
    pub(super) fn told_with(&self, other: Arc<dyn Observer>) -> Arc<dyn Observer> {
        Arc::new(DeliveryObservers { other, reporting: self.reporting.clone() })
    }

    /// Prepares other settings.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<ReadyReporting, SetupError> {
        self.reporting.prepare(tuning(settings))
    }

    /// Goes by these settings from now on.
    pub(super) fn reload(&self, ready: ReadyReporting, settings: &Settings) {
        self.reporting.reload(ready);
        self.signatures.reload(Arc::clone(&settings.dkim.table));
    }
}

/// What of reporting follows the settings.
fn tuning(settings: &Settings) -> ReportTuning {
    ReportTuning {
        settings: settings.reports.clone(),
        roots: settings.roots.clone(),
        hostname: settings.delivery.hostname.clone(),
    }
}
