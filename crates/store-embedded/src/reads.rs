//! What is read of an index where that holds nobody up: of a store that is open, and of one that no
//! process has open.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use clock::millis;
use mail::QueueId;
use store::rows::{Depths, EntryRow};
use store::{Counts, Depth, Details, Filter, Matching, Stats, StoreError, Summary, Totals};

use crate::blocking::blocking;
use crate::counts;
use crate::filter;
use crate::index::{EngineError, Lookup, for_each};
use crate::inspect;
use crate::key::Key;
use crate::message_rows::reason;
use crate::namespace::NamespaceRows;
use crate::spool::Paths;

/// Who has an index, and says what belongs to it.
pub(crate) trait IndexReader: Clone + Send + Sync + 'static {
    /// Reads the index.
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError>,
    ) -> Result<T, StoreError>;

    /// The store's files.
    fn paths(&self) -> &Paths;

    /// The time now.
    fn now(&self) -> SystemTime;

    /// How much is in the store.
    fn totals(&self) -> Totals;
}

/// Reads on a thread that may wait for the disk.
pub(crate) async fn read<T: Send + 'static>(
    reader: &impl IndexReader,
    read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, StoreError> {
    let reader = reader.clone();
    blocking(move || reader.read(read)).await?
}

/// A page of the messages that meet `filter`.
pub(crate) async fn list(
    reader: &impl IndexReader,
    filter: &Filter,
    after: Option<QueueId>,
    limit: usize,
) -> Result<Vec<Summary>, StoreError> {
    let (filter, now) = (filter.clone(), reader.now());
    read(reader, move |engine| inspect::list(engine, &filter, after, limit, now)).await
}

/// A message in full.
pub(crate) async fn show(
    reader: &impl IndexReader,
    id: QueueId,
) -> Result<Option<Details>, StoreError> {
    let paths = reader.paths().clone();
    read(reader, move |engine| inspect::show(engine, &paths, id)).await
}

/// How many messages meet `filter`.
pub(crate) async fn matching(
    reader: &impl IndexReader,
    filter: &Filter,
) -> Result<Matching, StoreError> {
    let (filter, now) = (filter.clone(), reader.now());
    read(reader, move |engine| filter::matching(engine, &filter, now)).await
}

/// How many messages are in each state.
pub(crate) async fn counts(reader: &impl IndexReader) -> Result<Counts, StoreError> {
    let now = millis(reader.now());
    read(reader, move |engine| counts::counts(engine, now)).await
}

/// What is queued for each destination.
pub(crate) async fn stats(reader: &impl IndexReader) -> Result<Stats, StoreError> {
    let now = reader.now();
    let destinations = read(reader, move |engine| depths(engine, now)).await?;
    Ok(Stats { totals: reader.totals(), destinations })
}

/// How much is queued for each destination, the one with most entries first.
fn depths(engine: &dyn Lookup, now: SystemTime) -> Result<Vec<Depth>, EngineError> {
    let mut depths = Depths::at(now);
    for_each(engine, Key::first(b'L'), &Key::end(b'L'), |key, value| {
        depths.add(key.entry_id()?, &EntryRow::decode(&value)?)?;
        Ok(())
    })?;
    depths.sorted().finish(|entry, which| reason(engine, entry, Some(which)))
}

/// The files of quarantined bytes.
pub(crate) async fn quarantined_bytes(
    reader: &impl IndexReader,
) -> io::Result<Vec<(PathBuf, u64)>> {
    let paths = reader.paths().clone();
    blocking(move || paths.quarantined()).await.map_err(io::Error::other)?
}

/// A page of the values in a namespace.
pub(crate) async fn scan(
    reader: &impl IndexReader,
    namespace: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let rows = NamespaceRows::new(namespace);
    let from = rows.after(after)?;
    read(reader, move |engine| rows.scan(engine, from, limit)).await
}
