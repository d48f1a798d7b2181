//! What a store promises: each trait is one side of it.
//!
//! Whatever may reach a disk or a database is async, and nothing here takes a closure: limits are
//! data. A future that is dropped may have done its work nevertheless.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mail::{Envelope, QueueId};
use tokio::sync::watch;

use crate::body_reader::BodyReader;
use crate::body_writer::BodyWriter;
use crate::claim::{Claimed, Demand};
use crate::committed::Committed;
use crate::entry_id::EntryId;
use crate::error::{BeginError, BodyError, CommitError, StoreError};
use crate::findings::Findings;
use crate::health::{Health, SpaceGuard, Totals};
use crate::observer::Observer;
use crate::query::{Act, Counts, Details, Filter, Matching, Stats, Summary, Which};
use crate::record::{KeptRecord, RecordNumber};
use crate::settled::Settled;
use crate::settlement::Settlement;
use crate::turns::Turns;
use crate::value::{Expected, Put};
use crate::waiting::Waiting;

/// Mail that is kept until it is settled.
#[async_trait]
pub trait Store: Inspect + Values + Records {
    /// Begins a message, which has its id from now on.
    ///
    /// # Errors
    ///
    /// [`BeginError`], whose [`reply`](BeginError::reply) says what to answer.
    fn begin(
        &self,
        envelope: &Envelope,
        received_at: SystemTime,
        guard: SpaceGuard,
    ) -> Result<Box<dyn BodyWriter>, BeginError>;

    /// Keeps a message that this store began: it is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`CommitError`]: nothing of the message is kept, and nobody may be told that it was taken.
    async fn commit(
        &self,
        message: Box<dyn BodyWriter>,
        owner: Owner,
    ) -> Result<Committed, CommitError>;

    /// Claims entries that are due, at most `limit`, and for each destination at most as many as are
    /// demanded of it. Nobody else has them until they are settled or given back, or their owner is
    /// gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read; nothing is claimed then.
    async fn claim(&self, demand: &[Demand], limit: usize) -> Result<Vec<Claimed>, StoreError>;

    /// Gives a claimed entry back that was not settled; it is not claimed again before `until`, in
    /// milliseconds since 1970.
    fn give_back(&self, destination: &str, entry: EntryId, until: u64);

    /// Lets the entries of `destination`, or of all, be claimed at once that were given back.
    fn end_rests(&self, destination: Option<&str>);

    /// Settles entries of one message: outcomes, the records of the attempts, the times of the next
    /// ones and the notice are kept together, or none of it. What is settled twice is settled once,
    /// and what was deleted meanwhile is no error: of both there is no record.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the entries then stay as they were. While the store has failed, a settlement
    /// waits until it is open again.
    async fn settle(&self, settlement: Settlement) -> Result<Vec<Settled>, StoreError>;

    /// Whether what was claimed is still this process's own: asked before the end of the data is
    /// sent.
    fn ownership(&self) -> watch::Receiver<Ownership>;

    /// Whether this process does what one is enough for of those that share the store, such as to send the
    /// reports of a day. That saves work and spares others: for a moment two may be told so, or none.
    fn duties(&self) -> Duties;

    /// How many recipients of a message are not settled; none of one that is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn open_recipients(&self, id: QueueId) -> Result<usize, StoreError>;

    /// Does `act` to what is meant, and says to how much: messages, or for [`Act::Retry`] entries.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; a part may have been done.
    async fn change(&self, which: &Which, act: Act) -> Result<usize, StoreError>;

