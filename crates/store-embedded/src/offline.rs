//! A store that no process has open, to be looked at: nothing in its directory is changed.
//!
//! sled writes when it opens, and a killed process leaves an index that lags behind the journal. So
//! a copy of the index is opened, outside of the queue, and brought up to date there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use clock::Clock;
use mail::QueueId;
use store::{
    BodyError, BodyReader, Counts, Details, Filter, IndexError, Inspect, Matching, ReadValues,
    Stats, StoreError, Summary, Totals,
};

use crate::blocking::blocking;
use crate::error::OpenError;
use crate::index::{EngineError, Lookup, SledEngine};
use crate::key::Key;
use crate::namespace::{self, NamespaceRows};
use crate::offline::copy::IndexCopy;
use crate::reads::{self, IndexReader};
use crate::recovery::{check, read_number, replay};
use crate::rows::StoreRow;
use crate::spool::Paths;
use crate::store_lock::StoreLock;
use crate::{body, message_rows};

mod copy;

/// How much stays free where the copy of the index lies: the disk may be the queue's own.
pub(crate) const KEPT_FREE: u64 = 512 << 20;

/// The queue as it lies on disk while no process has it open; clones are handles to the same one.
///
/// As long as there is one, no process can open the queue. What it says is what the next start of
/// the relay would find, as long as that finds the index whole.
#[derive(Clone, Debug)]
pub struct Offline {
    looked_at: Arc<LookedAt>,
}

/// What is read offline.
#[derive(Debug)]
struct LookedAt {
    /// Closed before its files are removed.
    engine: SledEngine,
    row: StoreRow,
    rest: AtRest,
    clock: Arc<dyn Clock>,
}

/// A store that is kept from being opened, and a copy of its index.
#[derive(Debug)]
pub(crate) struct AtRest {
    pub(crate) paths: Paths,
    /// The store's number.
    pub(crate) store: u64,
    copy: IndexCopy,
    /// None where no process has ever locked it: a copy that was made without that file.
    _lock: Option<StoreLock>,
}

impl Offline {
    /// Looks at the queue in `dir`. The index is copied to the system's directory for temporary
    /// files; blocks until the copy is up to date.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; a process that has the queue open is one, a damaged index another.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_in(dir, clock, &std::env::temp_dir(), KEPT_FREE)
    }

    /// The same with the copy in `scratch`, where so many bytes stay free.
    pub(crate) fn open_in(
        dir: &Path,
        clock: Arc<dyn Clock>,
        scratch: &Path,
        kept_free: u64,
    ) -> Result<Self, OpenError> {
        let paths = Paths::new(dir.to_path_buf());
        let damaged = |source| OpenError::Damaged { dir: dir.to_path_buf(), source };
        if let Some(why) = absence(&paths) {
            // Whether there is a queue at all is the first question.
            read_number(&paths)?;
            return Err(damaged(IndexError::new(EngineError::Damaged(why.to_owned()))));
        }
        let rest = AtRest::take(dir, scratch, kept_free)?;
        let (engine, row) = rest.read_index().map_err(|error| {
            if error.is_damage() {
                return damaged(IndexError::new(error));
            }
            OpenError::Index { dir: dir.to_path_buf(), source: IndexError::new(error) }
        })?;
        Ok(Self { looked_at: Arc::new(LookedAt { engine, row, rest, clock }) })
    }

    /// How much is in the store, without looking into it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let StoreRow { messages, recipients, bytes, .. } = self.looked_at.row;
        Totals { messages, recipients, bytes }
    }
}

impl IndexReader for Offline {
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Lookup) -> Result<T, EngineError>,
    ) -> Result<T, StoreError> {
        read(&self.looked_at.engine).map_err(|error| {
            if error.is_damage() {
                StoreError::Damaged(IndexError::new(error))
            } else {
                error.into()
            }
        })
    }

    fn paths(&self) -> &Paths {
        &self.looked_at.rest.paths
    }

    fn now(&self) -> SystemTime {
        self.looked_at.clock.now()
    }

    fn totals(&self) -> Totals {
        Self::totals(self)
    }
}

#[async_trait]
impl Inspect for Offline {
    async fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        reads::list(self, filter, after, limit).await
    }

    async fn show(&self, id: QueueId) -> Result<Option<Details>, StoreError> {
        reads::show(self, id).await
    }

    async fn matching(&self, filter: &Filter) -> Result<Matching, StoreError> {
        reads::matching(self, filter).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        reads::counts(self).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        reads::stats(self).await
    }

    async fn body(&self, id: QueueId) -> Result<BodyReader, BodyError> {
        let this = self.clone();
        let open = move || {
            let AtRest { paths, store, .. } = &this.looked_at.rest;
            let find = || this.read(|engine| message_rows::message_row(engine, id));
            body::open_at_rest((paths, *store), id, find)
        };
        blocking(open).await?
    }

    async fn quarantined_bytes(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        reads::quarantined_bytes(self).await
    }
}

#[async_trait]
impl ReadValues for Offline {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let base = NamespaceRows::new(namespace).key(key)?;
        reads::read(self, move |engine| namespace::read(engine, &base)).await
    }

    async fn scan(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        reads::scan(self, namespace, after, limit).await
    }
}

impl AtRest {
    /// Keeps processes from opening the store in `dir`, and copies its index to `scratch`, where so
    /// many bytes stay free.
    pub(crate) fn take(dir: &Path, scratch: &Path, kept_free: u64) -> Result<Self, OpenError> {
        let paths = Paths::new(dir.to_path_buf());
        let store = read_number(&paths)?;
        let lock = StoreLock::shared(&paths)?;
        let copy = IndexCopy::new(&paths.index(), scratch, kept_free)?;
        Ok(Self { paths, store, copy, _lock: lock })
    }

    /// Opens the copy as it is.
    pub(crate) fn open_copy(&self) -> Result<SledEngine, EngineError> {
        SledEngine::open(&self.copy.path())
    }

    /// Opens the copy and brings it up to date; after an end that was not in order it is compared
    /// with itself too, as it is at a start.
    fn read_index(&self) -> Result<(SledEngine, StoreRow), EngineError> {
        let engine = self.open_copy()?;
        let row = replay(&self.paths, self.store, &engine, store_row(&engine)?)?.row;
        if !self.paths.closed().exists() {
            check(&engine, &row)?;
        }
        Ok((engine, row))
    }
}

/// Why there is no index to be read, if there is none.
fn absence(paths: &Paths) -> Option<&'static str> {
    if paths.rebuilding().exists() {
        return Some("rebuilding it was interrupted");
    }
    (!paths.index().exists()).then_some("it is missing")
}

/// The store's row.
pub(crate) fn store_row(index: &dyn Lookup) -> Result<StoreRow, EngineError> {
    let row = index.find(&Key::store())?;
    let row = row.ok_or_else(|| EngineError::Damaged("it is empty".to_owned()))?;
    Ok(StoreRow::decode(&row)?)
}
