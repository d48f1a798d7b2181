//! The store in a database, as its users see it.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use async_trait::async_trait;
use clock::{Clock, SystemClock};
use mail::{Envelope, QueueId};
use store::rows::ENVELOPE_MOST;
use store::{
    Act, BeginError, BodyError, BodyReader, BodyWriter, Claimed, CommitError, Committed, Counts,
    Demand, Details, Duties, EntryId, Expected, Filter, Findings, Health, Inspect, KeptRecord,
    Matching, Observer, Owner, Ownership, Put, ReadValues, RecordNumber, Records, Settled,
    Settlement, SpaceGuard, Stats, Store, StoreError, StoreTuning, Summary, Totals, Turns, Values,
    Waiting, Which,
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::body;
use crate::body_writer::NewMessage;
use crate::claim;
use crate::committer::commit_all;
use crate::connect::Connector;
use crate::edits::{self, ask};
use crate::error::OpenError;
use crate::inspect;
use crate::node;
use crate::node_lock::NodeLock;
use crate::records;
use crate::schema;
use crate::settings::StoreSettings;
use crate::shared::Shared;
use crate::values;
use crate::verify::verify;
use crate::watch::{all_due, check_standby, watch};
use crate::work::{Change, Prepared, Settling, Work};

/// A store in a database, which other nodes may have open at the same time. Dropped without being closed, it
/// leaves what a killed process does.
#[derive(Debug)]
pub struct Postgres {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
    /// Until it is closed.
    lock: Mutex<Option<NodeLock>>,
}

impl Postgres {
    /// Opens the store, or makes it where the settings want that, and enters this process among the nodes
    /// that share it.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(settings: StoreSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let lock = NodeLock::take(&settings.dir)?;
        let connector = Arc::new(Connector::new(&settings));
        let session = connector.connect().await?;
        check_standby(&session, settings.standby).await?;
        let store = schema::open(&session, &settings.schema, settings.migrate).await?;
        let at = SystemClock.since_boot();
        let entered = node::register(&session, &settings, store, clock.as_ref(), &[]).await?;
        let (jobs, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(settings, clock, connector, jobs, entered));
        shared.renewed(at);
        let tallies = node::tallies(&session, shared.identity().slot).await?;
        shared.set_tallies(tallies.others, Some(tallies.own));
        shared.set_dead(&node::dead(&session).await?);
        values::learn_all(&shared, &session).await?;
        shared.turns.reopened(all_due(&session, &shared).await?);
        let mut tasks = JoinSet::new();
        tasks.spawn(commit_all(Arc::clone(&shared), waiting));
        tasks.spawn(watch(Arc::downgrade(&shared), session, (store, at)));
        Ok(Self { shared, tasks: Mutex::new(tasks), lock: Mutex::new(Some(lock)) })
    }

    /// Gives the committer work.
    fn send(&self, work: Work) -> bool {
        self.shared.jobs.send(work).is_ok()
    }
}

#[async_trait]
impl Store for Postgres {
    fn begin(
        &self,
        envelope: &Envelope,
        received_at: SystemTime,
        guard: SpaceGuard,
    ) -> Result<Box<dyn BodyWriter>, BeginError> {
        let id = self.shared.next_id(guard)?;
        let message = NewMessage::new(Arc::clone(&self.shared), id, received_at, envelope);
        if message.envelope_len() > u64::from(ENVELOPE_MOST) {
            return Err(BeginError::TooManyRecipients);
        }
        Ok(Box::new(message))
    }

    async fn commit(
        &self,
        message: Box<dyn BodyWriter>,
        owner: Owner,
    ) -> Result<Committed, CommitError> {
        if self.shared.health() == Health::Closed {
            return Err(CommitError::Closed);
        }
        let prepared = Box::new(prepare(message)?);
        let (id, recent) = (prepared.id, &self.shared.recent);
        if let ([(0, body)], 1) = (prepared.body.rest.as_slice(), prepared.body.pieces) {
            // Before the message is in the store, for it may be sent before its client has the answer.
            recent.keep(id, body, prepared.entries.len());
        }
        let (answer, answered) = oneshot::channel();
        let committed = if self.send(Work::Accept(prepared, owner, answer)) {
            // Whoever waits no longer is not told, and what turns out to be committed later is removed.
            match timeout(self.shared.settings.patience, answered).await {
                Ok(answer) => answer.unwrap_or(Err(CommitError::Closed)),
                Err(_elapsed) => Err(CommitError::Failed),
            }
        } else {
            Err(CommitError::Closed)
        };
        if committed.is_err() {
            recent.forget(id);
        }
        committed
    }

    async fn claim(&self, demand: &[Demand], limit: usize) -> Result<Vec<Claimed>, StoreError> {
        match self.shared.health() {
            Health::Closed => Err(StoreError::Closed),
            Health::Failed | Health::LowOnSpace | Health::Ready => {
                claim::claim(&self.shared, demand, limit).await
            }
        }
    }

    fn give_back(&self, destination: &str, entry: EntryId, until: u64) {
        self.shared.give_back(destination, entry, until);
    }

    fn end_rests(&self, destination: Option<&str>) {
        self.shared.held().end_rests(destination);
    }

