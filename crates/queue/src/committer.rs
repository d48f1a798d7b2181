//! The committer: the one thread that writes.
//!
//! It takes all work that waits, appends the records, syncs the spool once, commits one batch to
//! the index, and only then answers everybody. While one sync runs, the next round collects. The
//! first error acknowledges nobody: the store is closed and opened again, and settlements wait.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use clock::Clock;
use tokio::time::Instant;

use crate::batch::{Batch, Effects, Later, Ledger, Settled};
use crate::committer::stragglers::Search;
use crate::draft::Committed;
use crate::error::OpenError;
use crate::id::QueueId;
use crate::index::{Engine, EngineError};
use crate::observer::Round;
use crate::recovery::{Opener, Recovered, Store};
use crate::rows::{Place, State};
use crate::schedule::Jitter;
use crate::settings::QueueSettings;
use crate::shared::{Handle, Health, Shared, Totals};
use crate::shelf::shelve;
use crate::spool::segments::Segments;
use crate::spool::sidecar::Sidecars;
use crate::spool::sync_dir;
use crate::spool::unlinked::body_entry;
use crate::work::{Edit, Job, Prepared, PreparedBody, Settlement, Work};

mod housekeeping;
mod reopen;
mod stragglers;

/// A round takes no more jobs than this.
const ROUND_JOBS: usize = 1024;

/// A round takes no more bytes than about this.
const ROUND_BYTES: usize = 8 << 20;

/// How often housekeeping is done.
const TICK: Duration = Duration::from_secs(1);

/// The committer's own state.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// What opens the store again; it holds the lock.
    store: Store,
    engine: Option<Arc<dyn Engine>>,
    ledger: Ledger,
    segments: Segments,
    sidecars: Sidecars,
    /// Segments that cannot be emptied, because a record in them is damaged.
    stuck: HashSet<u32>,
    /// The search for what is alive in a nearly finished segment.
    search: Option<Search>,
    /// Messages that are gone, whose own files are still to be unlinked.
    finished_bodies: Vec<QueueId>,
    /// Work that waits for the store to be opened again.
    pending: Vec<Job>,
    last_tick: Instant,
}

/// A round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] EngineError),
    /// The spool could not be written.
    #[error("the spool could not be written")]
    Spool(#[from] io::Error),
}

/// What a round did, for who observes it.
fn round_of(jobs: &[Job], spool: Duration, index: Duration) -> Round {
    let has_record = |job: &&Job| job.work.prepared().is_some();
    let spool = jobs.iter().any(|job| has_record(&job)).then_some(spool);
    let is_message = |job: &&Job| matches!(job.work, Work::Accept(..));
    Round { jobs: jobs.len(), messages: jobs.iter().filter(is_message).count(), spool, index }
}

/// What is answered when a round is durable.
#[derive(Debug)]
enum Done {
    /// So many were changed.
    Changed(usize),
    /// The message is in the queue.
    Committed(QueueId),
    /// Nothing is to be said.
    Nothing,
    /// The lot is settled.
    Settled(Settled),
}

/// Whether the committer goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    /// It ends.
    End,
    /// It goes on.
    GoOn,
}

impl Committer {
    /// Opens the store and starts the thread.
    pub(crate) fn start(
        settings: QueueSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Handle, OpenError> {
        Self::start_with(settings, clock, Opener::default())
    }

    /// The same with an index of one's own.
    pub(crate) fn start_with(
        settings: QueueSettings,
        clock: Arc<dyn Clock>,
        opener: Opener,
    ) -> Result<Handle, OpenError> {
        let store = Store::lock(&settings.dir, opener)?;
        let shared = Arc::new(Shared::new(settings, clock, store.number()));
        let mut committer = Self {
            segments: Segments::new(shared.paths.clone(), shared.settings.segment_size, 0),
            shared: Arc::clone(&shared),
            store,
            engine: None,
            ledger: Ledger::empty(),
            sidecars: Sidecars::default(),
            stuck: HashSet::new(),
            search: None,
            finished_bodies: Vec::new(),
            pending: Vec::new(),
            last_tick: Instant::now(),
        };
        committer.open()?;
        let (jobs, line) = channel();
        let thread = thread::Builder::new().name("queue-committer".to_owned());
        thread
            .spawn(move || committer.run(&line))
            .map_err(|source| OpenError::Io { path: shared.settings.dir.clone(), source })?;
        Ok(Handle::new(shared, jobs))
    }

    /// Opens the store; an index that turns out to be damaged is built anew.
    fn open(&mut self) -> Result<(), OpenError> {
        let mut tries = 0..2;
        loop {
            let recovered = self.store.recover(self.shared.clock.now())?;
            match self.take_over(recovered) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_damage() && tries.next().is_some() => {
                    self.store.rebuild_next();
                }
                Err(error) => return Err(self.store.index_error(error)),
            }
        }
    }

