//! The committer: the one thread that writes.
//!
//! It takes all work that waits, appends the messages and what becomes of the index to the spool,
//! syncs that once, and only then lets readers see it and answers everybody. While one sync runs,
//! the next group collects. Deliveries alone are not waited for: they are synced with the next
//! group, or a moment later. A thread of its own flushes the index. The first error acknowledges
//! nobody: the store is closed and opened again, and settlements wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use clock::Clock;
use mail::in_full;
use store::{ClaimEnd, CommitGroup, Committed, Health};
use tokio::time::Instant;

use crate::batch::{Batch, Effects};
use crate::committer::closing::{CloseAtLast, finish_rows};
use crate::committer::commit_log::CommitLog;
use crate::committer::compaction::Compaction;
use crate::committer::forward::Forward;
use crate::committer::group::{Durable, Flow, GroupError, collect};
use crate::committer::housekeeping::{look_for_blobs, reserve_ids};
use crate::committer::pending::Pending;
use crate::committer::planning::{Done, plan};
use crate::committer::space::{give_up_reserve, space};
use crate::committer::unlinking::unlink_finished;
use crate::committer::writer::Flush;
use crate::error::OpenError;
use crate::index::EngineError;
use crate::recovery::{Opener, Recovered, Store};
use crate::settings::StoreSettings;
use crate::shared::{Handle, Shared};
use crate::spool::segments::Segments;
use crate::work::{Edit, Job, Settling, Work};

mod closing;
mod commit_log;
mod compaction;
mod forward;
mod group;
mod housekeeping;
mod pending;
mod planning;
mod space;
mod unlinking;
mod writer;

/// How often housekeeping is done, and how far the index's engine may stay behind while it keeps up.
const TICK: Duration = Duration::from_secs(1);

/// How long a delivery may wait until it is durable: after a power cut, what was delivered within
/// this time is delivered again.
const SYNC_LAG: Duration = Duration::from_millis(50);

/// The wait before the store is opened again, which doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The committer's own state.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// What opens the store again; it holds the lock.
    store: Store,
    /// What is written.
    log: CommitLog,
    compaction: Compaction,
    /// The search for entries that are due too late.
    forward: Forward,
    pending: Pending,
    last_tick: Instant,
}

impl Committer {
    /// Opens the store and starts the thread.
    pub(crate) fn start(
        settings: StoreSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Handle, OpenError> {
        Self::start_with(settings, clock, Opener::default())
    }

    /// The same with an index of one's own.
    pub(crate) fn start_with(
        settings: StoreSettings,
        clock: Arc<dyn Clock>,
        opener: Opener,
    ) -> Result<Handle, OpenError> {
        let committer = Self::ready(settings, clock, opener)?;
        let shared = Arc::clone(&committer.shared);
        let (jobs, line) = channel();
        let thread = thread::Builder::new().name("queue-committer".to_owned());
        thread
            .spawn(move || committer.run(&line))
            .map_err(|source| OpenError::Io { path: shared.settings.dir.clone(), source })?;
        Ok(Handle::new(shared, jobs))
    }

    /// Opens the store, for whoever has the committer run.
    fn ready(
        settings: StoreSettings,
        clock: Arc<dyn Clock>,
        opener: Opener,
    ) -> Result<Self, OpenError> {
        let store = Store::lock(&settings.dir, opener)?;
        let shared = Arc::new(Shared::new(settings, clock, store.number()));
        let log = CommitLog::closed(Arc::clone(&shared), segments(&shared, &store, 0));
        let mut committer = Self {
            shared,
            store,
            log,
            compaction: Compaction::default(),
            forward: Forward::default(),
            pending: Pending::default(),
            last_tick: Instant::now(),
        };
        committer.open()?;
        Ok(committer)
    }

    /// Opens the store; an index that turns out to be damaged is rebuilt.
    fn open(&mut self) -> Result<(), OpenError> {
        let mut tries = 0..2;
        loop {
            let recovered = self.recover()?;
            match self.take_over(recovered) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_damage() && tries.next().is_some() => {
                    self.store.rebuild_next();
                }
                Err(error) => return Err(self.store.index_error(error)),
            }
        }
    }

    /// Puts the store in order; where there is no room for that, in what was reserved.
    fn recover(&mut self) -> Result<Recovered, OpenError> {
        match self.store.recover(self.shared.clock.now()) {
            Err(error) if error.is_full() && self.shared.paths.reserve().exists() => {
                give_up_reserve(&self.shared);
                self.store.recover(self.shared.clock.now())
            }
            recovered => recovered,
        }
    }

