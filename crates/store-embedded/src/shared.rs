//! What the committer and all handles share.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use clock::{Clock, millis};
use mail::QueueId;
use store::{
    BeginError, Due, EntryId, Health, HealthCell, IdSource, Observer, Ownership, RecentBodies,
    RecordNumber, SpaceGuard, StoreError, StoreTuning, Subscription, Totals, Waiting,
};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::blocking::ShortReads;
use crate::claims::{Claims, SLICE};
use crate::index::{EngineError, Lookup};
use crate::key::{DuePosition, Key};
use crate::namespace::Versions;
use crate::settings::StoreSettings;
use crate::spool::Paths;
use crate::work::{Edit, Job, Work};

/// How long an entry rests that was claimed for nothing.
const REST: Duration = Duration::from_secs(30);

/// How many jobs may wait for the committer.
const LINE_LENGTH: usize = 2048;

/// The engine in use.
#[derive(Debug, Default)]
struct Current {
    /// How many engines there have been, so that news of an old one's damage are known as old.
    number: u64,
    engine: Option<Arc<dyn Lookup>>,
}

/// What all parts of an open queue share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What it was opened with.
    pub(crate) settings: StoreSettings,
    /// What of that counts by now.
    tuning: RwLock<StoreTuning>,
    pub(crate) paths: Paths,
    pub(crate) clock: Arc<dyn Clock>,
    /// The store's number, which is in every record.
    pub(crate) store: u64,
    pub(crate) ids: IdSource,
    /// What observes each group.
    pub(crate) observer: OnceLock<Arc<dyn Observer>>,
    /// Which values have changed.
    pub(crate) versions: Versions,
    /// Bodies that need not be read from the disk.
    pub(crate) recent: RecentBodies,
    engine: RwLock<Current>,
    /// Always certain: nobody else opens the store while this process has it.
    pub(crate) ownership: watch::Sender<Ownership>,
    /// The number of the last delivery record that a power cut does not take away.
    pub(crate) last_record: watch::Sender<RecordNumber>,
    claims: Mutex<Claims>,
    /// Where what becomes due goes.
    pub(crate) turns: Subscription,
    health: HealthCell,
    totals: Mutex<Totals>,
    waiting: Mutex<Waiting>,
}

impl Shared {
    /// The parts of a queue that is not open yet.
    pub(crate) fn new(settings: StoreSettings, clock: Arc<dyn Clock>, store: u64) -> Self {
        Self {
            paths: Paths::new(settings.dir.clone()),
            tuning: RwLock::new(settings.tuning()),
            settings,
            clock,
            store,
            ids: IdSource::after(QueueId::from_number(0)),
            observer: OnceLock::new(),
            versions: Versions::new(),
            recent: RecentBodies::default(),
            engine: RwLock::new(Current::default()),
            ownership: watch::Sender::new(Ownership::Certain),
            last_record: watch::Sender::new(0),
            claims: Mutex::default(),
            turns: Subscription::default(),
            health: HealthCell::new(Health::Failed),
            totals: Mutex::new(Totals::default()),
            waiting: Mutex::new(Waiting::NOBODY),
        }
    }

