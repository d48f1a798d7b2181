//! The store on this machine, as its users see it.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use clock::Clock;
use mail::{Envelope, QueueId};
use store::rows::ENVELOPE_MOST;
use store::{
    Act, BeginError, BodyError, BodyReader, BodyWriter, ClaimEnd, Claimed, CommitError, Committed,
    Counts, Demand, Details, Duties, EntryId, EntrySettlement, Expected, Filter, Findings, Health,
    Inspect, KeptRecord, Matching, Observer, Owner, Ownership, Put, ReadValues, RecordNumber,
    Records, Settled, Settlement, SpaceGuard, Stats, Store, StoreError, StoreTuning, Summary,
    Totals, Turns, Values, Waiting, Which,
};
use tokio::sync::watch;

use crate::body;
use crate::body_writer::NewMessage;
use crate::committer::Committer;
use crate::edits::change;
use crate::error::OpenError;
use crate::index::{EngineError, Lookup};
use crate::lookup::claim;
use crate::message_rows::message_row;
use crate::namespace::{self, NamespaceRows};
use crate::reads::{self, IndexReader};
use crate::records;
use crate::settings::StoreSettings;
use crate::shared::Handle;
use crate::spool::Paths;
use crate::verify::findings;
use crate::work::{Edit, Prepared, PreparedBody, Settling, Work};

/// A store in a directory of this machine, which one process has open at a time; clones are handles
/// to the same one.
#[derive(Clone, Debug)]
pub struct Embedded {
    pub(crate) handle: Arc<Handle>,
}

impl Embedded {
    /// Opens the store, or makes it; blocks until its index is whole.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; another process that has the store open is one.
    pub fn open(settings: StoreSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let handle = Committer::start(settings, clock)?;
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Reads a row of the index on a thread that may wait for the disk.
    async fn read_row<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let handle = Arc::clone(&self.handle);
        self.handle.short_reads.read(move || handle.read(read)).await?
    }
}

impl IndexReader for Arc<Handle> {
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError>,
    ) -> Result<T, StoreError> {
        Handle::read(self, read)
    }

    fn paths(&self) -> &Paths {
        &self.shared.paths
    }

    fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    fn totals(&self) -> Totals {
        self.shared.totals()
    }
}

#[async_trait]
impl Store for Embedded {
    fn begin(
        &self,
        envelope: &Envelope,
        received_at: SystemTime,
        guard: SpaceGuard,
    ) -> Result<Box<dyn BodyWriter>, BeginError> {
        let id = self.handle.shared.next_id(guard)?;
        let message = NewMessage::new(Arc::clone(&self.handle), id, received_at, envelope);
        match u32::try_from(message.envelope_len()) {
            Ok(length) if length <= ENVELOPE_MOST => Ok(Box::new(message)),
            Ok(_) | Err(_) => Err(BeginError::TooManyRecipients),
        }
    }

    async fn commit(
        &self,
        message: Box<dyn BodyWriter>,
        _owner: Owner,
    ) -> Result<Committed, CommitError> {
        let message = own(message).ok_or(CommitError::Failed)?;
        let prepared = Box::new(message.prepare().await?);
        let (id, recent) = (prepared.header.id, &self.handle.shared.recent);
        // Before the message is in the store, for it may be sent before its client has the answer.
        if let PreparedBody::Memory(body) = &prepared.body {
            recent.keep(id, body, prepared.entries.len());
        }
        let answer = self.handle.ask(|answer| Work::Accept(prepared, answer)).await;
        let answer = answer.unwrap_or(Err(CommitError::Closed));
        if answer.is_err() {
            recent.forget(id);
        }
        answer
    }