    /// Makes a store that was opened the one in use.
    fn take_over(&mut self, recovered: Recovered) -> Result<(), EngineError> {
        let Recovered { engine, ledger, next_segment } = recovered;
        let segments = segments(&self.shared, &self.store, next_segment);
        let due = self.log.open(engine, ledger, segments)?;
        self.shared.set_health(space(&self.shared));
        self.shared.reopened(due);
        Ok(())
    }

    /// Works until the queue is closed or nobody is left to ask.
    fn run(mut self, line: &Receiver<Job>) {
        let _closed_at_last = CloseAtLast(Arc::clone(&self.shared));
        loop {
            let flow = match line.recv_timeout(self.patience()) {
                Ok(job) => self.commit_group(collect(job, line)),
                Err(RecvTimeoutError::Timeout) => Flow::GoOn,
                Err(RecvTimeoutError::Disconnected) => Flow::End,
            };
            if flow == Flow::End {
                return self.close(line);
            }
            self.follow_up();
            if !self.log.is_open() && self.reopen(line) == Flow::End {
                return self.close(line);
            }
        }
    }

    /// How long to wait for work.
    fn patience(&self) -> Duration {
        self.log.unsynced_since.map_or(TICK, |since| SYNC_LAG.saturating_sub(since.elapsed()))
    }

    /// Does what a commit group has left, and what is due once a second.
    fn follow_up(&mut self) {
        if !self.log.is_open() {
            return;
        }
        let is_tick = self.last_tick.elapsed() >= TICK;
        // Housekeeping takes its time, and unlinks what was delivered.
        let is_late = |since: Instant| is_tick || since.elapsed() >= SYNC_LAG;
        let synced =
            if self.log.unsynced_since.is_some_and(is_late) { self.log.sync() } else { Ok(()) };
        let when = if is_tick { Flush::Now } else { Flush::WhenMuch };
        if let Err(error) = synced.map_err(GroupError::from).and_then(|()| self.log.flush(when)) {
            return self.fail(Vec::new(), &error);
        }
        if is_tick {
            self.last_tick = Instant::now();
            self.tick();
        }
    }

    /// Does what is due once a second.
    fn tick(&mut self) {
        if self.log.settled_logs.is_unsynced()
            && let Err(error) = self.log.settled_logs.sync()
        {
            tracing::warn!(%error, "settled logs not synced");
        }
        let health = space(&self.shared);
        if health != self.shared.health() {
            match health {
                Health::LowOnSpace => tracing::error!("disk nearly full: new mail is refused"),
                Health::Closed | Health::Failed | Health::Ready => {
                    tracing::info!("disk has room again: new mail is taken");
                }
            }
            self.shared.set_health(health);
        }
        look_for_blobs(&self.shared);
        if let Err(error) = self.housekeep() {
            self.fail(Vec::new(), &error);
        }
    }

    /// Reserves ids, brings forward what is due too late, compacts segments, unlinks what is finished.
    fn housekeep(&mut self) -> Result<(), GroupError> {
        reserve_ids(&mut self.log)?;
        self.forward.bring(&mut self.log)?;
        self.compaction.go_on(&mut self.log)?;
        unlink_finished(&mut self.log)
    }

    /// Does a commit group and answers.
    fn commit_group(&mut self, mut jobs: Vec<Job>) -> Flow {
        let number = self.shared.engine_number();
        let damage = jobs.iter().find_map(|job| match &job.work {
            Work::Damaged(why, of) if *of == number => Some(why.clone()),
            Work::Accept(..)
            | Work::Close(_)
            | Work::Damaged(..)
            | Work::Edit(..)
            | Work::Settle(..) => None,
        });
        if let Some(why) = damage {
            self.fail(jobs, &EngineError::Damaged(why).into());
            return Flow::GoOn;
        }
        let end = jobs.iter().position(|job| matches!(job.work, Work::Close(_)));
        let late = end.map_or_else(Vec::new, |end| jobs.split_off(end));
        match self.write(&jobs) {
            Ok((done, effects)) => self.answer(jobs, done, effects),
            Err(error) => self.fail(jobs, &error),
        }
        if late.is_empty() {
            return Flow::GoOn;
        }
        self.finish();
        for job in late {
            job.work.refuse();
        }
        Flow::End
    }