    /// The time now, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis(self.clock.now())
    }

    /// What may change while the queue is open, as it is now.
    pub(crate) fn tuning(&self) -> StoreTuning {
        *self.tuning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what may change while the queue is open.
    pub(crate) fn tune(&self, tuning: StoreTuning) {
        *self.tuning.write().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    /// The engine and its number, unless the store has failed.
    fn engine(&self) -> Result<(Arc<dyn Lookup>, u64), StoreError> {
        let current = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        match (&current.engine, self.health()) {
            (Some(engine), _) => Ok((Arc::clone(engine), current.number)),
            (None, Health::Closed) => Err(StoreError::Closed),
            (None, Health::Failed | Health::LowOnSpace | Health::Ready) => Err(StoreError::Failed),
        }
    }

    /// Puts an engine in place, or takes it away.
    pub(crate) fn set_engine(&self, engine: Option<Arc<dyn Lookup>>) {
        let mut current = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        current.number = current.number.saturating_add(1);
        let before = std::mem::replace(&mut current.engine, engine);
        drop(current);
        // A write that failed may have been made, and an index rebuilt may have lost values.
        self.versions.all_changed();
        drop(before);
    }

    /// The number of the engine in use.
    pub(crate) fn engine_number(&self) -> u64 {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).number
    }

    /// Whether there is an engine.
    pub(crate) fn is_open(&self) -> bool {
        self.engine().is_ok()
    }

    /// What is claimed.
    pub(crate) fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store is open again: these destinations have entries.
    pub(crate) fn reopened(&self, due: Vec<Due>) {
        self.claims().start_again();
        self.turns.reopened(due);
    }

    /// Entries are due that may be new.
    pub(crate) fn note(&self, due: &[Due]) {
        let mut claims = self.claims();
        for Due { destination, at } in due {
            claims.note(destination, *at);
        }
        drop(claims);
        if !due.is_empty() {
            self.turns.due(due);
        }
    }

    /// A claim has ended with a settlement. Whoever decides the turns hears of that before the entry
    /// can be claimed again: it would take the end of this claim for the end of the next one.
    pub(crate) fn settled(&self, destination: &str, entry: EntryId) {
        if let Some(turns) = self.turns.attached() {
            turns.settled(destination, entry);
        }
        self.release(destination, entry, None);
    }

    /// A claim has ended of which nothing has come; the entry rests.
    pub(crate) fn abandon(&self, destination: &str, entry: EntryId) {
        let at = self.clock.now().checked_add(REST).map_or(u64::MAX, millis);
        if let Some(turns) = self.turns.attached() {
            turns.settled(destination, entry);
            turns.due(&[Due { destination: destination.to_owned(), at }]);
        }
        self.release(destination, entry, Some(at));
    }

    /// A claim has ended; the entry rests until `rest` if it was not settled.
    pub(crate) fn release(&self, destination: &str, entry: EntryId, rest: Option<u64>) {
        let again = self.claims().release(destination, entry, rest);
        if let (Some(turns), Some(at)) = (self.turns.attached(), again) {
            turns.due(&[Due { destination: destination.to_owned(), at }]);
        }
    }

    /// Every destination that has entries, and when the first is due: one look into the due index for
    /// each.
    pub(crate) fn due_destinations(engine: &dyn Lookup) -> Result<Vec<Due>, EngineError> {
        let (mut found, mut from) = (Vec::new(), Key::first(b'D'));
        while let Some((key, _)) = engine.first(&from, &Key::end(b'D'))? {
            let entry = key.due_entry()?;
            from = Key::after_destination(&entry.destination);
            found.push(Due { destination: entry.destination, at: entry.due });
        }
        Ok(found)
    }

    /// Whether the queue takes and gives mail.
    pub(crate) fn health(&self) -> Health {
        self.health.get()
    }

    /// Says how the queue is.
    pub(crate) fn set_health(&self, health: Health) {
        if self.health.set(health)
            && let Some(turns) = self.turns.attached()
        {
            turns.health_changed();
        }
    }

    /// How much is in the queue.
    pub(crate) fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how much is in the queue.
    pub(crate) fn set_totals(&self, totals: Totals) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
    }

    /// What recipients wait for.
    pub(crate) fn waiting(&self) -> Waiting {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what recipients wait for.
    pub(crate) fn set_waiting(&self, waiting: Waiting) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// A new id, if the queue takes mail.
    pub(crate) fn next_id(&self, guard: SpaceGuard) -> Result<QueueId, BeginError> {
        self.health().admits(guard)?;
        self.ids.next(self.clock.now()).ok_or(BeginError::Failed)
    }

    /// Reads the due index of a destination from a place on: a slice, or all there is.
    pub(crate) fn read_due(
        engine: &dyn Lookup,
        destination: &str,
        from: DuePosition,
    ) -> Result<Vec<DuePosition>, EngineError> {
        let from = Key::due(destination, from.due, from.entry);
        let rows = engine.scan(&from, &Key::after_destination(destination), SLICE)?;
        Ok(rows.iter().map(|(key, _)| key.due_position()).collect::<Result<_, _>>()?)
    }
}

/// A way to reach the committer; when the last one is dropped the committer ends.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    pub(crate) short_reads: ShortReads,
}

impl Handle {
    /// A handle to the committer that reads the other end of `jobs`.
    pub(crate) fn new(shared: Arc<Shared>, jobs: Sender<Job>) -> Self {
        let room = Arc::new(Semaphore::new(LINE_LENGTH));
        Self { shared, jobs, room, short_reads: ShortReads::default() }
    }

    /// Asks the committer and waits for the answer; none where it has ended.
    pub(crate) async fn ask<T, E>(
        &self,
        work: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Work,
    ) -> Option<Result<T, E>> {
        let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { work: work(answer), _room: Some(room) }).ok()?;
        answered.await.ok()
    }

    /// How many have asked and are not answered yet.
    #[cfg(test)]
    pub(crate) fn waiting_jobs(&self) -> usize {
        LINE_LENGTH.saturating_sub(self.room.available_permits())
    }

    /// Changes what is in the queue.
    pub(crate) async fn edit(&self, edit: Edit) -> Result<usize, StoreError> {
        self.ask(|answer| Work::Edit(edit, answer)).await.unwrap_or(Err(StoreError::Closed))
    }

    /// Tells the committer something without waiting.
    pub(crate) fn tell(&self, edit: Edit) {
        let (answer, _) = oneshot::channel();
        self.send(Work::Edit(edit, answer));
    }

    /// Reads the index; damage is reported to the committer, which has it rebuilt.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError>,
    ) -> Result<T, StoreError> {
        let (engine, number) = self.shared.engine()?;
        read(engine.as_ref()).map_err(|error| {
            if error.is_damage() {
                self.send(Work::Damaged(error.to_string(), number));
            }
            error.into()
        })
    }

    /// Sends work that nobody waits for.
    fn send(&self, work: Work) {
        if self.jobs.send(Job { work, _room: None }).is_err() {
            tracing::debug!("the committer has ended");
        }
    }
}
