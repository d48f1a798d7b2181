//! The queue as a whole, on real files.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SetClock};
use mail::*;
use queue::conformance::{
    Desk, bounced, deferred, delivered_outcome, envelope, own_message, read, reason, start,
    submitter,
};
use queue::{Lease, Queue, QueueSettings, RetrySchedule};
use smtp::*;
use store::conformance::{copy_dir, pattern};
use store::*;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::committer::Committer;
use crate::recovery::Opener;
use crate::*;

mod delivering;
mod editing;
mod failing;
mod faults;
mod journaling;
mod keeping;
mod looking;
mod ordering;
mod recording;
mod recovering;
mod taking;
mod unlinking;
mod upgrading;
mod values;
mod verifying;
mod waiting;

/// A queue in a directory of its own, with a clock that is moved by hand.
struct Bench {
    dir: TempDir,
    store: Embedded,
    desk: Desk,
}

impl Deref for Bench {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut StoreSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        Self::open(dir, settings, Arc::new(SetClock::new(start()))).await
    }

    async fn open(dir: TempDir, settings: StoreSettings, clock: Arc<SetClock>) -> Self {
        let (store, queue) = open_both(settings, &clock).await.unwrap();
        Self { dir, store, desk: Desk { clock, queue } }
    }

    /// Closes the queue and opens it again.
    async fn restart(self) -> Self {
        self.queue.close().await;
        self.opened_again().await
    }

    /// Leaves the queue as a process that is killed would, and opens what is on disk.
    async fn crash(self) -> Self {
        self.copied(|_| {}).await
    }

    /// A copy of what is on disk, changed and then opened.
    async fn copied(&self, change: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), dir.path());
        change(dir.path());
        let settings = settings(dir.path());
        Self::open(dir, settings, Arc::clone(&self.clock)).await
    }

    /// The index as it is now, to be put back later.
    fn index(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&self.path("index"), copy.path());
        copy
    }

    /// The names of all segments there are.
    fn segments(&self) -> Vec<String> {
        let names = files_in(&self.path("spool"));
        names.into_iter().filter(|n| n.starts_with("seg-") && !n.ends_with(".settled")).collect()
    }

    /// Opens the queue that was closed before.
    async fn opened_again(self) -> Self {
        let Self { dir, desk: Desk { clock, .. }, .. } = self;
        let settings = settings(dir.path());
        Self::open(dir, settings, clock).await
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

fn settings(dir: &Path) -> StoreSettings {
    let longest_wait = RetrySchedule::default().longest();
    StoreSettings { reserve: 0, min_free: 0, longest_wait, ..StoreSettings::new(dir) }
}

async fn open(settings: StoreSettings, clock: &Arc<SetClock>) -> Result<Queue, OpenError> {
    Ok(open_both(settings, clock).await?.1)
}

async fn open_both(
    settings: StoreSettings,
    clock: &Arc<SetClock>,
) -> Result<(Embedded, Queue), OpenError> {
    let store = open_with(settings, clock, Opener::default()).await?;
    let queue = over(&store, clock);
    Ok((store, queue))
}

/// Opens a store with an index of the test's own.
async fn open_with(
    settings: StoreSettings,
    clock: &Arc<SetClock>,
    opener: Opener,
) -> Result<Embedded, OpenError> {
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    let start = move || Committer::start_with(settings, clock, opener);
    let handle = Arc::new(tokio::task::spawn_blocking(start).await.unwrap()?);
    Ok(Embedded { handle })
}

/// A queue over a store.
fn over(store: &Embedded, clock: &Arc<SetClock>) -> Queue {
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    Queue::over(Arc::new(store.clone()), QueueSettings::default(), clock)
}

/// Puts an older index in the place of the one of the store in `dir`.
fn put_back(index: &TempDir, dir: &Path) {
    fs::remove_dir_all(dir.join("index")).unwrap();
    copy_dir(index.path(), &dir.join("index"));
}

/// Turns over a bit near the end of the last copy of `body` in the file at `path`.
fn damage_body(path: &Path, body: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(body.len()).rposition(|part| part == body).unwrap();
    bytes[at + body.len() - 1] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Waits until a condition holds that the committer brings about.
async fn until(what: impl Fn() -> bool) {
    until_async(async || what()).await;
}

/// The same for one that takes a look into the store.
async fn until_async(what: impl AsyncFn() -> bool) {
    let reached = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap();
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file and directory below `dir`, with its bytes and when it was changed.
fn everything_in(dir: &Path) -> Vec<(std::path::PathBuf, SystemTime, Vec<u8>)> {
    let mut all =
        vec![(dir.to_path_buf(), fs::metadata(dir).unwrap().modified().unwrap(), Vec::new())];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything_in(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            all.push((path.clone(), changed, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}