    /// Writes the records and what becomes of the index: when this returns without error, all is as
    /// durable as it has to be, and readers see it.
    fn write(&mut self, jobs: &[Job]) -> Result<(Vec<Done>, Effects), GroupError> {
        let places = self.log.write_records(jobs)?;
        let index = self.log.index()?;
        self.forward.seen(self.shared.clock.now());
        let mut batch = Batch::new(index.as_ref(), &mut self.log.ledger);
        let mut done = Vec::with_capacity(jobs.len());
        for (job, place) in jobs.iter().zip(places) {
            if let Work::Settle(settlement, _) = &job.work {
                self.forward.raise(settlement.at);
            }
            let shared = self.shared.as_ref();
            done.push(plan(&mut batch, &job.work, place, &shared.versions, shared.now())?);
        }
        let (sealed, durable) = (batch.seal()?, Durable::of(jobs));
        let begun = Instant::now();
        let effects = self.log.conclude(sealed, durable)?;
        let took = begun.elapsed();
        for job in jobs {
            if let Work::Edit(Edit::PutValue(key, ..), _) = &job.work {
                self.shared.versions.changed(key);
            }
        }
        if let Some(observer) = self.shared.observer.get() {
            let messages = jobs.iter().filter(|job| matches!(job.work, Work::Accept(..))).count();
            let spool = (durable == Durable::First).then_some(took);
            observer.committed(CommitGroup { jobs: jobs.len(), messages, spool });
        }
        Ok((done, effects))
    }

    /// Tells everybody what has become durable.
    fn answer(&mut self, jobs: Vec<Job>, done: Vec<Done>, effects: Effects) {
        self.log.publish(effects);
        for (job, done) in jobs.into_iter().zip(done) {
            match (job.work, done) {
                (Work::Accept(_, answer), Done::Committed(id)) => {
                    drop(answer.send(Ok(Committed::assertion(id))));
                }
                (Work::Settle(settlement, answer), Done::Settled(settled)) => {
                    self.give_back(&settlement);
                    drop(answer.send(Ok(settled)));
                }
                (Work::Edit(_, answer), Done::Changed(count)) => drop(answer.send(Ok(count))),
                (work, Done::Nothing) => drop(work),
                (work, _) => work.fail(Health::Failed),
            }
        }
    }

    /// Ends the claims that a settlement ends.
    fn give_back(&self, settlement: &Settling) {
        for one in settlement.entries.iter().filter(|one| one.claim == ClaimEnd::Ends) {
            self.shared.settled(&one.destination, one.entry);
        }
    }

    /// The group failed: nobody is acknowledged, the store is closed, settlements wait.
    fn fail(&mut self, jobs: Vec<Job>, error: &GroupError) {
        tracing::error!(
            error = %in_full(error),
            "store failed: new mail is refused until it is reopened"
        );
        let health = if error.is_full() { Health::LowOnSpace } else { Health::Failed };
        self.shared.set_health(health);
        if let Some(observer) = self.shared.observer.get() {
            observer.failed();
        }
        self.log.segments.take_back();
        if health == Health::LowOnSpace {
            give_up_reserve(&self.shared);
        }
        if error.is_damage() {
            self.store.rebuild_next();
        }
        self.pending.keep(jobs, health, &mut self.log);
        self.log.unsynced_since = None;
        self.log.let_go();
    }

    /// Opens the store again, as often as it takes, and answers meanwhile.
    fn reopen(&mut self, line: &Receiver<Job>) -> Flow {
        let mut wait = FIRST_WAIT;
        loop {
            if self.pending.wait(line, wait, &self.shared) == Flow::End {
                return Flow::End;
            }
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            match self.open() {
                Ok(()) => {
                    tracing::info!("store reopened");
                    let pending = self.pending.take();
                    if pending.is_empty() {
                        return Flow::GoOn;
                    }
                    if self.commit_group(pending) == Flow::End {
                        return Flow::End;
                    }
                    if self.log.is_open() {
                        return Flow::GoOn;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %in_full(&error), "store reopen failed");
                    let health = if error.is_full() { Health::LowOnSpace } else { Health::Failed };
                    self.shared.set_health(health);
                }
            }
        }
    }

    /// Ends the store in order, so that it opens fast.
    fn finish(&mut self) {
        self.shared.set_health(Health::Closed);
        if !self.log.is_open() {
            return self.store.unlock();
        }
        let finished = finish_rows(&mut self.log);
        if let Err(error) = &finished {
            tracing::error!(error = %in_full(error), "store not closed cleanly");
        }
        if self.log.let_go()
            && finished.is_ok()
            && let Err(error) = self.store.write_closed(self.log.ledger.row.groups)
        {
            tracing::warn!(%error, "store not marked as closed");
        }
        self.store.unlock();
    }

    /// Ends, and tells all who still wait.
    fn close(mut self, line: &Receiver<Job>) {
        self.finish();
        for job in self.pending.take() {
            job.work.refuse();
        }
        while let Ok(job) = line.try_recv() {
            job.work.refuse();
        }
    }
}

/// The segments that records are written to, from `next` on.
fn segments(shared: &Shared, store: &Store, next: u32) -> Segments {
    Segments::new(shared.paths.clone(), store.segments(), shared.settings.segment_size, next)
}
