//! What keeps the history and its ledger while the relay runs.

use std::sync::Arc;

use admin::metrics::Inbound;
use admin::server::health::WatchedHistory;
use clock::Clock;
use history::{HistoryProgress, HistorySettings, Keeper, LedgerKeeper, Recorder, Refreshes};
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
    progress: HistoryProgress,
}

impl HistorySources {
    /// Of a history that is kept by these settings, and of what clients hand in.
    pub(super) fn new(settings: &HistorySettings, inbound: Arc<Inbound>) -> Self {
        let (settings, intake) = (settings.clone(), Arc::new(Intake::new(inbound)));
        let recorder = Recorder::new(&settings);
        let progress = HistoryProgress::default();
        Self { settings, recorder, intake, refreshes: Arc::default(), progress }
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

    /// How far the history is, for monitors; none where none is kept.
    pub(super) fn watched(&self) -> Option<WatchedHistory> {
        let Self { settings, progress, .. } = self;
        let (dir, progress) = (settings.dir.clone(), progress.clone());
        settings.enabled.then_some(WatchedHistory { dir, progress })
    }

    /// What keeps the history of `queue`, if any is kept.
    pub(super) fn histories(&self, queue: &Queue, clock: &Arc<dyn Clock>) -> Option<Histories> {
        let settings = self.settings.enabled.then(|| self.settings.clone())?;
        let store = || Arc::clone(queue.store());
        let keeper = Keeper::new(settings.clone(), store(), Arc::clone(clock), &self.recorder);
        let keeper = keeper.telling(self.progress.clone());
        let ledger = LedgerKeeper::new(settings, store(), Arc::clone(clock), keeper.written());
        let intake = Arc::<Intake>::clone(&self.intake);
        let ledger = ledger.told_by(intake, Arc::clone(&self.refreshes));
        Some(Histories { keeper, ledger: ledger.telling(self.progress.clone()) })
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
