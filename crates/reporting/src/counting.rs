//! Counting what delivery observes, for reports (RFC 8460 §4.2).
//!
//! A [`Counter`] takes an observation and waits for nothing: no disk, no lookup. [`Counting`] adds
//! them up in memory, asks each domain once a day whether it wants reports, and writes to the store
//! every few seconds and at the end. What a domain without a record was counted for is dropped. A
//! process that is killed loses what was counted since the last write, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use clock::Clock;
use dns::Dns;
use store::Store;
use tls_rpt::{Day, DomainName, Observation};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::counted_domains::{Admission, CountedDomains};
use crate::counting_observer::{CountingObserver, DropReason};
use crate::records::{Records, Wish};
use crate::tallies::{Tallies, TallyError};
use crate::writing::{Left, Work, write};

/// How often what was counted is written.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// How many observations wait to be counted at most.
const WAITING_MAX: usize = 10_000;

/// How many are taken at once.
const TAKEN_AT_ONCE: usize = 256;

/// How long a day's counts are kept after its end.
const KEPT_FOR: Duration = Duration::from_secs(48 * 60 * 60);

/// How many values are listed at once.
const PAGE: usize = 500;

/// Takes observations to be counted; cheap to clone.
#[derive(Clone, Debug)]
pub struct Counter {
    observations: mpsc::Sender<Counted>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CountingObserver>,
    is_on: Arc<AtomicBool>,
}

/// Whether reports are made, so that there is something to count for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reports {
    /// They are.
    Made,
    /// They are not: nothing is looked up, and nothing kept.
    None,
}

/// An observation and when it was made.
#[derive(Debug)]
struct Counted {
    at: SystemTime,
    observation: Observation,
}

impl Counter {
    /// Counts `observation`, if a report does; it is dropped where more wait than may.
    pub fn count(&self, observation: &Observation) {
        if observation.domain.is_none() || !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let counted = Counted { at: self.clock.now(), observation: observation.clone() };
        if self.observations.try_send(counted).is_err() {
            self.observer.dropped(DropReason::Overflow, 1);
        }
    }

    /// Counts from now on, or no more.
    pub fn turn(&self, reports: Reports) {
        self.is_on.store(reports == Reports::Made, Ordering::Relaxed);
    }
}

/// Adds up observations, and keeps the sums.
#[derive(Debug)]
pub struct Counting {
    observations: mpsc::Receiver<Counted>,
    tallies: Tallies,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CountingObserver>,
    records: Records,
    domains: CountedDomains,
    work: Work,
    /// The writing that is under way; one at most.
    writing: JoinSet<Left>,
    /// Whether the last writing failed.
    is_failing: bool,
}

/// Begins to count: what is handed to the counter is counted while [`Counting::run`] does. Nothing is
/// until it is [turned](Counter::turn) on.
#[must_use]
pub fn counting(
    store: &Arc<dyn Store>,
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CountingObserver>,
) -> (Counter, Counting) {
    let (sender, observations) = mpsc::channel(WAITING_MAX);
    let is_on = Arc::new(AtomicBool::new(false));
    let counter = Counter {
        observations: sender,
        clock: Arc::clone(&clock),
        observer: Arc::clone(&observer),
        is_on,
    };
    let counting = Counting {
        observations,
        tallies: Tallies::new(store),
        domains: CountedDomains::new(Day::of(clock.now())),
        clock,
        observer,
        records: Records::new(dns),
        work: Work::default(),
        writing: JoinSet::new(),
        is_failing: false,
    };
    (counter, counting)
}

