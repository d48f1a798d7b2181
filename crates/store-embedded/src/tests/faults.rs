//! A disk and an index that fail on demand.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Mutex;

use super::*;
use crate::index::{Engine, EngineError, Lookup, Row, SledEngine, Write, WriteRef, guarded};
use crate::key::Key;
use crate::recovery::Opener;
use crate::spool::segments::{Append, Maker};

/// How the disk behaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault {
    kind: Arc<AtomicU8>,
    /// How often the spool was to be synced.
    pub(super) syncs: Arc<AtomicUsize>,
    /// Held, it keeps syncs of the spool waiting; how they end is settled before.
    pub(super) gate: Arc<Mutex<()>>,
}

pub(super) const WELL: u8 = 0;
/// What is written to the spool, and the opening of the index, find no room.
pub(super) const FULL: u8 = 1;
/// What is written to the spool is written, and then reported as failed.
pub(super) const LOST: u8 = 2;
/// Reads say that the index is damaged.
pub(super) const DAMAGED: u8 = 3;
/// What is written to the spool, and the opening of the index, fail, and not for want of room.
pub(super) const BROKEN: u8 = 4;
/// What is written to the index finds no room; the spool is well.
pub(super) const INDEX_FULL: u8 = 5;
/// The next look into the index panics.
pub(super) const PANICS: u8 = 6;

impl Fault {
    pub(super) fn set(&self, fault: u8) {
        self.kind.store(fault, Ordering::SeqCst);
    }

    pub(super) fn is(&self, fault: u8) -> bool {
        self.kind.load(Ordering::SeqCst) == fault
    }

    /// The error that writing meets, if any.
    fn of_writing(&self) -> io::Result<()> {
        match self.kind.load(Ordering::SeqCst) {
            FULL | LOST => Err(io::ErrorKind::StorageFull.into()),
            BROKEN => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn opener(&self) -> Opener {
        let (fault, of_segments) = (self.clone(), self.clone());
        let segments = Maker::default();
        Opener {
            index: Arc::new(move |dir| {
                fault.of_writing()?;
                if !fault.is(PANICS) {
                    fault.set(WELL);
                }
                let sled = SledEngine::open(dir)?;
                Ok(Arc::new(FaultyEngine { sled, fault: fault.clone() }))
            }),
            segments: Maker(Arc::new(move |path| {
                let file = (segments.0)(path)?;
                Ok(Box::new(FaultySegment { file, fault: of_segments.clone() }))
            })),
        }
    }
}

#[derive(Debug)]
pub(super) struct FaultySegment {
    file: Box<dyn Append>,
    fault: Fault,
}

impl Append for FaultySegment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.fault.is(LOST) {
            self.fault.of_writing()?;
        }
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let result = self.fault.of_writing();
        self.fault.syncs.fetch_add(1, Ordering::SeqCst);
        let _open = self.fault.gate.blocking_lock();
        self.file.sync()?;
        result
    }
}

#[derive(Debug)]
pub(super) struct FaultyEngine {
    sled: SledEngine,
    fault: Fault,
}

impl Lookup for FaultyEngine {
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        guarded(|| {
            let was =
                self.fault.kind.compare_exchange(PANICS, WELL, Ordering::SeqCst, Ordering::SeqCst);
            assert!(was.is_err(), "a page is not where it should be");
            self.sled.find(key)
        })
    }

    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError> {
        if self.fault.is(DAMAGED) {
            return Err(EngineError::Damaged("a leaf does not match its checksum".to_owned()));
        }
        self.sled.scan(from, until, limit)
    }
}

impl Engine for FaultyEngine {
    fn commit(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        if self.fault.is(INDEX_FULL) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        self.sled.commit(writes)
    }

    fn flush(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        if self.fault.is(INDEX_FULL) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        self.sled.flush(writes)
    }
}

pub(super) async fn bench() -> (Bench, Fault) {
    bench_with_reserve(0).await
}

pub(super) async fn bench_with_reserve(reserve: u64) -> (Bench, Fault) {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    (open_faulty(dir, reserve, &fault).await, fault)
}

/// Opens the queue in `dir` on such a disk.
pub(super) async fn open_faulty(dir: TempDir, reserve: u64, fault: &Fault) -> Bench {
    let clock = Arc::new(SetClock::new(start()));
    let settings = StoreSettings { reserve, ..settings(dir.path()) };
    let opener = fault.opener();
    let store = open_with(settings, &clock, opener).await.unwrap();
    let queue = over(&store, &clock);
    Bench { dir, store, desk: Desk { clock, queue } }
}

/// Waits until the queue is as it should be.
pub(super) async fn reached(bench: &Bench, health: Health) {
    until(|| bench.queue.health() == health).await;
}

/// RFC 5321 §4.2.3: insufficient system storage, and RFC 3463's word for it.
pub(super) fn assert_no_room(reply: &Reply) {
    assert_eq!(reply.code().as_u16(), 452);
    assert_eq!(reply.enhanced().unwrap().to_string(), "4.3.1");
}
