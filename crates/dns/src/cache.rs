//! Remembers answers for as long as they say (RFC 1035 §7.4, RFC 2308 §5).
//!
//! What could not be answered is not remembered; but all who ask the same at the same time share one
//! question to the server, and its outcome, whatever it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Expiry;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::error::LookupError;
use crate::question::Question;

/// The most octets of answers that are remembered.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What an answer takes beside its own octets, roughly; with [`LARGEST`] it bounds their number.
const OVERHEAD: usize = 512;

/// An answer that may still be used.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) answer: Arc<Answer>,
    /// For how long from now.
    pub(crate) valid_for: Duration,
}

/// Recent answers.
pub(crate) struct Cache {
    outcomes: moka::future::Cache<Question, Outcome>,
    /// Grows when what was remembered is worth nothing any more.
    epoch: AtomicU64,
}

#[derive(Clone, Debug)]
struct Outcome {
    result: Result<Arc<Answer>, LookupError>,
    expires_at: Instant,
    /// When it was asked for.
    epoch: u64,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let outcomes = moka::future::Cache::builder()
            .max_capacity(LARGEST)
            .weigher(|_, outcome: &Outcome| outcome.weight())
            .expire_after(AsTheAnswerSays)
            .build();
        Self { outcomes, epoch: AtomicU64::new(0) }
    }

    /// The answer to `question`, remembered or got by `ask`.
    ///
    /// What is remembered is looked for first: most answers are, and then nothing is made ready for
    /// a question to a server.
    pub(crate) async fn answer<A>(
        &self,
        question: &Question,
        ask: impl FnOnce() -> A,
    ) -> Result<Known, LookupError>
    where
        A: Future<Output = Result<Answer, LookupError>>,
    {
        let remembered = self.outcomes.get(question).await;
        let epoch = self.epoch.load(Ordering::Acquire);
        let outcome = match remembered.filter(|outcome| outcome.counts_in(epoch)) {
            Some(outcome) => outcome,
            // In a box: whoever waits for an answer that is remembered needs no room for a question.
            None => Box::pin(self.outcome(question, epoch, ask())).await,
        };
        let valid_for = outcome.expires_at.saturating_duration_since(Instant::now());
        outcome.result.map(|answer| Known { answer, valid_for })
    }

    /// The outcome of `ask`, or of another's asking at the same time.
    async fn outcome(
        &self,
        question: &Question,
        epoch: u64,
        ask: impl Future<Output = Result<Answer, LookupError>>,
    ) -> Outcome {
        let asked = async { Outcome::of(ask.await, epoch) };
        let is_worthless = |outcome: &Outcome| !outcome.counts_in(epoch);
        let entry = self.outcomes.entry_by_ref(question);
        entry.or_insert_with_if(asked, is_worthless).await.into_value()
    }

    /// Makes the next asking for anything reach a server: what was said before is judged otherwise now.
    pub(crate) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes the next asking for `question` reach a server.
    pub(crate) async fn forget(&self, question: &Question) {
        self.outcomes.invalidate(question).await;
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("answers", &self.outcomes.entry_count())
            .finish_non_exhaustive()
    }
}

impl Outcome {
    fn of(result: Result<Answer, LookupError>, epoch: u64) -> Self {
        let valid_for = result.as_ref().map_or(Duration::ZERO, |answer| answer.valid_for);
        Self { result: result.map(Arc::new), expires_at: Instant::now() + valid_for, epoch }
    }

    /// Whether it may still be used in this epoch.
    fn counts_in(&self, epoch: u64) -> bool {
        self.epoch == epoch && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.expires_at <= Instant::now()
    }

    fn weight(&self) -> u32 {
        let size = self.result.as_ref().map_or(0, |answer| answer.size);
        u32::try_from(size.saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
    }

    fn left(&self) -> Duration {
        self.expires_at.saturating_duration_since(Instant::now())
    }
}

/// Lets go of what is over; whether it is over is decided by [`Outcome::is_over`] alone.
struct AsTheAnswerSays;

impl Expiry<Question, Outcome> for AsTheAnswerSays {
    fn expire_after_create(
        &self,
        _: &Question,
        outcome: &Outcome,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(outcome.left())
    }

    fn expire_after_update(
        &self,
        _: &Question,
        outcome: &Outcome,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(outcome.left())
    }
}
