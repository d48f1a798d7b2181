//! How long the disk takes, and how much shares one sync.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use queue::{CommitGroup, Flushed, Observer, SharedEvent};

use super::series::{Labels, count};

/// Seconds that a sync takes: from a disk with a battery to one that is failing.
const SYNCS: [f64; 13] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// The file that finds mail.
const INDEX: &str = "index";

/// The files that hold it.
const SPOOL: &str = "spool";

/// How long the disk takes.
#[derive(Debug)]
pub struct Storage {
    syncs: Family<Labels<1>, Histogram, fn() -> Histogram>,
    batch: Histogram,
    failures: Counter,
    /// What happens in a store that several relays share.
    shared: Family<Labels<1>, Counter>,
}

impl Storage {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self {
            syncs: Family::new_with_constructor(|| Histogram::new(SYNCS)),
            // 1 to 1024, which is the most.
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            failures: Counter::default(),
            shared: Family::default(),
        };
        registry.register_with_unit(
            "commit_sync",
            "Time to write and sync one batch of work to the spool, and what has come together to the index",
            Unit::Seconds,
            new.syncs.clone(),
        );
        for file in [INDEX, SPOOL] {
            drop(new.syncs.get_or_create(&[("file", file)]));
        }
        let batch = "Pieces of work (messages taken, attempts settled, edits) that share a sync";
        registry.register("commit_batch_jobs", batch, new.batch.clone());
        let failures = "Batches that could not be written; no message in them was acknowledged";
        registry.register("commit_failures", failures, new.failures.clone());
        let shared = "What has happened in the store that several relays share, by event";
        registry.register("shared_store_events", shared, new.shared.clone());
        for event in SharedEvent::ALL {
            drop(new.shared.get_or_create(&[("event", word_of(event))]));
        }
        new
    }
}

impl Observer for Storage {
    fn committed(&self, group: CommitGroup) {
        let CommitGroup { jobs, spool, .. } = group;
        if let Some(spool) = spool {
            self.syncs.get_or_create(&[("file", SPOOL)]).observe(spool.as_secs_f64());
        }
        let jobs = u32::try_from(count(jobs)).unwrap_or(u32::MAX);
        self.batch.observe(jobs.into());
    }

    fn failed(&self) {
        self.failures.inc();
    }

    fn shared(&self, event: SharedEvent) {
        self.shared.get_or_create(&[("event", word_of(event))]).inc();
    }

    fn flushed(&self, flushed: Flushed) {
        self.syncs.get_or_create(&[("file", INDEX)]).observe(flushed.took.as_secs_f64());
    }
}

/// How an event of a shared store is called.
const fn word_of(event: SharedEvent) -> &'static str {
    match event {
        SharedEvent::DatabaseNotReached => "database_not_reached",
        SharedEvent::DeclaredDead => "declared_dead",
        SharedEvent::GroupFoundCommitted => "group_found_committed",
        SharedEvent::GroupFoundUndone => "group_found_undone",
        SharedEvent::NodeTakenOver => "node_taken_over",
        SharedEvent::SettlementLost => "settlement_lost",
    }
}
