//! The relay's time: gone on with at the start, kept in the store, and watched.
//!
//! Everything the relay stores has a time of its [`SteadyClock`]; what the clock has seen is kept
//! beside the mail, so that a restart, and a leap of the wall clock while no relay runs, move nothing
//! either. Certificates of policy hosts are what speaks for or against a wall clock that leapt.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock as _, Doubt, Seen, SteadyClock};
use mail::in_full;
use mta_sts::{Decision, FetchEnded, Observer, Undecided};
use queue::{Queue, ReadValues};
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::policy_store::{find_kept, list_kept};

/// The namespace of what the clock has seen, and its only key.
const NAMESPACE: &str = "clock";
const KEY: &str = "seen";

/// How often the clocks are compared; whoever asks for the time compares them, too.
const LOOK: Duration = Duration::from_secs(5);

/// How often what the clock has seen is written: the boot clock tells what came after it, so that
/// this need not be exact.
const KEEP: Duration = Duration::from_secs(10 * 60);

/// How many policies are looked at in one go.
const PAGE: usize = 1000;

/// What the clock has seen cannot be kept.
#[derive(Debug, Error)]
enum KeepError {
    /// It cannot be written as text: a time before 1970.
    #[error("the time cannot be written")]
    Text(#[from] serde_json::Error),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] queue::StoreError),
}

/// Goes on with the time that `queue` knows.
pub(crate) async fn resume(clock: &SteadyClock, queue: &Queue) {
    match read(queue.values(NAMESPACE).get(KEY).await) {
        Some(seen) => clock.resume(&seen),
        None => clock.resume_after(newest(queue).await),
    }
}

/// Goes on with the time that a queue knows that no process has open.
pub(crate) async fn resume_at_rest(clock: &SteadyClock, values: &dyn ReadValues) {
    if let Some(seen) = read(values.get(NAMESPACE, KEY).await) {
        clock.resume(&seen);
    }
}

/// What was seen, if the store says so.
fn read(kept: Result<Option<Vec<u8>>, queue::StoreError>) -> Option<Seen> {
    let bytes = match kept {
        Ok(kept) => kept?,
        Err(error) => {
            error!(error = in_full(&error), "clock record unreadable");
            return None;
        }
    };
    let seen = serde_json::from_slice(&bytes);
    seen.inspect_err(|error| error!(%error, "clock record unreadable")).ok()
}

/// The newest time in the store, of which nothing says what the clock had seen: when the last id was
/// given and when the last policy was fetched.
async fn newest(queue: &Queue) -> SystemTime {
    let mut newest = queue.newest();
    let mut after = None;
    while let Ok(page) = list_kept(&**queue.store(), after.as_ref(), PAGE).await {
        for domain in &page {
            // One that cannot be read says nothing of the time.
            let kept = find_kept(&**queue.store(), domain).await.ok().flatten();
            newest = newest.max(kept.map_or(newest, |policy| policy.fetched_at()));
        }
        after = page.last().cloned();
        if after.is_none() {
            break;
        }
    }
    newest
}

/// Compares the clocks until `stop`, says when a doubt begins and ends, and keeps what was seen.
pub(crate) async fn watch(clock: Arc<SteadyClock>, queue: Queue, stop: CancellationToken) {
    let (mut doubt, mut kept_at) = (None, None::<Instant>);
    loop {
        let now = clock.doubt();
        let has_changed = tell(doubt.replace(now).flatten(), now);
        if has_changed || kept_at.is_none_or(|at| at.elapsed() >= KEEP) {
            keep(&clock, &queue).await;
            kept_at = Some(Instant::now());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}

/// Says that a doubt has begun or ended; whether one has.
fn tell(before: Option<Doubt>, now: Option<Doubt>) -> bool {
    match (before, now) {
        (None, Some(doubt)) => warn!(%doubt, "clock in doubt"),
        (Some(doubt), None) => info!(%doubt, "clock no longer in doubt"),
        (None, None) | (Some(_), Some(_)) => return false,
    }
    true
}

/// Keeps what was seen.
pub(crate) async fn keep(clock: &SteadyClock, queue: &Queue) {
    let kept = async {
        let bytes = serde_json::to_vec(&clock.seen())?;
        Ok::<_, KeepError>(queue.values(NAMESPACE).put(KEY, bytes).await?)
    };
    if let Err(error) = kept.await {
        warn!(error = in_full(&error), "clock record not saved");
    }
}

/// Tells the clock what fetches of policies say about it, and passes everything on.
#[derive(Debug)]
pub(crate) struct Witness {
    clock: Arc<SteadyClock>,
    next: Arc<dyn Observer>,
}

impl Witness {
    /// One that tells `clock`, and then `next`.
    pub(crate) fn new(clock: &Arc<SteadyClock>, next: Arc<dyn Observer>) -> Self {
        Self { clock: Arc::clone(clock), next }
    }
}

impl Observer for Witness {
    fn decided(&self, decision: Result<&Decision, &Undecided>) {
        self.next.decided(decision);
    }

    fn fetched(&self, fetch: &FetchEnded<'_>) {
        match fetch.result {
            Ok(_policy) => self.clock.confirm(),
            Err(error) if error.is_out_of_date() => self.clock.contradict(),
            Err(_) => {}
        }
        self.next.fetched(fetch);
    }
}
