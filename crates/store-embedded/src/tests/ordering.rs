//! The index knows nothing that the spool could still lose.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::index::{Engine, EngineError, Lookup, Row, SledEngine, Write, WriteRef};
use crate::key::Key;
use crate::recovery::Opener;
use crate::rows::StoreRow;
use crate::spool::segments::{Append, Maker};

/// What is known of the disk.
#[derive(Debug, Default)]
struct Disk {
    /// How much of each segment is synced.
    synced: Mutex<BTreeMap<String, u64>>,
    /// How often the index was flushed.
    written: AtomicUsize,
    /// How often with a mark beyond what was synced.
    early: AtomicUsize,
    /// How often segments were synced.
    syncs: AtomicUsize,
    /// What the next sync waits for.
    gate: Mutex<Option<Receiver<()>>>,
}

#[derive(Debug)]
struct WatchedSegment {
    file: Box<dyn Append>,
    name: String,
    size: u64,
    disk: Arc<Disk>,
}

impl Append for WatchedSegment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += u64::try_from(bytes.len()).unwrap();
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        let gate = self.disk.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            // Until the other end is gone.
            let _opened = gate.recv();
        }
        self.file.sync()?;
        self.disk.synced.lock().unwrap().insert(self.name.clone(), self.size);
        Ok(())
    }
}

#[derive(Debug)]
struct WatchedEngine {
    sled: SledEngine,
    disk: Arc<Disk>,
}

impl Lookup for WatchedEngine {
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        self.sled.find(key)
    }

    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError> {
        self.sled.scan(from, until, limit)
    }
}

impl Engine for WatchedEngine {
    fn commit(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        self.sled.commit(writes)
    }

    fn flush(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        for (_, value) in writes.iter().filter(|(key, _)| **key == Key::store()) {
            let row = StoreRow::decode(value.unwrap()).unwrap();
            let name = format!("seg-{:08x}", row.mark_segment);
            let synced = self.disk.synced.lock().unwrap().get(&name).copied().unwrap_or(0);
            self.disk.early.fetch_add((row.mark_offset > synced).into(), Ordering::SeqCst);
            self.disk.written.fetch_add(1, Ordering::SeqCst);
        }
        self.sled.flush(writes)
    }
}

fn opener(disk: &Arc<Disk>) -> Opener {
    let (of_index, of_segments) = (Arc::clone(disk), Arc::clone(disk));
    let segments = Maker::default();
    Opener {
        index: Arc::new(move |dir| {
            let sled = SledEngine::open(dir)?;
            Ok(Arc::new(WatchedEngine { sled, disk: Arc::clone(&of_index) }))
        }),
        segments: Maker(Arc::new(move |path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let file = (segments.0)(path)?;
            Ok(Box::new(WatchedSegment { file, name, size: 0, disk: Arc::clone(&of_segments) }))
        })),
    }
}

/// A queue whose syncs and flushes are watched.
async fn watched(disk: &Arc<Disk>) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::new(start()));
    let (opener, settings) = (opener(disk), settings(dir.path()));
    let store = open_with(settings, &clock, opener).await.unwrap();
    let queue = over(&store, &clock);
    Bench { dir, store, desk: Desk { clock, queue } }
}

#[tokio::test]
async fn clients_who_hand_in_mail_while_the_disk_is_busy_share_the_next_sync() {
    let disk = Arc::new(Disk::default());
    let bench = Arc::new(watched(&disk).await);
    let accept = || {
        let bench = Arc::clone(&bench);
        async move { bench.accept(&["a@one.example"], b"x").await }
    };
    let mut clients = tokio::task::JoinSet::new();
    let before = disk.syncs.load(Ordering::SeqCst);
    let (gate, opens) = channel();
    *disk.gate.lock().unwrap() = Some(opens);
    clients.spawn(accept());
    until(|| disk.syncs.load(Ordering::SeqCst) == before + 1).await;
    for _ in 0..20 {
        clients.spawn(accept());
    }
    until(|| bench.store.handle.waiting_jobs() == 21).await;
    drop(gate);
    assert_eq!(clients.join_all().await.len(), 21);
    assert_eq!(disk.syncs.load(Ordering::SeqCst), before + 2);
}

#[tokio::test]
async fn attempts_reach_the_index_only_when_their_journal_is_synced() {
    let disk = Arc::new(Disk::default());
    let bench = watched(&disk).await;
    bench.accept(&["a@one.example"], b"x").await;
    let attempts = async {
        while disk.written.load(Ordering::SeqCst) < 4 {
            let lease = bench.lease().await.unwrap();
            let outcome = vec![deferred("later")];
            let settled = bench.queue.settle(lease, outcome, None).await.unwrap();
            bench.clock.set(settled.next_attempt.unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), attempts).await.unwrap();
    assert_eq!(disk.early.load(Ordering::SeqCst), 0);
}
