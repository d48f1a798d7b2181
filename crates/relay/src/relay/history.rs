//! What keeps the history and its ledger while the relay runs.

use std::sync::Arc;

use admin::metrics::Inbound;
use clock::Clock;
use history::{HistorySettings, Keeper, LedgerKeeper, Recorder, Refreshes};
use mta_sts::Observer;
use queue::Queue;
use tokio_util::sync::CancellationToken;

use crate::adapters::history_ledger::{Intake, LedgerPolicies};

/// Keeps the history of what a queue settles, and its ledger.
#[derive(Debug)]
pub(super) struct Histories {
    keeper: Keeper,
    ledger: LedgerKeeper,
}

/// What the history takes from elsewhere.
#[derive(Debug)]
pub(super) struct HistorySources {
    settings: HistorySettings,
    recorder: Recorder,
    intake: Arc<Intake>,
    refreshes: Arc<Refreshes>,
}

impl HistorySources {
    /// Of a history that is kept by these settings, and of what clients hand in.
    pub(super) fn new(settings: &HistorySettings, inbound: Arc<Inbound>) -> Self {
        let (settings, intake) = (settings.clone(), Arc::new(Intake::new(inbound)));
        let recorder = Recorder::new(&settings);
        Self { settings, recorder, intake, refreshes: Arc::default() }
    }

    /// What makes records of attempts, if any are kept.
    pub(super) fn recorder(&self) -> Option<Recorder> {
        self.settings.enabled.then(|| self.recorder.clone())
    }

    /// Takes in what becomes of policies, and passes it on to `next`; only the latter where no history
    /// is kept.
    pub(super) fn policies(&self, next: Arc<dyn Observer>) -> Arc<dyn Observer> {
        if self.settings.enabled {
            Arc::new(LedgerPolicies::new(Arc::clone(&self.refreshes), next))
        } else {
            next
        }
    }

    /// What keeps the history of `queue`, if any is kept.
    pub(super) fn histories(&self, queue: &Queue, clock: &Arc<dyn Clock>) -> Option<Histories> {
        let settings = self.settings.enabled.then(|| self.settings.clone())?;
        let store = || Arc::clone(queue.store());
        let keeper = Keeper::new(settings.clone(), store(), Arc::clone(clock), &self.recorder);
        let ledger = LedgerKeeper::new(settings, store(), Arc::clone(clock), keeper.written());
        let intake = Arc::<Intake>::clone(&self.intake);
        Some(Histories { keeper, ledger: ledger.told_by(intake, Arc::clone(&self.refreshes)) })
    }
}

impl Histories {
    /// Keeps both until delivery has `ended` and all of it is kept.
    pub(super) async fn run(self, ended: CancellationToken) {
        let kept = CancellationToken::new();
        let keep = async {
            let _kept = kept.clone().drop_guard();
            self.keeper.run(ended).await;
        };
        tokio::join!(keep, self.ledger.run(kept.clone()));
    }
}
