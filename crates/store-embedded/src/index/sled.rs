//! sled 0.34.7 as the engine, used so that a commit survives a power cut.
//!
//! sled's own `flush` asks the kernel for `sync_file_range`, which writes neither the file's size
//! nor the disk's cache. So everything written ends with an `fdatasync` of sled's file through a second
//! handle. Values stay short, because long ones become files that sled never syncs. `flush_async`
//! is not used: it deadlocks under load. sled panics on some damage; a panic is an error here.
//! A thread of sled's may hold the file's lock for a moment after the last handle is gone.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::index::engine::{Engine, EngineError, Lookup, Row, Write, WriteRef};
use crate::key::{Key, VALUE_MOST};

/// How much of the index sled keeps in memory, by its size on disk: in memory it is about eight times
/// that, and a million queued messages are to need less than 512 MiB.
const CACHE_BYTES: u64 = 24 << 20;

/// How often the lock of sled's file is asked for before sled itself is left to say that it is held.
const LOCK_TRIES: u32 = 1000;

/// How long each of these waits for the next.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The index in sled's files.
#[derive(Debug)]
pub(crate) struct SledEngine {
    db: sled::Db,
    /// A second handle on sled's file, for `fdatasync`.
    file: File,
}

impl SledEngine {
    /// Opens or creates the index in `dir`, in a thread of its own so that a panic is an error.
    pub(crate) fn open(dir: &Path) -> Result<Self, EngineError> {
        let dir = dir.to_path_buf();
        let probe = thread::Builder::new().name("index-open".to_owned());
        match probe.spawn(move || Self::open_here(&dir))?.join() {
            Ok(opened) => opened,
            Err(panic) => Err(EngineError::Damaged(panic_text(panic.as_ref()))),
        }
    }

    /// Opens the index and makes what opening wrote durable.
    fn open_here(dir: &Path) -> Result<Self, EngineError> {
        wait_for_lock(&dir.join("db"))?;
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.open()?;
        let file = File::open(dir.join("db"))?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        File::open(dir)?.sync_all()?;
        Ok(Self { db, file })
    }

    /// Makes the writes, durably.
    fn commit_here(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) if value.len() > VALUE_MOST => {
                    return Err(EngineError::ValueTooLong(value.len()));
                }
                Some(value) => batch.insert(key.0, value),
                None => batch.remove(key.0),
            }
        }
        self.db.apply_batch(batch)?;
        self.sync()
    }

    /// Makes the writes one by one, and then all of them durable.
    fn flush_here(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        for (key, value) in writes {
            match value {
                Some(value) if value.len() > VALUE_MOST => {
                    return Err(EngineError::ValueTooLong(value.len()));
                }
                Some(value) => drop(self.db.insert(&key.0, *value)?),
                None => drop(self.db.remove(&key.0)?),
            }
        }
        self.sync()
    }

    /// Makes everything durable that was written.
    fn sync(&self) -> Result<(), EngineError> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }
}

impl Lookup for SledEngine {
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        guarded(|| Ok(self.db.get(&key.0)?.map(|value| value.to_vec())))
    }

    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError> {
        guarded(|| {
            let range = self.db.range(from.0.as_slice()..until.0.as_slice());
            let rows = range.take(limit).map(|row| {
                let (key, value) = row?;
                Ok((Key(key.to_vec()), value.to_vec()))
            });
            rows.collect()
        })
    }
}

impl Engine for SledEngine {
    fn commit(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        guarded(|| self.commit_here(writes))
    }

    fn flush(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        guarded(|| self.flush_here(writes))
    }
}

/// Waits until nobody holds the lock of sled's file. The queue's own lock keeps other relays out, so
/// whoever does is on the way out: a thread of sled's, or a process that is just being started.
fn wait_for_lock(file: &Path) -> io::Result<()> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for _try in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return file.unlock(),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Turns a panic inside sled into an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(EngineError::Damaged(panic_text(panic.as_ref()))))
}

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic in the index".to_owned())
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.to_string())
            }
            sled::Error::Io(error) => Self::Io(error),
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. } => Self::Damaged(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key(text.as_bytes().to_vec())
    }

    #[test]
    fn what_was_committed_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        engine.commit(vec![(key("a"), Some(vec![1])), (key("b"), Some(vec![2]))]).unwrap();
        engine.commit(vec![(key("a"), None), (key("c"), Some(vec![3]))]).unwrap();
        drop(engine);
        let engine = SledEngine::open(dir.path()).unwrap();
        let rows = engine.scan(&key("a"), &key("z"), 9).unwrap();
        assert_eq!(rows, [(key("b"), vec![2]), (key("c"), vec![3])]);
        assert_eq!(engine.first(&key("c"), &key("z")).unwrap(), Some((key("c"), vec![3])));
        assert_eq!(engine.find(&key("a")).unwrap(), None);
    }

    #[test]
    fn a_value_that_could_become_a_file_of_its_own_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        let refused = engine.commit(vec![(key("a"), Some(vec![0; VALUE_MOST + 1]))]);
        assert!(matches!(refused, Err(EngineError::ValueTooLong(_))));
        assert_eq!(engine.find(&key("a")).unwrap(), None);
    }

    #[test]
    fn a_panic_inside_the_engine_is_damage() {
        let said = guarded::<()>(|| panic!("lost a page")).unwrap_err();
        assert!(matches!(&said, EngineError::Damaged(why) if why == "lost a page"), "{said}");
        let said = guarded::<()>(|| panic!("lost page {}", 7)).unwrap_err();
        assert!(matches!(&said, EngineError::Damaged(why) if why == "lost page 7"), "{said}");
    }

    #[test]
    fn garbage_in_place_of_the_index_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        drop(SledEngine::open(dir.path()).unwrap());
        fs::write(dir.path().join("conf"), b"\x00\x01garbage").unwrap();
        assert!(SledEngine::open(dir.path()).is_err());
    }

    #[test]
    fn an_index_opens_once_the_lock_of_its_file_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        drop(SledEngine::open(dir.path()).unwrap());
        let file = File::open(dir.path().join("db")).unwrap();
        file.lock().unwrap();
        let path = dir.path().to_path_buf();
        let opening = thread::spawn(move || SledEngine::open(&path).map(drop));
        thread::sleep(LOCK_PAUSE * 5);
        file.unlock().unwrap();
        opening.join().unwrap().unwrap();
    }
}
