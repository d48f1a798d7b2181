//! The committer: the one thread that writes.
//!
//! It takes all work that waits, appends the messages and what becomes of the index to the spool,
//! syncs that once, and only then lets readers see it and answers everybody. While one sync runs,
//! the next group collects. Deliveries alone are not waited for: they are synced with the next
//! group, or a moment later. A thread of its own flushes the index. The first error acknowledges
//! nobody: the store is closed and opened again, and settlements wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{fs, io, thread};

use clock::Clock;
use mail::QueueId;
use store::{ClaimEnd, CommitGroup, Committed, Health, Totals};
use tokio::time::Instant;

use crate::batch::{Batch, Effects, Ledger, Sealed};
use crate::committer::closing::CloseAtLast;
use crate::committer::compaction::Search;
use crate::committer::forward::Forward;
use crate::committer::planning::{Done, plan};
use crate::committer::writer::{Flush, Writer};
use crate::error::OpenError;
use crate::index::{Change, EngineError, Overlay};
use crate::key::Key;
use crate::record::{Header, Kind};
use crate::recovery::{Opener, Recovered, Store};
use crate::rows::Place;
use crate::settings::StoreSettings;
use crate::shared::{Handle, Shared};
use crate::spool::segments::Segments;
use crate::spool::settled_log::SettledLogs;
use crate::spool::unlinked::body_entry;
use crate::spool::{journal, sync_dir};
use crate::work::{Edit, Job, Prepared, PreparedBody, Settling, Work};

mod closing;
mod compaction;
mod forward;
mod housekeeping;
mod planning;
mod reopen;
mod writer;

/// A commit group takes no more jobs than this.
const GROUP_JOBS: usize = 1024;

/// A commit group takes no more bytes than about this.
const GROUP_BYTES: usize = 8 << 20;

/// How often housekeeping is done, and how far the index's engine may stay behind while it keeps up.
const TICK: Duration = Duration::from_secs(1);

/// How long a delivery may wait until it is durable: after a power cut, what was delivered within
/// this time is delivered again.
const SYNC_LAG: Duration = Duration::from_millis(50);

/// The committer's own state.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// What opens the store again; it holds the lock.
    store: Store,
    index: Option<Arc<Overlay>>,
    /// Flushes the index.
    writer: Option<Writer>,
    ledger: Ledger,
    segments: Segments,
    settled_logs: SettledLogs,
    /// Segments that cannot be emptied, because a record in them is damaged.
    stuck: HashSet<u32>,
    /// The search for what is alive in a nearly finished segment.
    search: Option<Search>,
    /// The search for entries that are due too late.
    forward: Forward,
    /// Messages that are gone, whose own files are still to be unlinked.
    finished_bodies: Vec<QueueId>,
    /// Work that waits for the store to be opened again.
    pending: Vec<Job>,
    last_tick: Instant,
    /// Since when something in the spool is not synced.
    unsynced_since: Option<Instant>,
}

/// A commit group failed.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] EngineError),
    /// The spool could not be written.
    #[error("the spool could not be written")]
    Spool(#[from] io::Error),
}

/// When a commit group has to be durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Durable {
    /// Before anybody is told of it.
    First,
    /// Soon: what is lost with it is done again.
    Soon,
}

