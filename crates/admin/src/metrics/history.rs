//! How much history there is, and how far it is behind.

use history::HistoryLevels;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::series::level;

/// How much history there is, and how far it is behind: set by each scrape.
#[derive(Debug, Default)]
pub struct HistoryMetrics {
    segments: Gauge,
    bytes: Gauge,
    since: Gauge,
    waiting: Gauge,
    ledger_waiting: Gauge,
    gaps: Counter,
}

impl HistoryMetrics {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let segments = "Files of records of attempts";
        registry.register("history_segments", segments, new.segments.clone());
        let size = "What the files of records take up";
        registry.register_with_unit("history_size", size, Unit::Bytes, new.bytes.clone());
        let since = "When the oldest file of records was begun, since 1970, 0 without one";
        registry.register_with_unit("history_since", since, Unit::Seconds, new.since.clone());
        let waiting = "Records of attempts in the queue's store that are not in the history yet";
        registry.register("history_waiting_records", waiting, new.waiting.clone());
        let waiting = "Records of the history that are not in the ledger yet";
        registry.register("ledger_waiting_records", waiting, new.ledger_waiting.clone());
        let gaps = "Gaps in the history that were found";
        registry.register("history_gaps", gaps, new.gaps.clone());
        new
    }

    /// It is like this now.
    pub fn set(&self, levels: &HistoryLevels) {
        let HistoryLevels { segments, bytes, since, waiting, ledger_waiting, gaps } = *levels;
        self.segments.set(level(segments));
        self.bytes.set(level(bytes));
        self.since.set(level(since.unwrap_or_default() / 1_000));
        self.waiting.set(level(waiting));
        self.ledger_waiting.set(level(ledger_waiting));
        let _before = self.gaps.inc_by(gaps.saturating_sub(self.gaps.get()));
    }
}