    /// Makes a store that was opened the one in use.
    fn take_over(&mut self, recovered: Recovered) -> Result<(), EngineError> {
        let Recovered { engine, ledger, next_segment } = recovered;
        self.ledger = ledger;
        self.segments = Segments::new(
            self.shared.paths.clone(),
            self.shared.settings.segment_size,
            next_segment,
        );
        self.shared.ids.start_after(self.ledger.row.reserved);
        self.shared.read_destinations(engine.as_ref())?;
        self.reserve_ids(engine.as_ref())?;
        self.publish_totals();
        self.engine = Some(Arc::clone(&engine));
        self.shared.set_engine(Some(engine));
        self.shared.set_health(self.space());
        self.shared.wake.notify_waiters();
        Ok(())
    }

    /// Works until the queue is closed or nobody is left to ask.
    fn run(mut self, line: &Receiver<Job>) {
        let _closed_at_last = CloseAtLast(Arc::clone(&self.shared));
        loop {
            let flow = match line.recv_timeout(TICK) {
                Ok(job) => self.round(collect(job, line)),
                Err(RecvTimeoutError::Timeout) => Flow::GoOn,
                Err(RecvTimeoutError::Disconnected) => Flow::End,
            };
            if flow == Flow::End {
                return self.close(line);
            }
            if self.engine.is_some() && self.last_tick.elapsed() >= TICK {
                self.last_tick = Instant::now();
                self.tick();
            }
            if self.engine.is_none() && self.reopen(line) == Flow::End {
                return self.close(line);
            }
        }
    }

    /// Does a round of work and answers.
    fn round(&mut self, mut jobs: Vec<Job>) -> Flow {
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

    /// Writes the records, then the index: when this returns without error, all is durable.
    fn write(&mut self, jobs: &[Job]) -> Result<(Vec<Done>, Effects), RoundError> {
        let begun = Instant::now();
        let places = self.write_records(jobs)?;
        let spool = begun.elapsed();
        let Some(engine) = self.engine.clone() else {
            return Err(EngineError::Damaged("no index is open".to_owned()).into());
        };
        let later = Later {
            now: self.shared.clock.now(),
            retry: self.shared.tuning().retry,
            jitter: Jitter::at(0.5),
        };
        let mut batch = Batch::new(engine.as_ref(), &mut self.ledger);
        let mut done = Vec::with_capacity(jobs.len());
        for (job, place) in jobs.iter().zip(places) {
            let later = Later { jitter: Jitter::random(), ..later };
            done.push(plan(&mut batch, &job.work, place, later, self.shared.now())?);
        }
        batch.mark(self.segments.end());
        let (changes, effects) = batch.seal()?;
        let begun = Instant::now();
        engine.commit(changes)?;
        let index = begun.elapsed();
        for job in jobs {
            if let Work::Edit(Edit::Shelve(key, _), _) = &job.work {
                self.shared.shelves.changed(key);
            }
        }
        if let Some(observer) = self.shared.observer.get() {
            observer.committed(round_of(jobs, spool, index));
        }
        Ok((done, effects))
    }

    /// Writes the records of all messages that the jobs bring, and makes them durable.
    fn write_records(&mut self, jobs: &[Job]) -> io::Result<Vec<Option<Place>>> {
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            places.push(job.work.prepared().map(|message| self.write_record(message)).transpose()?);
        }
        self.segments.sync()?;
        if places.contains(&Some(Place::Big)) {
            sync_dir(&self.shared.paths.big_dir())?;
        }
        Ok(places)
    }

    /// Writes one record.
    fn write_record(&mut self, message: &Prepared) -> io::Result<Place> {
        match &message.body {
            PreparedBody::Memory(body) => {
                self.segments.append(&[&message.header.encode(), &message.envelope, body])
            }
            PreparedBody::File(file) => {
                let path = self.shared.paths.big(message.header.id);
                match fs::rename(&file.0, &path) {
                    // A settlement that waited for the store has been here before.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {}
                    renamed => renamed?,
                }
                Ok(Place::Big)
            }
        }
    }