impl Durable {
    /// What these jobs ask for: who hands in mail, or changes something, waits for the disk. What
    /// became of an attempt is found out again if it is lost, unless a bounce tells of it.
    fn of(jobs: &[Job]) -> Self {
        let is_first = |job: &Job| match &job.work {
            Work::Accept(..) | Work::Edit(..) => true,
            Work::Settle(settlement, _) => settlement.notice.is_some(),
            Work::Close(_) | Work::Damaged(..) => false,
        };
        if jobs.iter().any(is_first) { Self::First } else { Self::Soon }
    }
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
        let mut committer = Self {
            segments: segments(&shared, &store, 0),
            forward: Forward::default(),
            shared,
            store,
            index: None,
            writer: None,
            ledger: Ledger::empty(),
            settled_logs: SettledLogs::default(),
            stuck: HashSet::new(),
            search: None,
            finished_bodies: Vec::new(),
            pending: Vec::new(),
            last_tick: Instant::now(),
            unsynced_since: None,
        };
        committer.open()?;
        Ok(committer)
    }

    /// Opens the store; an index that turns out to be damaged is built anew.
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

    /// Makes a store that was opened the one in use.
    fn take_over(&mut self, recovered: Recovered) -> Result<(), EngineError> {
        let Recovered { engine, ledger, next_segment } = recovered;
        self.ledger = ledger;
        self.segments = segments(&self.shared, &self.store, next_segment);
        self.shared.ids.start_after(self.ledger.row.reserved);
        let due = Shared::due_destinations(engine.as_ref())?;
        if let Some(reserved) = self.shared.ids.wants(self.shared.clock.now()) {
            let mut batch = Batch::new(engine.as_ref(), &mut self.ledger);
            batch.reserve_ids(reserved);
            batch.seal()?.commit(engine.as_ref())?;
            self.shared.ids.reserve(reserved);
        }
        self.publish_totals();
        let index = Arc::new(Overlay::of(engine));
        self.writer = Some(Writer::start(Arc::clone(&index), self.ledger.mark())?);
        self.index = Some(Arc::clone(&index));
        self.shared.set_engine(Some(index));
        self.shared.set_health(self.space());
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
            if self.index.is_none() && self.reopen(line) == Flow::End {
                return self.close(line);
            }
        }
    }

    /// How long to wait for work.
    fn patience(&self) -> Duration {
        self.unsynced_since.map_or(TICK, |since| SYNC_LAG.saturating_sub(since.elapsed()))
    }

    /// Does what a commit group has left, and what is due once a second.
    fn follow_up(&mut self) {
        if self.index.is_none() {
            return;
        }
        let is_tick = self.last_tick.elapsed() >= TICK;
        // Housekeeping takes its time, and unlinks what was delivered.
        let is_late = |since: Instant| is_tick || since.elapsed() >= SYNC_LAG;
        let synced = if self.unsynced_since.is_some_and(is_late) { self.sync() } else { Ok(()) };
        let when = if is_tick { Flush::Now } else { Flush::WhenMuch };
        if let Err(error) = synced.map_err(GroupError::from).and_then(|()| self.flush(when)) {
            return self.fail(Vec::new(), &error);
        }
        if is_tick {
            self.last_tick = Instant::now();
            self.tick();
        }
    }

    /// Makes durable what has been written to the spool.
    fn sync(&mut self) -> io::Result<()> {
        self.segments.sync()?;
        self.unsynced_since = None;
        Ok(())
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
        let places = self.write_records(jobs)?;
        let index = self.index()?;
        self.forward.seen(self.shared.clock.now());
        let mut batch = Batch::new(index.as_ref(), &mut self.ledger);
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
        let effects = self.conclude(sealed, durable)?;
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

    /// The index, unless it is closed.
    fn index(&self) -> Result<Arc<Overlay>, EngineError> {
        self.index.clone().ok_or_else(|| EngineError::Damaged("no index is open".to_owned()))
    }

    /// Journals what becomes of the index, makes it durable with all that was appended before, and
    /// lets readers see it.
    fn conclude(&mut self, sealed: Sealed, durable: Durable) -> Result<Effects, GroupError> {
        let Sealed { row, mut changes, effects } = sealed;
        let body = journal::encode(&row, &changes);
        let now = self.shared.clock.now();
        let header = Header::of_changes(self.shared.store, row.groups, now, &body);
        self.segments.append(&[&header.encode_as(Kind::Changes), &body])?;
        match durable {
            Durable::First => self.sync()?,
            Durable::Soon => {
                self.segments.write_out()?;
                self.unsynced_since = self.unsynced_since.or_else(|| Some(Instant::now()));
            }
        }
        self.segments.keep();
        let row = &mut self.ledger.row;
        (row.mark_segment, row.mark_offset) = self.segments.end();
        // It may hold no message, and goes all the same when it is of no use any more.
        self.ledger.segments.entry(row.mark_segment).or_default();
        changes.push((Key::store(), Change::Put(row.encode())));
        self.index()?.apply(changes);
        Ok(effects)
    }

    /// Writes the records of all messages that the jobs bring; what has a file of its own is durable
    /// then.
    fn write_records(&mut self, jobs: &[Job]) -> io::Result<Vec<Option<Place>>> {
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            places.push(job.work.prepared().map(|message| self.write_record(message)).transpose()?);
        }
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

    /// Does what a durable batch makes right: settled logs, due entries, files of finished messages.
    fn publish(&mut self, effects: Effects) {
        self.shared.note(&effects.due);
        self.publish_totals();
        self.write_settled_logs(&effects);
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
        self.shared.set_waiting(self.ledger.waiting);
    }

    /// Writes to the settled logs what is settled; an error costs no mail, only a second sending if
    /// the index is lost as well.
    fn write_settled_logs(&mut self, effects: &Effects) {
        let mut by_file = std::collections::BTreeMap::new();
        for (place, id, recipient) in &effects.settled {
            if *place == Place::Big && effects.finished_bodies.contains(id) {
                continue;
            }
            let path = self.shared.paths.settled_log(*id, *place);
            by_file.entry(path).or_insert_with(Vec::new).push((*id, *recipient));
        }
        let finished: Vec<_> = effects.finished_bodies.iter().map(|id| body_entry(*id)).collect();
        if !finished.is_empty() {
            by_file.insert(self.shared.paths.unlinked(), finished);
        }
        for (path, entries) in by_file {
            if let Err(error) = self.settled_logs.append(path.clone(), &entries) {
                tracing::warn!(path = %path.display(), %error, "settled log not written");
            }
        }
    }
}

/// The segments that records are written to, from `next` on.
fn segments(shared: &Shared, store: &Store, next: u32) -> Segments {
    Segments::new(shared.paths.clone(), store.segments(), shared.settings.segment_size, next)
}

/// Takes all work that waits, within the limits of a commit group.
fn collect(first: Job, line: &Receiver<Job>) -> Vec<Job> {
    let mut size = first.work.size();
    let mut jobs = vec![first];
    while jobs.len() < GROUP_JOBS && size < GROUP_BYTES {
        let Ok(job) = line.try_recv() else { break };
        size = size.saturating_add(job.work.size());
        jobs.push(job);
    }
    jobs
}
