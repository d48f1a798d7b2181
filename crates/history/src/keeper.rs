//! What takes the records of settled mail from the store and keeps them as history.

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, millis};
use mail::in_full;
use store::{Expected, RecordNumber, Store, StoreError};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::HistoryError;
use crate::gap::{Gap, WhyGap};
use crate::progress::HistoryProgress;
use crate::recorder::Recorder;
use crate::settings::HistorySettings;
use crate::shared::Shared;
use crate::writer::Writer;

/// How long records are collected before they are written.
const COLLECT: Duration = Duration::from_millis(250);

/// How many records are written at a time.
const PAGE: usize = 1_024;

/// How often a history in which nothing happens is looked after.
const TEND: Duration = Duration::from_secs(60);

/// The wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// So many records wait in the store while the history cannot be written. The oldest go beyond that:
/// mail does not wait for history.
const BEHIND_MOST: u64 = 200_000;

/// Where the store has since when no history is kept.
const NAMESPACE: &str = "history";
const DISABLED: &str = "disabled";

/// Takes records from a store and keeps them.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// None while it is lent to the thread that writes.
    writer: Option<Writer>,
    settings: HistorySettings,
    /// The number of the last record that is in the files.
    written: watch::Sender<u64>,
    /// For monitors.
    progress: HistoryProgress,
    shared: Arc<Shared>,
    /// Whether the last writing failed, so that it is told once.
    is_failing: bool,
}

/// What stands in the way of a writing.
#[derive(Debug, Error)]
enum Trouble {
    /// The files.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keeper {
    /// Keeps the history of what `store` settles, of which `recorder` makes the records.
    #[must_use]
    pub fn new(
        settings: HistorySettings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        recorder: &Recorder,
    ) -> Self {
        let (shared, written) = (Arc::clone(&recorder.shared), watch::Sender::new(0));
        let progress = HistoryProgress::default();
        Self { store, clock, writer: None, settings, written, progress, shared, is_failing: false }
    }

    /// The same, which tells `progress` how far it is.
    #[must_use]
    pub fn telling(self, progress: HistoryProgress) -> Self {
        Self { progress, ..self }
    }

    /// The number of the last record that is in the files, whenever there are more.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Notes in the store that no history is kept from now on, so that there is a gap later.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is not noted.
    pub async fn note_disabled(store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
        let now = millis(clock.now()).to_string().into_bytes();
        store.put(NAMESPACE, DISABLED, now, Expected::Absent).await.map(drop)
    }

    /// Keeps history until `stop` is cancelled, and what is there then.
    ///
    /// While the files cannot be written, records wait in the store.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut last = self.store.last_record();
        loop {
            let wait = match self.keep().await {
                Ok(()) => {
                    self.works_again();
                    TEND
                }
                Err(error) => {
                    self.failed(&error);
                    if let Err(error) = self.drop_oldest().await {
                        tracing::debug!(%error, "delivery records not forgotten");
                    }
                    AFTER_FAILURE
                }
            };
            if stop.is_cancelled() {
                return;
            }
            let news = async {
                if self.is_failing {
                    sleep(wait).await;
                } else {
                    changed(&mut last, wait).await;
                    sleep(COLLECT).await;
                }
            };
            stop.run_until_cancelled(news).await;
        }
    }

    /// Writes all that there is.
    async fn keep(&mut self) -> Result<(), Trouble> {
        self.open().await?;
        loop {
            let mark = self.writer.as_ref().map_or(0, |writer| writer.end().mark);
            let records = self.store.records(mark, PAGE).await?;
            let has_gaps = self.writer.as_ref().is_some_and(Writer::has_gaps);
            let Some(through) = records.last().map(|record| record.number) else {
                if has_gaps {
                    self.write(|writer, now| writer.append(&[], now)).await?;
                }
                return Ok(self.write(Writer::tend).await?);
            };
            self.write(move |writer, now| writer.append(&records, now)).await?;
            self.store.forget_records(through).await?;
        }
    }

    /// Opens the files unless they are open, with what is to be told of the time before.
    async fn open(&mut self) -> Result<(), Trouble> {
        if self.writer.is_some() {
            return Ok(());
        }
        let (settings, now) = (self.settings.clone(), millis(self.clock.now()));
        let shared = Arc::clone(&self.shared);
        let opened = tokio::task::spawn_blocking(move || Writer::open(settings, shared, now)).await;
        let mut writer = opened.map_err(|_panicked| HistoryError::Ended)??;
        // What was kept before a crash and not forgotten.
        self.store.forget_records(writer.end().mark).await?;
        if let Some(since) = self.store.get(NAMESPACE, DISABLED).await? {
            let since = String::from_utf8(since).ok().and_then(|text| text.parse().ok());
            let why = WhyGap::Disabled;
            writer.note(Gap { found_at: now, why, count: None, since, file: None });
            self.writer = Some(writer);
            self.write(|writer, now| writer.append(&[], now)).await?;
            self.store.remove(NAMESPACE, DISABLED).await?;
            return Ok(());
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Lets the writer do something on a thread that may wait for the disk.
    async fn write(
        &mut self,
        work: impl FnOnce(&mut Writer, u64) -> Result<(), HistoryError> + Send + 'static,
    ) -> Result<(), HistoryError> {
        let mut writer = self.writer.take().ok_or(HistoryError::Ended)?;
        let now = millis(self.clock.now());
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&mut writer, now);
            (writer, done)
        });
        let (writer, done) = worked.await.map_err(|_panicked| HistoryError::Ended)?;
        let last = writer.end().next.saturating_sub(1);
        self.progress.history(writer.end().mark, last);
        self.written.send_if_modified(|known| std::mem::replace(known, last) != last);
        self.writer = Some(writer);
        done
    }

    /// Forgets the oldest records where too many wait: the history has a gap there.
    async fn drop_oldest(&mut self) -> Result<(), StoreError> {
        let oldest = self.store.records(0, 1).await?;
        let last = *self.store.last_record().borrow();
        let Some(oldest) = oldest.first() else { return Ok(()) };
        let through = last.saturating_sub(BEHIND_MOST);
        if through < oldest.number {
            return Ok(());
        }
        tracing::error!(through, "history too far behind: oldest delivery records dropped");
        self.store.forget_records(through).await
    }

    /// Says that the history cannot be written, once.
    fn failed(&mut self, error: &Trouble) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let error = in_full(error);
            tracing::error!(
                error,
                "history not written: delivery records wait in the queue's store"
            );
        }
    }

    /// Says that it can be written again.
    fn works_again(&mut self) {
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("history written again");
        }
    }
}

/// Waits for the next record, or for a while.
async fn changed(last: &mut watch::Receiver<RecordNumber>, wait: Duration) {
    // A store that is gone has no more news.
    drop(timeout(wait, last.changed()).await);
}