    /// Tells everybody what has become durable.
    fn answer(&mut self, jobs: Vec<Job>, done: Vec<Done>, effects: Effects) {
        self.publish(effects);
        for (job, done) in jobs.into_iter().zip(done) {
            match (job.work, done) {
                (Work::Accept(_, answer), Done::Committed(id)) => {
                    drop(answer.send(Ok(Committed::durable(id))));
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
        self.shared.wake.notify_waiters();
    }

    /// Tells the table of destinations that a lease has ended.
    fn give_back(&self, settlement: &Settlement) {
        self.shared.destinations().give_back(&settlement.destination, settlement.lot, None);
    }

    /// Does what a durable batch makes right: sidecars, due lots, files of finished messages.
    fn publish(&mut self, effects: Effects) {
        {
            let mut table = self.shared.destinations();
            for (destination, due) in &effects.due {
                table.note(destination, *due);
            }
        }
        self.publish_totals();
        self.write_sidecars(&effects);
        self.finished_bodies.extend(effects.finished_bodies);
    }

    /// Says how much is in the queue.
    fn publish_totals(&self) {
        let row = &self.ledger.row;
        self.shared.set_totals(Totals {
            messages: row.messages,
            recipients: row.recipients,
            bytes: row.bytes,
        });
    }

    /// Writes to the sidecars what is settled; an error costs no mail, only a second sending if
    /// the index is lost as well.
    fn write_sidecars(&mut self, effects: &Effects) {
        let mut by_file = std::collections::BTreeMap::new();
        for (place, id, recipient) in &effects.settled {
            if *place == Place::Big && effects.finished_bodies.contains(id) {
                continue;
            }
            let path = self.shared.paths.sidecar(*id, *place);
            by_file.entry(path).or_insert_with(Vec::new).push((*id, *recipient));
        }
        let finished: Vec<_> = effects.finished_bodies.iter().map(|id| body_entry(*id)).collect();
        if !finished.is_empty() {
            by_file.insert(self.shared.paths.unlinked(), finished);
        }
        for (path, entries) in by_file {
            if let Err(error) = self.sidecars.append(path.clone(), &entries) {
                tracing::warn!(path = %path.display(), %error, "sidecar not written");
            }
        }
    }
}

/// Says that the queue is closed when the committer ends, even by a panic.
#[derive(Debug)]
struct CloseAtLast(Arc<Shared>);

impl Drop for CloseAtLast {
    fn drop(&mut self) {
        if self.0.health() != Health::Closed {
            tracing::error!("committer ended unexpectedly: the queue is closed");
        }
        self.0.set_health(Health::Closed);
        self.0.set_engine(None);
    }
}

/// Takes all work that waits, within the limits of a round.
fn collect(first: Job, line: &Receiver<Job>) -> Vec<Job> {
    let mut size = first.work.size();
    let mut jobs = vec![first];
    while jobs.len() < ROUND_JOBS && size < ROUND_BYTES {
        let Ok(job) = line.try_recv() else { break };
        size = size.saturating_add(job.work.size());
        jobs.push(job);
    }
    jobs
}

/// Enters one job's changes into the batch.
fn plan(
    batch: &mut Batch<'_>,
    work: &Work,
    place: Option<Place>,
    later: Later,
    now: u64,
) -> Result<Done, EngineError> {
    match work {
        Work::Accept(message, _) => {
            add(batch, message, place)?;
            Ok(Done::Committed(message.header.id))
        }
        Work::Settle(settlement, _) => {
            batch.tell_of_delay(settlement.lot, &settlement.told)?;
            let settled = batch.settle(
                settlement.lot,
                &settlement.recipients,
                &settlement.outcomes,
                later,
            )?;
            if let Some(bounce) = &settlement.bounce {
                add(batch, bounce, place)?;
            }
            Ok(Done::Settled(settled))
        }
        Work::Edit(edit, _) => plan_edit(batch, edit, place, now).map(Done::Changed),
        Work::Close(_) | Work::Damaged(..) => Ok(Done::Nothing),
    }
}

/// Enters an edit's changes into the batch; how many things it changes.
fn plan_edit(
    batch: &mut Batch<'_>,
    edit: &Edit,
    place: Option<Place>,
    now: u64,
) -> Result<usize, EngineError> {
    match edit {
        Edit::Delete(id, bounce) => {
            let changed = batch.delete(*id)?;
            if let Some(bounce) = bounce {
                add(batch, bounce, place)?;
            }
            Ok(changed.into())
        }
        Edit::Hold(id) => batch.set_state(*id, State::Held, now).map(usize::from),
        Edit::Quarantine(id, why) => {
            let state = State::Quarantined { why: why.clone() };
            batch.set_state(*id, state, now).map(usize::from)
        }
        Edit::Release(id) => batch.set_state(*id, State::Queued, now).map(usize::from),
        Edit::Retry(lots, due) => {
            let mut moved = 0_usize;
            for lot in lots {
                moved = moved.saturating_add(batch.reschedule(*lot, *due)?.into());
            }
            Ok(moved)
        }
        Edit::Shelve(key, value) => shelve(batch, key, value.as_deref()),
        Edit::Void(ids) => {
            let mut removed = 0_usize;
            for id in ids {
                removed = removed.saturating_add(batch.delete(*id)?.into());
            }
            Ok(removed)
        }
    }
}

/// Enters a new message into the batch.
fn add(batch: &mut Batch<'_>, message: &Prepared, place: Option<Place>) -> Result<(), EngineError> {
    let place =
        place.ok_or_else(|| EngineError::Damaged("a message without a record".to_owned()))?;
    let header = &message.header;
    batch.add(header.id, place, header.envelope_size, message.message.clone(), &message.lots)
}
