//! Opening a store: what a crash left is put right, and a lost index is rebuilt.
//!
//! The index knows how far it has read the spool. What lies beyond is read at every start: first
//! the journal, then the messages that it does not know of. If the index is damaged, missing or in
//! disagreement with itself, all of the spool is read. Nothing in the spool is changed by that, and
//! no message is dropped that any file still holds.

use std::fmt::{self, Debug, Formatter};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mail::in_full;
use rustix::io::Errno;
use store::IndexError;

use crate::batch::{Batch, Ledger};
use crate::error::OpenError;
use crate::index::{Engine, EngineError, SledEngine, for_each};
use crate::key::Key;
use crate::records;
use crate::recovery::error::RecoveryError;
use crate::recovery::reindex::{End, Reindex, Span};
use crate::recovery::replay::Replayed;
use crate::rows::{SegmentRow, StoreRow};
use crate::spool::segments::Maker;
use crate::spool::{Mark, Paths, create_dir, replace, sync_dir, unlink};
use crate::store_lock::StoreLock;
use crate::waiting;

mod check;
mod error;
mod format;
mod reindex;
mod replay;
mod salvage;

pub(crate) use self::check::check;
pub(crate) use self::format::read_number;
pub(crate) use self::replay::replay;

/// What the names of damaged indexes begin with.
const DAMAGED: &str = "index.damaged-";

/// In the file that is there while an index is rebuilt, this stands before the name of the damaged one.
const ASIDE: &str = "aside ";

/// Opens the files of a store.
#[derive(Clone)]
pub(crate) struct Opener {
    /// Opens an index.
    pub(crate) index: Arc<dyn Fn(&Path) -> OpenedEngine + Send + Sync>,
    /// Makes segments.
    pub(crate) segments: Maker,
}

/// What opening an index gives.
pub(crate) type OpenedEngine = Result<Arc<dyn Engine>, EngineError>;

impl Debug for Opener {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

impl Default for Opener {
    fn default() -> Self {
        Self {
            index: Arc::new(|dir| Ok(Arc::new(SledEngine::open(dir)?))),
            segments: Maker::default(),
        }
    }
}

/// A store that this process alone may open.
#[derive(Debug)]
pub(crate) struct Store {
    paths: Paths,
    opener: Opener,
    lock: Option<StoreLock>,
    number: u64,
    /// Whether the index is known to be damaged.
    damaged: bool,
}

/// A store that was opened.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Its index.
    pub(crate) engine: Arc<dyn Engine>,
    /// Its numbers.
    pub(crate) ledger: Ledger,
    /// The first segment that no process has written to.
    pub(crate) next_segment: u32,
}

/// Whether the index can be used as it is.
#[derive(Debug)]
enum Condition {
    /// It can, once this span of the spool is read.
    Whole(Arc<dyn Engine>, Replayed, Span),
    /// It has to be rebuilt, and why.
    Damaged(String),
}

impl Store {
    /// Makes the store's directories and locks it.
    pub(crate) fn lock(dir: &Path, opener: Opener) -> Result<Self, OpenError> {
        let paths = Paths::new(dir.to_path_buf());
        create_dir(dir).map_err(|source| io_error(dir, source))?;
        let lock = StoreLock::alone(&paths)?;
        paths.create().map_err(|source| io_error(dir, source))?;
        clear_temporary(&paths).map_err(|source| io_error(dir, source))?;
        let number = format::store_number(&paths)?;
        Ok(Self { paths, opener, lock: Some(lock), number, damaged: false })
    }

    /// The store's number.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// What makes segments.
    pub(crate) fn segments(&self) -> Maker {
        self.opener.segments.clone()
    }

    /// Has the index rebuilt when the store is opened next.
    pub(crate) const fn rebuild_next(&mut self) {
        self.damaged = true;
    }

    /// Lets other processes open the store.
    pub(crate) fn unlock(&mut self) {
        self.lock = None;
    }

    /// An error of the index, with the store's directory.
    pub(crate) fn index_error(&self, source: EngineError) -> OpenError {
        OpenError::Index { dir: self.paths.root().to_path_buf(), source: IndexError::new(source) }
    }

    /// Opens the index, puts right what a crash left, or rebuilds it.
    pub(crate) fn recover(&mut self, now: SystemTime) -> Result<Recovered, OpenError> {
        let root = self.paths.root().to_path_buf();
        let closed = self.take_closed().map_err(|source| io_error(&root, source))?;
        let recovered = match self.condition(closed)? {
            Condition::Whole(engine, replayed, span) => {
                match self.catch_up(engine, replayed, now, span) {
                    Err(RecoveryError::Index(error)) if error.is_damage() => {
                        self.rebuild(&error.to_string(), now)
                    }
                    caught_up => caught_up,
                }
            }
            Condition::Damaged(why) => self.rebuild(&why, now),
        };
        let recovered = recovered.map_err(|error| match error {
            RecoveryError::Index(error) => self.index_error(error),
            RecoveryError::Spool(source) => io_error(&root, source),
        })?;
        self.damaged = false;
        Ok(recovered)
    }