    /// Removes a message, with a notice to its sender if one is given; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    async fn delete(
        &self,
        id: QueueId,
        notice: Option<Box<dyn BodyWriter>>,
    ) -> Result<bool, StoreError>;

    /// Has `turns` told of all that is due, and from now on of what becomes due; the first one who asks
    /// is told, no other.
    fn tell(&self, turns: Arc<dyn Turns>);

    /// Lets `observer` see every group from now on; only the first observer counts.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Whether the store takes and gives mail.
    fn health(&self) -> Health;

    /// Whether entries can be claimed: not while the store is closed or being opened again.
    fn is_open(&self) -> bool;

    /// How much is in the store, without looking into it.
    fn totals(&self) -> Totals;

    /// How many recipients wait for another attempt, by what the last one met, without looking into
    /// the store.
    fn waiting(&self) -> Waiting;

    /// The newest time that the store knows: when its last id was given, or 10 minutes later.
    fn newest(&self) -> SystemTime;

    /// Goes by these settings from now on.
    fn tune(&self, tuning: StoreTuning);

    /// Compares what is kept with itself. Reads all of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn verify(&self) -> Result<Findings, StoreError>;

    /// Ends the store in order: everything asked for before is done, nothing is taken afterwards.
    async fn close(&self);
}

/// What can be read by hand: of a store in use, and of one that no process has open.
#[async_trait]
pub trait Inspect: Debug + Send + Sync {
    /// Up to `limit` messages that meet `filter`, oldest first, after `after` if given.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError>;

    /// All about one message.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn show(&self, id: QueueId) -> Result<Option<Details>, StoreError>;

    /// How many messages meet `filter`. Reads the rows of all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn matching(&self, filter: &Filter) -> Result<Matching, StoreError>;

    /// Counts all messages. Reads the rows of all; not for every question.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// How much is queued for each destination. Reads all entries.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// The header and body of a message, checked before the last byte is given.
    ///
    /// # Errors
    ///
    /// [`BodyError`]; where the store is in use, a damaged message is also quarantined.
    async fn body(&self, id: QueueId) -> Result<BodyReader, BodyError>;

    /// Bytes that should have been messages and are not: files and their lengths.
    ///
    /// # Errors
    ///
    /// Where they are could not be read.
    async fn quarantined_bytes(&self) -> std::io::Result<Vec<(PathBuf, u64)>>;
}

/// Small values for the rest of the program, to be read.
#[async_trait]
pub trait ReadValues: Debug + Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it cannot be told whether there is one.
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` keys and values in the order of their keys, after `after` if given.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the values could not be read.
    async fn scan(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}

/// Small durable values for the rest of the program.
#[async_trait]
pub trait Values: ReadValues {
    /// A number that is another one whenever the value at `key` may have changed, for those who keep
    /// what they made of a value: read before the value, it says later whether to read again.
    fn version(&self, namespace: &str, key: &str) -> u64;

    /// Writes the value at `key` if what is there is what was expected; it is durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the value is as it was before.
    async fn put(
        &self,
        namespace: &str,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError>;

    /// Removes the value at `key`; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the value is as it was before.
    async fn remove(&self, namespace: &str, key: &str) -> Result<bool, StoreError>;
}

/// The records of what was settled, until somebody has them elsewhere.
#[async_trait]
pub trait Records: Debug + Send + Sync {
    /// Up to `limit` durable records, oldest first, with numbers above `after`. A number that is not
    /// there never comes later if a greater one was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    async fn records(
        &self,
        after: RecordNumber,
        limit: usize,
    ) -> Result<Vec<KeptRecord>, StoreError>;

    /// Removes all records up to `through`, which are kept elsewhere by now. Those whose removal is
    /// lost in a power cut are there again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; some may have been removed.
    async fn forget_records(&self, through: RecordNumber) -> Result<(), StoreError>;

    /// The number of the last durable record; 0 before the first. A settlement may have returned a
    /// moment before its record is durable.
    fn last_record(&self) -> watch::Receiver<RecordNumber>;
}

/// Who may have the entries of a new message first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// Whoever asks first.
    Anybody,
    /// This process, which has room for them: a store that several share need not ask the others.
    ThisProcess,
}

/// Whether claims count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ownership {
    /// They do.
    Certain,
    /// Others may have taken over what was claimed: nothing may be sent any more.
    Lost,
}

/// Who does what one process is enough for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duties {
    /// Another one.
    Elsewhere,
    /// This one.
    Here,
}

/// What of a store's settings may change while it is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreTuning {
    /// New mail is refused while the file system has fewer bytes free than this.
    pub min_free: u64,
    /// The longest wait there is between two attempts: what is due later than that is due now.
    pub longest_wait: Duration,
}
