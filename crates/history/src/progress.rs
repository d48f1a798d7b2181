//! How far history and ledger are, for monitors.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::Store;

use crate::error::HistoryError;
use crate::files::{Files, SegmentFile};
use crate::sql::{connect_to_read, number};

/// How far history and ledger are. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct HistoryProgress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// The store's number of the last record that is in the history.
    mark: AtomicU64,
    /// The number of the last record of the history.
    last: AtomicU64,
    /// The number of the last record that is in the ledger.
    ledger: AtomicU64,
    /// Gaps that were found since the relay started.
    gaps: AtomicU64,
}

/// How much history there is, and how far it is behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HistoryLevels {
    /// Files of records.
    pub segments: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// When the oldest of them was begun, in milliseconds since 1970; absent: there is none.
    pub since: Option<u64>,
    /// Records of the store that are not in the history yet.
    pub waiting: u64,
    /// Records of the history that are not in the ledger yet.
    pub ledger_waiting: u64,
    /// Gaps that were found since the relay started.
    pub gaps: u64,
}

impl HistoryProgress {
    /// The history has the store's records up to `mark`, the last of them as its `last`.
    pub(crate) fn history(&self, mark: u64, last: u64) {
        self.0.mark.store(mark, Ordering::Relaxed);
        self.0.last.store(last, Ordering::Relaxed);
    }

    /// The ledger has the history's records up to this one, and so many gaps more were among them.
    pub(crate) fn ledger(&self, last: u64, gaps: u64) {
        self.0.ledger.store(last, Ordering::Relaxed);
        let _before = self.0.gaps.fetch_add(gaps, Ordering::Relaxed);
    }

    /// How much there is in `dir`, and how much of it `store` still has.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the directory could not be read.
    pub async fn levels(
        &self,
        dir: PathBuf,
        store: &dyn Store,
    ) -> Result<HistoryLevels, HistoryError> {
        let last_of_store = *store.last_record().borrow();
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let Numbers { mark, last, ledger, gaps } = &*self.0;
        // Before the history was opened, nothing is known of it.
        let waiting = if of(mark) == 0 { 0 } else { last_of_store.saturating_sub(of(mark)) };
        let ledger_waiting = of(last).saturating_sub(of(ledger));
        let gaps = of(gaps);
        let looked = tokio::task::spawn_blocking(move || on_disk(dir)).await;
        let looked = looked.map_err(|_panicked| HistoryError::Ended)??;
        Ok(HistoryLevels { waiting, ledger_waiting, gaps, ..looked })
    }
}

/// How much there is in a directory.
fn on_disk(dir: PathBuf) -> Result<HistoryLevels, HistoryError> {
    let segments = Files::new(dir).segments()?;
    let begun = |file: &SegmentFile| number(&connect_to_read(file).ok()?, file, "opened_at").ok();
    Ok(HistoryLevels {
        segments: u64::try_from(segments.len()).unwrap_or(u64::MAX),
        bytes: segments.iter().map(SegmentFile::size).fold(0, u64::saturating_add),
        since: segments.first().and_then(begun),
        ..HistoryLevels::default()
    })
}