    /// Writes that the store was closed in order, after so many groups.
    pub(crate) fn write_closed(&self, groups: u64) -> io::Result<()> {
        let length = fs::metadata(self.paths.index().join("db"))?.len();
        replace(&self.paths.closed(), format!("rounds {groups}\nlength {length}\n").as_bytes())
    }

    /// After how many groups the store was closed in order, if it was; from now on it is open.
    fn take_closed(&self) -> io::Result<Option<u64>> {
        let path = self.paths.closed();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => String::new(),
        };
        unlink(&path)?;
        sync_dir(self.paths.root())?;
        let length = fs::metadata(self.paths.index().join("db")).map_or(0, |file| file.len());
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        Ok(value("rounds ").filter(|_| value("length ") == Some(length)))
    }

    /// Opens the index and looks whether it can be used.
    fn condition(&self, closed: Option<u64>) -> Result<Condition, OpenError> {
        if self.damaged {
            return Ok(Condition::Damaged("it was found damaged in use".to_owned()));
        }
        if self.rebuild_mark().exists() {
            return Ok(Condition::Damaged("rebuilding it was interrupted".to_owned()));
        }
        let engine = match (self.opener.index)(&self.paths.index()) {
            Ok(engine) => engine,
            Err(error) if is_refusal(&error) => return Err(self.index_error(error)),
            Err(error) => return Ok(Condition::Damaged(error.to_string())),
        };
        match self.inspect(engine.as_ref(), closed) {
            Ok(Some((replayed, span))) => Ok(Condition::Whole(engine, replayed, span)),
            Ok(None) => Ok(Condition::Damaged("it is empty and the spool is not".to_owned())),
            Err(RecoveryError::Spool(source)) => Err(io_error(self.paths.root(), source)),
            Err(RecoveryError::Index(error)) if is_refusal(&error) => Err(self.index_error(error)),
            Err(RecoveryError::Index(error)) => Ok(Condition::Damaged(error.to_string())),
        }
    }

    /// The store's row by the journal and what else is to be read, if the index is whole; none if the
    /// index has lost everything.
    fn inspect(
        &self,
        engine: &dyn Engine,
        closed: Option<u64>,
    ) -> Result<Option<(Replayed, Span)>, RecoveryError> {
        let Some(row) = engine.find(&Key::store())? else {
            let is_new = self.paths.segments()?.is_empty()
                && self.paths.bigs()?.is_empty()
                && engine.first(&Key(Vec::new()), &Key(vec![u8::MAX]))?.is_none();
            return Ok(is_new.then(|| (Replayed::nothing(StoreRow::empty()), Span::Unread)));
        };
        let row = StoreRow::decode(&row).map_err(EngineError::from)?;
        if closed == Some(row.groups) {
            return Ok(Some((Replayed::nothing(row), Span::Unread)));
        }
        let mut replayed = replay(&self.paths, self.number, engine, row)?;
        replayed.waiting = Some(check(engine, &replayed.row)?);
        Ok(Some((replayed, Span::UnreadAndSettled)))
    }

    /// Reads what the index does not know yet.
    fn catch_up(
        &self,
        engine: Arc<dyn Engine>,
        replayed: Replayed,
        now: SystemTime,
        span: Span,
    ) -> Result<Recovered, RecoveryError> {
        let mut segments = std::collections::BTreeMap::new();
        for_each(engine.as_ref(), Key::first(b'G'), &Key::end(b'G'), |key, value| {
            segments.insert(key.segment_number()?, SegmentRow::decode(&value)?);
            Ok(())
        })?;
        let waiting = match replayed.waiting {
            Some(counted) => counted,
            None => waiting::read(engine.as_ref(), replayed.row.groups)?,
        };
        let ledger = Ledger { row: replayed.row, segments, waiting };
        self.reindex(engine, ledger, replayed, now, span)
    }

    /// Moves the index aside and builds a new one from the spool.
    fn rebuild(&self, why: &str, now: SystemTime) -> Result<Recovered, RecoveryError> {
        tracing::error!(why, "index damaged: rebuilding from spool");
        let mark = self.rebuild_mark();
        let aside = match self.free_name()? {
            // What an interrupted attempt left holds nothing that it did not find elsewhere.
            _ if mark.exists() => {
                fs::remove_dir_all(self.paths.index()).or_else(ignore_absence)?;
                self.moved_aside(&mark)
            }
            aside => {
                fs::rename(self.paths.index(), &aside).or_else(ignore_absence)?;
                Some(aside)
            }
        };
        let name = aside.as_deref().and_then(Path::file_name).unwrap_or_default();
        fs::write(&mark, format!("{why}\n{ASIDE}{}\n", name.to_string_lossy()))?;
        sync_dir(self.paths.root())?;
        let engine = (self.opener.index)(&self.paths.index())?;
        let known = aside.and_then(|aside| self.salvage(&aside, engine.as_ref()));
        let ledger = Ledger::empty();
        let replayed =
            Replayed { from: known.unwrap_or_default(), ..Replayed::nothing(ledger.row) };
        let recovered = self.reindex(engine, ledger, replayed, now, Span::Everything)?;
        records::go_on(recovered.engine.as_ref(), now)?;
        unlink(&mark)?;
        sync_dir(self.paths.root())?;
        tracing::error!(
            messages = recovered.ledger.row.messages,
            "index rebuilt: some recipients may be sent a message twice"
        );
        Ok(recovered)
    }

    /// Copies values out of a damaged index, as far as it can be read; up to where it knew the spool.
    fn salvage(&self, aside: &Path, engine: &dyn Engine) -> Option<Mark> {
        if !aside.exists() {
            return None;
        }
        let saved = (self.opener.index)(aside).and_then(|damaged| {
            let values = salvage::copy_values(damaged.as_ref(), engine)?;
            salvage::copy_records(damaged.as_ref(), engine)?;
            Ok((values, salvage::mark_of(damaged.as_ref())))
        });
        match saved {
            Ok((values, known)) => {
                tracing::info!(values, "policy cache recovered from damaged index");
                known
            }
            Err(error) => {
                tracing::warn!(
                    error = in_full(&error),
                    "policy cache not recovered from damaged index"
                );
                None
            }
        }
    }

    /// Reads a span of the spool into the index.
    fn reindex(
        &self,
        engine: Arc<dyn Engine>,
        ledger: Ledger,
        replayed: Replayed,
        now: SystemTime,
        span: Span,
    ) -> Result<Recovered, RecoveryError> {
        let store = (&self.paths, self.number);
        let mut reindex = Reindex::new(store, engine.as_ref(), ledger, replayed, now, span);
        reindex.run()?;
        let End { mut ledger, highest, last_segment } = reindex.finish();
        let last = self.paths.segments()?.last().copied().max(last_segment).unwrap_or(0);
        let next_segment = last.max(ledger.row.mark_segment).saturating_add(1);
        let mut batch = Batch::new(engine.as_ref(), &mut ledger);
        batch.mark((next_segment, 0));
        if let Some(highest) = highest {
            batch.reserve_ids(highest);
        }
        batch.seal()?.commit(engine.as_ref())?;
        Ok(Recovered { engine, ledger, next_segment })
    }

    /// The file that is there while the index is being rebuilt.
    fn rebuild_mark(&self) -> PathBuf {
        self.paths.rebuilding()
    }

    /// The damaged index that an interrupted attempt to build a new one moved aside.
    fn moved_aside(&self, mark: &Path) -> Option<PathBuf> {
        let text = fs::read_to_string(mark).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix(ASIDE))?;
        name.starts_with(DAMAGED).then(|| self.paths.root().join(name))
    }

    /// A name for a damaged index that no other one has.
    fn free_name(&self) -> io::Result<PathBuf> {
        let names = (1_u32..).map(|n| self.paths.root().join(format!("{DAMAGED}{n}")));
        names.into_iter().find(|name| !name.exists()).ok_or_else(|| io::Error::other("no name"))
    }
}

/// Whether the operating system refused, so that a new index would fare no better.
fn is_refusal(error: &EngineError) -> bool {
    match error {
        EngineError::Io(error) => {
            let is_refused = matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
            );
            // As long as other files are closed or memory is freed it may say otherwise.
            let is_short = matches!(
                Errno::from_io_error(error),
                Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN)
            );
            // sled says so when this process has not quite closed the index yet.
            is_refused || is_short || error.to_string().contains("could not acquire lock")
        }
        EngineError::Damaged(_) | EngineError::Malformed(_) | EngineError::ValueTooLong(_) => false,
    }
}

/// Unlinks what was being received when the last process ended. What this one receives stays, however
/// often it opens the store again.
fn clear_temporary(paths: &Paths) -> io::Result<()> {
    for entry in fs::read_dir(paths.tmp_dir())? {
        unlink(&entry?.path())?;
    }
    Ok(())
}

/// That something is not there is fine.
fn ignore_absence(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// An error of a file.
pub(crate) fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_path_buf(), source }
}
