//! What keeps the ledger up to date while the relay runs.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock, millis};
use mail::in_full;
use store::{Filter, Store};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::HistoryError;
use crate::ledger::figures::{Figures, Span};
use crate::ledger::projection::{Found, Projection, Taken};
use crate::progress::HistoryProgress;
use crate::settings::HistorySettings;
use crate::span::whole_millis;

/// How long records are collected before they are taken in.
const COLLECT: Duration = Duration::from_millis(500);

/// How often the queue is looked at while nothing is delivered.
const LOOK: Duration = Duration::from_secs(60);

/// How often what is too old is removed, in milliseconds.
const PRUNE_EVERY: u64 = 60 * 60 * 1_000;

/// The wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// So many refreshes of policies wait to be taken in; the oldest go beyond that.
const REFRESHES_MOST: usize = 10_000;

/// How many messages clients have handed in since the relay began.
pub trait AcceptedCount: Debug + Send + Sync {
    /// That number.
    fn accepted(&self) -> u64;
}

/// What became of refreshes of policies, until the ledger takes it in. Must not block.
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<VecDeque<Refresh>>);

/// What became of a refresh.
#[derive(Debug)]
struct Refresh {
    domain: String,
    error: Option<String>,
}

/// Keeps the ledger up to date.
#[derive(Debug)]
pub struct LedgerKeeper {
    settings: HistorySettings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    intake: Arc<dyn AcceptedCount>,
    refreshes: Arc<Refreshes>,
    /// For monitors.
    progress: HistoryProgress,
    /// The number of the last record in the history.
    written: watch::Receiver<u64>,
    /// None while it is lent to the thread that writes, and before it is opened.
    projection: Option<Projection>,
    /// How many messages had been accepted when that was looked at last.
    accepted: u64,
    pruned_at: u64,
    is_failing: bool,
}

impl Refreshes {
    /// The policy of a domain was fetched again, or could not be.
    pub fn add(&self, domain: &str, error: Option<String>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= REFRESHES_MOST {
            drop(waiting.pop_front());
        }
        waiting.push_back(Refresh { domain: domain.to_owned(), error });
    }

    /// All that wait.
    fn take(&self) -> VecDeque<Refresh> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LedgerKeeper {
    /// Keeps the ledger of a history in which the records up to `written` are, and of the queue in
    /// `store`.
    #[must_use]
    pub fn new(
        settings: HistorySettings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        written: watch::Receiver<u64>,
    ) -> Self {
        Self {
            settings,
            store,
            clock,
            intake: Arc::new(NothingAccepted),
            refreshes: Arc::default(),
            progress: HistoryProgress::default(),
            written,
            projection: None,
            accepted: 0,
            pruned_at: 0,
            is_failing: false,
        }
    }

    /// The same with what clients hand in and what becomes of refreshes.
    #[must_use]
    pub fn told_by(self, intake: Arc<dyn AcceptedCount>, refreshes: Arc<Refreshes>) -> Self {
        Self { intake, refreshes, ..self }
    }

    /// The same, which tells `progress` how far it is.
    #[must_use]
    pub fn telling(self, progress: HistoryProgress) -> Self {
        Self { progress, ..self }
    }

    /// Keeps the ledger until `stop` is cancelled and all that is in the history then is in it.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let is_last = stop.is_cancelled();
            match self.keep().await {
                Ok(()) => self.works_again(),
                Err(error) => self.failed(&error),
            }
            if is_last {
                return;
            }
            let news = async {
                if self.is_failing {
                    sleep(AFTER_FAILURE).await;
                } else {
                    // A history that is gone has no more news.
                    drop(timeout(LOOK, self.written.changed()).await);
                    sleep(COLLECT).await;
                }
            };
            stop.run_until_cancelled(news).await;
        }
    }

    /// Takes in all that there is.
    async fn keep(&mut self) -> Result<(), HistoryError> {
        self.open().await?;
        loop {
            let (taken, mark, gaps) = self
                .work(|projection, _| {
                    Ok((projection.take()?, projection.mark(), projection.gaps()))
                })
                .await?;
            self.progress.ledger(mark, gaps);
            if taken == Taken::Nothing {
                break;
            }
        }
        let refreshes = self.refreshes.take();
        if !refreshes.is_empty() {
            self.work(move |projection, now| {
                refreshes.iter().try_for_each(|Refresh { domain, error }| {
                    projection.refreshed(domain, error.as_deref(), now)
                })
            })
            .await?;
        }
        let now = millis(self.clock.now());
        if let Some(sample) = self.sample(now).await {
            self.work(move |projection, _| projection.sample(sample)).await?;
        }
        if now.saturating_sub(self.pruned_at) >= PRUNE_EVERY {
            let keep = whole_millis(self.settings.keep_domains);
            self.work(move |projection, now| projection.prune(now, keep)).await?;
            self.pruned_at = now;
        }
        Ok(())
    }

    /// Opens the ledger unless it is open.
    async fn open(&mut self) -> Result<(), HistoryError> {
        if self.projection.is_some() {
            return Ok(());
        }
        let (dir, now) = (self.settings.dir.clone(), millis(self.clock.now()));
        let opened = tokio::task::spawn_blocking(move || Projection::open(dir, now)).await;
        let (projection, found) = opened.map_err(|_panicked| HistoryError::Ended)??;
        if found != Found::Whole || projection.mark() == 0 {
            tracing::info!("ledger made of the history that is kept");
        }
        self.projection = Some(projection);
        Ok(())
    }

    /// Lets the projection do something on a thread that may wait for the disk. A ledger that turns out
    /// damaged is opened again, and set aside by that.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Projection, u64) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let mut projection = self.projection.take().ok_or(HistoryError::Ended)?;
        let now = millis(self.clock.now());
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&mut projection, now);
            (projection, done)
        });
        let (projection, done) = worked.await.map_err(|_panicked| HistoryError::Ended)?;
        match &done {
            Err(error) if error.is_damage() => drop(projection),
            Ok(_) | Err(_) => self.projection = Some(projection),
        }
        done
    }

    /// What is seen of the queue now; none where it cannot tell.
    async fn sample(&mut self, now: u64) -> Option<Figures> {
        let first = self.store.list(&Filter::default(), None, 1).await.ok()?;
        let oldest =
            first.first().map_or(0, |first| now.saturating_sub(millis(first.message.received_at)));
        let accepted = self.intake.accepted();
        let since = accepted.saturating_sub(std::mem::replace(&mut self.accepted, accepted));
        Some(Figures {
            accepted: since,
            queue: Some(self.store.totals().messages),
            oldest: Some(oldest),
            ..Figures::beginning(Span::Minute.begins(now))
        })
    }

    /// Says that the ledger cannot be kept, once.
    fn failed(&mut self, error: &HistoryError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let error = in_full(error);
            tracing::error!(error, "ledger not kept: it is caught up of the history later");
        }
    }

    /// Says that it can be kept again.
    fn works_again(&mut self) {
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("ledger kept again");
        }
    }
}

/// Nobody hands in anything.
#[derive(Debug)]
struct NothingAccepted;

impl AcceptedCount for NothingAccepted {
    fn accepted(&self) -> u64 {
        0
    }
}