    async fn settle(&self, settlement: Settlement) -> Result<Vec<Settled>, StoreError> {
        let Settlement { id, at: _, entries, notice } = settlement;
        let notice = match prepared(notice) {
            Ok(notice) => notice,
            Err(error) => {
                for one in &entries {
                    self.shared.abandon(&one.destination, one.entry);
                }
                return Err(error);
            }
        };
        let (answer, answered) = oneshot::channel();
        // It goes on when nobody waits for it.
        if !self.send(Work::Settle(Settling { id, entries, notice }, answer)) {
            return Err(StoreError::Closed);
        }
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    fn ownership(&self) -> watch::Receiver<Ownership> {
        self.shared.ownership.subscribe()
    }

    fn duties(&self) -> Duties {
        let is_eldest = self.shared.is_eldest.load(Ordering::Acquire);
        match (is_eldest, self.shared.ownership_now()) {
            (true, Ownership::Certain) => Duties::Here,
            (true, Ownership::Lost) | (false, _) => Duties::Elsewhere,
        }
    }

    async fn open_recipients(&self, id: QueueId) -> Result<usize, StoreError> {
        inspect::open_recipients(&self.shared, id).await
    }

    async fn change(&self, which: &Which, act: Act) -> Result<usize, StoreError> {
        edits::change(&self.shared, which, act).await
    }

    async fn delete(
        &self,
        id: QueueId,
        notice: Option<Box<dyn BodyWriter>>,
    ) -> Result<bool, StoreError> {
        let notice = prepared(notice)?;
        // Who has claimed it and looks for it afterwards finds that it is gone.
        self.shared.recent.forget(id);
        ask(&self.shared, Change::Delete(id, notice)).await.map(|changed| changed > 0)
    }

    fn tell(&self, turns: Arc<dyn Turns>) {
        self.shared.turns.attach(turns);
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        if self.shared.observer.set(observer).is_err() {
            tracing::debug!("the store is observed already");
        }
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn is_open(&self) -> bool {
        self.shared.health() == Health::Ready
    }

    fn totals(&self) -> Totals {
        self.shared.tally().totals()
    }

    fn waiting(&self) -> Waiting {
        self.shared.tally().waiting()
    }

    fn newest(&self) -> SystemTime {
        self.shared.identity().ids.last().given_at()
    }

    fn tune(&self, tuning: StoreTuning) {
        self.shared.set_longest_wait(tuning.longest_wait);
    }

    async fn verify(&self) -> Result<Findings, StoreError> {
        verify(&self.shared).await
    }

    async fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Release);
        let (closed, ended) = oneshot::channel();
        if !self.send(Work::Close(closed)) || ended.await.is_err() {
            tracing::debug!("the store was closed before");
            return;
        }
        let mut tasks = self.tasks.lock().await;
        tasks.shutdown().await;
        let left = async {
            let session = self.shared.connector.connect().await?;
            node::leave(&session, &self.shared.identity()).await
        };
        if let Err(error) = left.await {
            tracing::warn!(error = %error.in_full(), "node not taken out of the store");
        }
        for link in
            [&self.shared.reader, &self.shared.claimer, &self.shared.pieces, &self.shared.values]
        {
            link.close().await;
        }
        drop(self.lock.lock().await.take());
    }
}

#[async_trait]
impl Records for Postgres {
    async fn records(
        &self,
        after: RecordNumber,
        limit: usize,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        self.not_closed()?;
        records::records(&self.shared, after, limit).await
    }

    async fn forget_records(&self, through: RecordNumber) -> Result<(), StoreError> {
        self.not_closed()?;
        records::forget(&self.shared, through).await
    }

    fn last_record(&self) -> watch::Receiver<RecordNumber> {
        self.shared.records.watch()
    }
}

#[async_trait]
impl Inspect for Postgres {
    async fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        inspect::list(&self.shared, filter, after, limit).await
    }

    async fn show(&self, id: QueueId) -> Result<Option<Details>, StoreError> {
        inspect::show(&self.shared, id).await
    }

    async fn matching(&self, filter: &Filter) -> Result<Matching, StoreError> {
        inspect::matching(&self.shared, filter).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        inspect::counts(&self.shared).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let destinations = inspect::depths(&self.shared).await?;
        Ok(Stats { totals: self.totals(), destinations })
    }

    async fn body(&self, id: QueueId) -> Result<BodyReader, BodyError> {
        body::open(&self.shared, id).await
    }

    async fn quarantined_bytes(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        // A message that is quarantined keeps its pieces in its rows.
        Ok(Vec::new())
    }
}

#[async_trait]
impl ReadValues for Postgres {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.not_closed()?;
        values::get(&self.shared, namespace, key).await
    }

    async fn scan(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.not_closed()?;
        values::scan(&self.shared, namespace, after, limit).await
    }
}

#[async_trait]
impl Values for Postgres {
    fn version(&self, namespace: &str, key: &str) -> u64 {
        values::version(&self.shared, namespace, key)
    }

    async fn put(
        &self,
        namespace: &str,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError> {
        self.not_closed()?;
        values::put(&self.shared, (namespace, key), value, expected).await
    }

    async fn remove(&self, namespace: &str, key: &str) -> Result<bool, StoreError> {
        self.not_closed()?;
        values::remove(&self.shared, namespace, key).await
    }
}

impl Postgres {
    /// Refuses where the store is closed.
    fn not_closed(&self) -> Result<(), StoreError> {
        match self.shared.health() {
            Health::Closed => Err(StoreError::Closed),
            Health::Failed | Health::LowOnSpace | Health::Ready => Ok(()),
        }
    }
}

/// A message of this store, ready for the committer.
fn prepare(message: Box<dyn BodyWriter>) -> Result<Prepared, CommitError> {
    let message: Box<dyn Any> = message;
    let message: Box<NewMessage> = message.downcast().map_err(|_other| CommitError::Failed)?;
    message.prepare()
}

/// A notice, ready for the committer.
fn prepared(notice: Option<Box<dyn BodyWriter>>) -> Result<Option<Box<Prepared>>, StoreError> {
    let prepared = notice.map(prepare).transpose().map_err(|error| {
        tracing::error!(%error, "bounce not written");
        StoreError::Failed
    })?;
    Ok(prepared.map(Box::new))
}