    async fn claim(&self, demand: &[Demand], limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let (mut left, mut claimed) = (limit, Vec::with_capacity(demand.len()));
        for one in demand {
            match claim(&self.handle, one, left) {
                Ok(found) => {
                    left = left.saturating_sub(found.entries.len());
                    claimed.push(found);
                }
                Err(error) => {
                    let now = self.handle.shared.now();
                    for (one, claimed) in demand.iter().zip(claimed) {
                        for entry in claimed.entries {
                            self.give_back(&one.destination, entry.id, now);
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(claimed)
    }

    fn give_back(&self, destination: &str, entry: EntryId, until: u64) {
        self.handle.shared.release(destination, entry, Some(until));
    }

    fn end_rests(&self, destination: Option<&str>) {
        self.handle.shared.claims().end_rests(destination);
    }

    async fn settle(&self, settlement: Settlement) -> Result<Vec<Settled>, StoreError> {
        let Settlement { id, at, entries, notice } = settlement;
        let mut abandoned = Abandoned { handle: &self.handle, entries };
        let notice = prepared(notice).await?;
        let asked = self.handle.ask(|answer| {
            let entries = std::mem::take(&mut abandoned.entries);
            Work::Settle(Settling { id, at, entries, notice }, answer)
        });
        let answer = asked.await;
        answer.unwrap_or(Err(StoreError::Closed))
    }

    fn ownership(&self) -> watch::Receiver<Ownership> {
        self.handle.shared.ownership.subscribe()
    }

    fn duties(&self) -> Duties {
        Duties::Here
    }

    async fn open_recipients(&self, id: QueueId) -> Result<usize, StoreError> {
        let row = self.read_row(move |engine| message_row(engine, id)).await?;
        let open = row.map_or(0, |row| row.open_recipients);
        Ok(usize::try_from(open).unwrap_or(usize::MAX))
    }

    async fn change(&self, which: &Which, act: Act) -> Result<usize, StoreError> {
        change(&self.handle, which, act).await
    }

    async fn delete(
        &self,
        id: QueueId,
        notice: Option<Box<dyn BodyWriter>>,
    ) -> Result<bool, StoreError> {
        let notice = prepared(notice).await?;
        // Who has claimed it and looks for it afterwards finds that it is gone.
        self.handle.shared.recent.forget(id);
        self.handle.edit(Edit::Delete(id, notice)).await.map(|changed| changed > 0)
    }

    fn tell(&self, turns: Arc<dyn Turns>) {
        self.handle.shared.turns.attach(turns);
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        if self.handle.shared.observer.set(observer).is_err() {
            tracing::debug!("the store is observed already");
        }
    }

    fn health(&self) -> Health {
        self.handle.shared.health()
    }

    fn is_open(&self) -> bool {
        self.handle.shared.is_open()
    }

    fn totals(&self) -> Totals {
        self.handle.shared.totals()
    }

    fn waiting(&self) -> Waiting {
        self.handle.shared.waiting()
    }

    fn newest(&self) -> SystemTime {
        self.handle.shared.ids.last().given_at()
    }

    fn tune(&self, tuning: StoreTuning) {
        self.handle.shared.tune(tuning);
    }

    async fn verify(&self) -> Result<Findings, StoreError> {
        let (paths, store) = (self.handle.shared.paths.clone(), self.handle.shared.store);
        reads::read(&self.handle, move |engine| findings(engine, &paths, store)).await
    }

    async fn close(&self) {
        let closed: Option<Result<(), StoreError>> = self.handle.ask(Work::Close).await;
        if closed.is_none() {
            tracing::debug!("the store was closed before");
        }
    }
}

#[async_trait]
impl Records for Embedded {
    async fn records(
        &self,
        after: RecordNumber,
        limit: usize,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        // What a power cut may take away has no number yet that counts.
        let last = *self.handle.shared.last_record.borrow();
        reads::read(&self.handle, move |engine| records::read(engine, after, last, limit)).await
    }

    async fn forget_records(&self, through: RecordNumber) -> Result<(), StoreError> {
        let last = *self.handle.shared.last_record.borrow();
        let through = through.min(last);
        while self.handle.edit(Edit::ForgetRecords(through)).await? > 0 {}
        Ok(())
    }

    fn last_record(&self) -> watch::Receiver<RecordNumber> {
        self.handle.shared.last_record.subscribe()
    }
}

#[async_trait]
impl Inspect for Embedded {
    async fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        reads::list(&self.handle, filter, after, limit).await
    }

    async fn show(&self, id: QueueId) -> Result<Option<Details>, StoreError> {
        reads::show(&self.handle, id).await
    }

    async fn matching(&self, filter: &Filter) -> Result<Matching, StoreError> {
        reads::matching(&self.handle, filter).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        reads::counts(&self.handle).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        reads::stats(&self.handle).await
    }

    async fn body(&self, id: QueueId) -> Result<BodyReader, BodyError> {
        body::open(Arc::clone(&self.handle), id).await
    }

    async fn quarantined_bytes(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        reads::quarantined_bytes(&self.handle).await
    }
}

#[async_trait]
impl ReadValues for Embedded {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let base = NamespaceRows::new(namespace).key(key)?;
        self.read_row(move |engine| namespace::read(engine, &base)).await
    }

    async fn scan(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        reads::scan(&self.handle, namespace, after, limit).await
    }
}

#[async_trait]
impl Values for Embedded {
    fn version(&self, namespace: &str, key: &str) -> u64 {
        self.handle.shared.versions.of(namespace::sum(namespace, key))
    }

    async fn put(
        &self,
        namespace: &str,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError> {
        let base = NamespaceRows::new(namespace).key(key)?;
        match self.handle.edit(Edit::PutValue(base, Some(value), expected)).await? {
            0 => Ok(Put::Changed),
            _ => Ok(Put::Written),
        }
    }

    async fn remove(&self, namespace: &str, key: &str) -> Result<bool, StoreError> {
        let base = NamespaceRows::new(namespace).key(key)?;
        let edit = Edit::PutValue(base, None, Expected::Anything);
        self.handle.edit(edit).await.map(|changed| changed > 0)
    }
}

/// Claims whose settlement has not reached the committer: they are given back.
#[derive(Debug)]
struct Abandoned<'a> {
    handle: &'a Handle,
    entries: Vec<EntrySettlement>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        for one in self.entries.iter().filter(|one| one.claim == ClaimEnd::Ends) {
            self.handle.shared.abandon(&one.destination, one.entry);
        }
    }
}

/// A message as this store has begun it; none where another one has.
fn own(message: Box<dyn BodyWriter>) -> Option<Box<NewMessage>> {
    let message: Box<dyn Any> = message;
    message.downcast().ok()
}

/// A notice, ready for the committer.
async fn prepared(
    notice: Option<Box<dyn BodyWriter>>,
) -> Result<Option<Box<Prepared>>, StoreError> {
    let Some(notice) = notice else { return Ok(None) };
    let notice = own(notice).ok_or(StoreError::Failed)?;
    match notice.prepare().await {
        Ok(prepared) => Ok(Some(Box::new(prepared))),
        Err(error) => {
            tracing::error!(%error, "bounce not written");
            Err(StoreError::Failed)
        }
    }
}
