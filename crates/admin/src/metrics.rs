//! What the relay counts, for Prometheus; `docs/metrics.md` lists all of it.
//!
//! A registry belongs to one relay and is never global, so that relays in one process do not mix.
//! The parts know nothing of metrics: each tells an observer of its own what happens, and the
//! observers are here. Every label's value is a text of the program itself, so nothing that a peer
//! sends can make a new series: how many there are is bounded by the code.
//!
//! The reasons: `docs/decisions/0015-metrics.md`.

mod counting;
mod format;
mod history;
mod inbound;
mod names;
mod outbound;
mod policies;
mod reports;
mod series;
mod state;
mod storage;
mod validation;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use self::counting::CountingMetrics;
pub use self::format::Format;
pub use self::history::HistoryMetrics;
pub use self::inbound::Inbound;
pub use self::names::{CountedDns, Lookups};
pub use self::outbound::Outbound;
pub use self::policies::PolicyMetrics;
pub use self::reports::ReportMetrics;
pub use self::state::State;
pub use self::storage::Storage;
pub use self::validation::{DaneActivity, ValidationMetrics};

/// What every name begins with.
const PREFIX: &str = "sts_relay";

/// Everything that one relay counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    inbound: Arc<Inbound>,
    counting: Arc<CountingMetrics>,
    outbound: Arc<Outbound>,
    policies: Arc<PolicyMetrics>,
    reports: Arc<ReportMetrics>,
    storage: Arc<Storage>,
    lookups: Arc<Lookups>,
    validation: Arc<ValidationMetrics>,
    /// How much history there is.
    pub history: HistoryMetrics,
    /// What is there at the moment of a scrape.
    pub state: State,
}

impl Metrics {
    /// Everything at nought, for a relay that starts at `now`.
    pub fn new(now: SystemTime) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let state = State::registered(&mut registry, now);
        let domains = state.report_domains();
        Self {
            inbound: Arc::new(Inbound::registered(&mut registry)),
            counting: Arc::new(CountingMetrics::registered(&mut registry, domains)),
            outbound: Arc::new(Outbound::registered(&mut registry)),
            policies: Arc::new(PolicyMetrics::registered(&mut registry)),
            reports: Arc::new(ReportMetrics::registered(&mut registry)),
            storage: Arc::new(Storage::registered(&mut registry)),
            lookups: Arc::new(Lookups::registered(&mut registry)),
            history: HistoryMetrics::registered(&mut registry),
            state,
            validation: Arc::new(ValidationMetrics::registered(&mut registry)),
            registry,
        }
    }

    /// Counts what comes in.
    pub fn inbound(&self) -> Arc<Inbound> {
        Arc::clone(&self.inbound)
    }

    /// Counts what goes out.
    pub fn outbound(&self) -> Arc<Outbound> {
        Arc::clone(&self.outbound)
    }

    /// Counts what is counted for TLS reports, and what is not.
    pub fn counting(&self) -> Arc<CountingMetrics> {
        Arc::clone(&self.counting)
    }

    /// Counts what policies say.
    pub fn policies(&self) -> Arc<PolicyMetrics> {
        Arc::clone(&self.policies)
    }

    /// Counts what becomes of TLS reports.
    pub fn reports(&self) -> Arc<ReportMetrics> {
        Arc::clone(&self.reports)
    }

    /// Counts what the disk does.
    pub fn storage(&self) -> Arc<Storage> {
        Arc::clone(&self.storage)
    }

    /// Counts what is asked of the DNS.
    pub fn lookups(&self) -> Arc<Lookups> {
        Arc::clone(&self.lookups)
    }

    /// Which resolvers validate.
    pub fn validation(&self) -> Arc<ValidationMetrics> {
        Arc::clone(&self.validation)
    }

    /// All of it as text.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(format.of(text))
    }
}