impl Counting {
    /// Counts until `stop`, and writes all that has been counted by then.
    pub async fn run(mut self, stop: CancellationToken) {
        self.begin(Day::of(self.clock.now())).await;
        let mut ticks = interval(WRITTEN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                number = self.observations.recv_many(&mut taken, TAKEN_AT_ONCE) => {
                    if number == 0 {
                        break;
                    }
                    self.count_all(&mut taken).await;
                }
                Some((domain, wish)) = self.records.answer() => self.answered(&domain, wish),
                Some(written) = self.writing.join_next() => self.written(written.ok()),
                _now = ticks.tick() => self.write(),
            }
        }
        self.end(&mut taken).await;
    }

    /// Counts what is waiting and writes all of it.
    async fn end(&mut self, taken: &mut Vec<Counted>) {
        self.observations.close();
        while self.observations.recv_many(taken, TAKEN_AT_ONCE).await > 0 {
            self.count_all(taken).await;
        }
        if let Some(written) = self.writing.join_next().await {
            self.written(written.ok());
        }
        let left = write(self.tallies.clone(), std::mem::take(&mut self.work)).await;
        let lost = left.counts.iter().flat_map(|(_day, tally)| tally.rows());
        let lost: u64 = lost.map(|(_row, sessions)| sessions).sum();
        self.written(Some(Left { counts: Vec::new(), ..left }));
        if lost > 0 {
            self.observer.dropped(DropReason::Store, lost);
        }
    }

    /// Counts observations in the order in which they came.
    async fn count_all(&mut self, taken: &mut Vec<Counted>) {
        for Counted { at, observation } in taken.drain(..) {
            let day = Day::of(at);
            if day != self.domains.day() {
                self.begin(day).await;
            }
            self.count(day, at, &observation);
        }
    }

    /// Counts one observation.
    fn count(&mut self, day: Day, at: SystemTime, observation: &Observation) {
        let Some((domain, row)) = observation.counted() else { return };
        match self.domains.admit(&domain, at) {
            Admission::Counted => {}
            Admission::First => self.records.ask(domain.clone()),
            Admission::Full => return self.observer.dropped(DropReason::Domains, 1),
            Admission::Unwanted => return,
        }
        if self.work.counts.count(day, &domain, row, 1).is_err() {
            self.observer.dropped(DropReason::Domains, 1);
        }
    }

    /// Goes on with another day: the store may have counts of it already, of this process before a
    /// restart or of other relays.
    async fn begin(&mut self, day: Day) {
        let stored = match self.stored(day).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::debug!(error = mail::in_full(&error), "counts of the day not listed");
                Vec::new()
            }
        };
        self.domains.begin(day, stored);
        self.observer.counting(self.domains.len());
        if let Err(error) = self.drop_old().await {
            tracing::debug!(error = mail::in_full(&error), "old counts not dropped");
        }
    }

    /// The domains of which the store has counts of a day.
    async fn stored(&self, day: Day) -> Result<Vec<DomainName>, TallyError> {
        let mut stored = Vec::new();
        loop {
            let page = self.tallies.list_day(day, stored.last(), PAGE).await?;
            if page.is_empty() {
                return Ok(stored);
            }
            stored.extend(page);
        }
    }

    /// Drops the counts of days that ended too long ago for a report.
    async fn drop_old(&self) -> Result<(), TallyError> {
        let Some(time) = self.clock.now().checked_sub(KEPT_FOR) else { return Ok(()) };
        let (oldest, mut dropped) = (Day::of(time), 0_usize);
        loop {
            let page = self.tallies.list(None, PAGE).await?;
            let mut old = page.into_iter().filter(|(day, _domain)| *day < oldest).peekable();
            if old.peek().is_none() {
                break;
            }
            for (day, domain) in old {
                self.tallies.drop(day, &domain).await?;
                dropped = dropped.saturating_add(1);
            }
        }
        if dropped > 0 {
            tracing::warn!(domains = dropped, before = %oldest, "TLS report counts too old: dropped");
        }
        Ok(())
    }

    /// A domain has said whether it wants reports.
    fn answered(&mut self, domain: &DomainName, wish: Wish) {
        match wish {
            Wish::Unknown | Wish::Wanted => {}
            Wish::Unwanted => {
                let day = self.domains.day();
                drop(self.work.counts.take(day, domain));
                if self.domains.forget(domain, self.clock.now()) {
                    self.work.unwanted.push((day, domain.clone()));
                }
            }
        }
    }

    /// Begins to write what was counted, unless that is being done.
    fn write(&mut self) {
        self.observer.counting(self.domains.len());
        if !self.writing.is_empty() || self.work.is_empty() {
            return;
        }
        let work = std::mem::take(&mut self.work);
        for (_day, tally) in work.counts.domains() {
            self.domains.write(tally.domain());
        }
        let _task = self.writing.spawn(write(self.tallies.clone(), work));
    }

    /// What was written, and what was not and is tried again.
    fn written(&mut self, left: Option<Left>) {
        let Some(left) = left else { return };
        if left.closed > 0 {
            self.observer.dropped(DropReason::DayClosed, left.closed);
        }
        self.work.unwanted.extend(left.unwanted);
        for (day, tally) in left.counts {
            let sessions = tally.rows().map(|(_row, sessions)| sessions).sum();
            if self.work.counts.add(day, tally).is_err() {
                self.observer.dropped(DropReason::Domains, sessions);
            }
        }
        if let Some(error) = &left.error
            && !self.is_failing
        {
            tracing::warn!(error = mail::in_full(error), "TLS report counts not written");
        }
        self.is_failing = left.error.is_some();
    }
}

impl Work {
    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool {
        self.counts.domains().next().is_none() && self.unwanted.is_empty()
    }
}

#[cfg(test)]
mod tests;
