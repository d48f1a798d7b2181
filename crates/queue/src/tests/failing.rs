//! The disk refuses, the index fails, the store is opened again.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Mutex;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::committer::Committer;
use crate::index::{Engine, EngineError, Lookup, Row, SledEngine, Write, WriteRef, guarded};
use crate::key::Key;
use crate::recovery::Opener;
use crate::spool::segments::{Append, Maker};

/// How the disk behaves.
#[derive(Clone, Debug, Default)]
struct Fault {
    kind: Arc<AtomicU8>,
    /// How often the spool was to be synced.
    syncs: Arc<AtomicUsize>,
    /// Held, it keeps syncs of the spool waiting; how they end is settled before.
    gate: Arc<Mutex<()>>,
}

const WELL: u8 = 0;
/// What is written to the spool, and the opening of the index, find no room.
const FULL: u8 = 1;
/// What is written to the spool is written, and then reported as failed.
const LOST: u8 = 2;
/// Reads say that the index is damaged.
const DAMAGED: u8 = 3;
/// What is written to the spool, and the opening of the index, fail, and not for want of room.
const BROKEN: u8 = 4;
/// What is written to the index finds no room; the spool is well.
const INDEX_FULL: u8 = 5;
/// The next look into the index panics.
const PANICS: u8 = 6;

impl Fault {
    fn set(&self, fault: u8) {
        self.kind.store(fault, Ordering::SeqCst);
    }

    fn is(&self, fault: u8) -> bool {
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

    fn opener(&self) -> Opener {
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
struct FaultySegment {
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
struct FaultyEngine {
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

    fn write_down(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        if self.fault.is(INDEX_FULL) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        self.sled.write_down(writes)
    }
}

async fn bench() -> (Bench, Fault) {
    bench_with_reserve(0).await
}

async fn bench_with_reserve(reserve: u64) -> (Bench, Fault) {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    (open_faulty(dir, reserve, &fault).await, fault)
}

/// Opens the queue in `dir` on such a disk.
async fn open_faulty(dir: TempDir, reserve: u64, fault: &Fault) -> Bench {
    let clock = Arc::new(SetClock::new(start()));
    let settings = QueueSettings { reserve, ..settings(dir.path()) };
    let opener = fault.opener();
    let shared_clock: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
    let started = move || Committer::start_with(settings, shared_clock, opener);
    let handle = tokio::task::spawn_blocking(started).await.unwrap().unwrap();
    Bench { dir, clock, queue: Queue { handle: Arc::new(handle) } }
}

/// Waits until the queue is as it should be.
async fn until(bench: &Bench, health: Health) {
    super::until(|| bench.queue.health() == health).await;
}

/// RFC 5321 §4.2.3: insufficient system storage, and RFC 3463's word for it.
fn assert_no_room(reply: &smtp::Reply) {
    assert_eq!(reply.code().as_u16(), 452);
    assert_eq!(reply.enhanced().unwrap().to_string(), "4.3.1");
}

#[tokio::test]
async fn nobody_is_acknowledged_while_the_disk_is_full_and_mail_is_taken_again_later() {
    for size in [10, 400_000] {
        let (bench, fault) = bench().await;
        let before = bench.accept(&["a@one.example"], b"before").await;
        let mut draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
        draft.write(&pattern(size)).await.unwrap();
        fault.set(FULL);
        let refused = draft.commit().await.unwrap_err();
        assert_no_room(&refused.reply());
        until(&bench, Health::LowOnSpace).await;
        let refused = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap_err();
        assert_no_room(&refused.reply());
        fault.set(WELL);
        until(&bench, Health::Ready).await;
        let after = bench.accept(&["a@three.example"], b"after").await;
        assert_eq!(bench.ids(), [before, after], "what was refused is not there");
        let bench = bench.restart().await;
        assert_eq!(bench.ids(), [before, after]);
        assert!(files_in(&bench.path("spool/big")).is_empty());
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_written_down_costs_no_mail() {
    let (bench, fault) = bench().await;
    let first = bench.accept(&["a@one.example"], b"first").await;
    fault.set(INDEX_FULL);
    until(&bench, Health::LowOnSpace).await;
    until(&bench, Health::Ready).await;
    let second = bench.accept(&["a@two.example"], b"second").await;
    assert_eq!(bench.ids(), [first, second]);
    assert_eq!(bench.crash().await.deliver_all().await.len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_for_another_reason_does_not_speak_of_room() {
    let (bench, fault) = bench().await;
    let draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    fault.set(BROKEN);
    let refused = draft.commit().await.unwrap_err().reply();
    assert_eq!(
        (refused.code().as_u16(), refused.enhanced().unwrap().to_string()),
        (451, "4.3.0".to_owned())
    );
    until(&bench, Health::Failed).await;
    // A disk that fills up while the store is down is told of, and so is its end.
    fault.set(FULL);
    until(&bench, Health::LowOnSpace).await;
    fault.set(BROKEN);
    until(&bench, Health::Failed).await;
    fault.set(WELL);
    until(&bench, Health::Ready).await;
}

#[tokio::test]
async fn what_was_refused_is_removed_even_if_the_index_has_it() {
    let (bench, fault) = bench().await;
    fault.set(LOST);
    let mut draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    draft.write(b"x").await.unwrap();
    assert!(draft.commit().await.is_err());
    fault.set(WELL);
    until(&bench, Health::Ready).await;
    let kept = bench.accept(&["a@one.example"], b"x").await;
    assert_eq!(bench.ids(), [kept]);
    assert_eq!(bench.deliver_all().await.len(), 1);
}

#[tokio::test]
async fn nobody_of_a_round_is_acknowledged_when_its_sync_fails() {
    let (bench, fault) = bench().await;
    let mut drafts = Vec::new();
    for n in 0..21 {
        let to = format!("{n}@one.example");
        let mut draft = bench.queue.begin(submitter(), envelope(&[&to])).unwrap();
        draft.write(b"x").await.unwrap();
        drafts.push(draft);
    }
    let first = drafts.remove(0);
    let kept = first.id();

    // While the first is synced, the others come together.
    let before = fault.syncs.load(Ordering::SeqCst);
    let closed = fault.gate.lock().await;
    let mut ahead = JoinSet::new();
    ahead.spawn(first.commit());
    super::until(|| fault.syncs.load(Ordering::SeqCst) == before + 1).await;
    let mut commits = JoinSet::new();
    for draft in drafts {
        commits.spawn(draft.commit());
    }
    for _ in 0..100 {
        yield_now().await;
    }
    fault.set(LOST);
    drop(closed);
    assert_eq!(ahead.join_all().await.remove(0).unwrap().id(), kept);
    let answers = commits.join_all().await;
    assert_eq!(answers.len(), 20);
    for answer in answers {
        assert_no_room(&answer.unwrap_err().reply());
    }
    assert_eq!(fault.syncs.load(Ordering::SeqCst), before + 2, "they were one round");

    fault.set(WELL);
    until(&bench, Health::Ready).await;
    assert_eq!(bench.ids(), [kept]);
    let bench = bench.restart().await;
    assert_eq!(bench.ids(), [kept]);
    bench.queue.close().await;
    fs::remove_dir_all(bench.path("index")).unwrap();
    assert_eq!(bench.opened_again().await.ids(), [kept], "the spool has none of them either");
}

#[tokio::test]
async fn an_engine_that_panics_in_use_or_at_a_start_is_built_anew_and_loses_nothing() {
    let (bench, fault) = bench().await;
    let mut ids = Vec::new();
    for size in [10, 5_000, 400_000] {
        ids.push(bench.accept(&["a@one.example"], &pattern(size)).await);
    }
    fault.set(PANICS);
    let unknown = bench.queue.show(QueueId::from_number(1));
    assert!(matches!(unknown, Err(StoreError::Index(_))), "{unknown:?}");
    super::until(|| bench.path("index.damaged-1").exists()).await;
    until(&bench, Health::Ready).await;
    assert_eq!(bench.ids(), ids);
    bench.queue.close().await;

    let Bench { dir, .. } = bench;
    fault.set(PANICS);
    let bench = open_faulty(dir, 0, &fault).await;
    assert!(fault.is(WELL) && bench.path("index.damaged-2").exists());
    assert_eq!(bench.ids(), ids);
    for id in ids {
        let lease = bench.lease().unwrap();
        assert_eq!(lease.id(), id);
        let body = read(&lease).await.unwrap();
        assert!(body == pattern(body.len()));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
    assert!(bench.lease().is_none());
}

#[tokio::test]
async fn a_settlement_and_its_bounce_wait_for_the_store() {
    for (fault_kind, size) in [(FULL, 10), (FULL, 400_000), (LOST, 10), (LOST, 400_000)] {
        let (bench, fault) = bench().await;
        bench.accept(&["a@one.example"], b"x").await;
        let lease = bench.lease().unwrap();
        let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
        let bounce_id = bounce.id();
        bounce.write(&pattern(size)).await.unwrap();
        fault.set(fault_kind);
        let queue = bench.queue.clone();
        let settle = queue.settle(lease, vec![bounced("no such user")], Some(bounce));
        let mend = async {
            until(&bench, Health::LowOnSpace).await;
            super::until(|| bench.queue.lease(1).is_err()).await;
            fault.set(WELL);
        };
        let (settled, ()) = tokio::join!(settle, mend);
        settled.unwrap();
        assert_eq!(bench.queue.leased(), 0);
        assert_eq!(bench.ids(), [bounce_id]);
        let lease = bench.lease().unwrap();
        assert!(read(&lease).await.unwrap() == pattern(size));
        drop(lease);
        let bench = bench.restart().await;
        assert_eq!(bench.ids(), [bounce_id]);
        assert_eq!(bench.queue.totals().messages, 1);
    }
}

#[tokio::test]
async fn a_shelf_that_may_have_changed_with_the_store_says_so() {
    let (bench, fault) = bench().await;
    let shelf = bench.queue.shelf("policies");
    shelf.put("one.example", b"1".to_vec()).await.unwrap();
    let first = shelf.version("one.example");
    bench.accept(&["a@one.example"], b"x").await;
    assert_eq!(shelf.version("one.example"), first, "nothing was written to a shelf");
    fault.set(LOST);
    assert!(shelf.put("one.example", b"2".to_vec()).await.is_err());
    fault.set(WELL);
    until(&bench, Health::Ready).await;
    let second = shelf.version("one.example");
    assert_ne!(second, first);
    shelf.put("one.example", b"3".to_vec()).await.unwrap();
    assert_ne!(shelf.version("one.example"), second);
}

#[tokio::test]
async fn a_closed_queue_that_failed_answers_everybody() {
    let (bench, fault) = bench().await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().unwrap();
    fault.set(FULL);
    let settle = bench.queue.settle(lease, vec![delivered_outcome()], None);
    let close = async {
        until(&bench, Health::LowOnSpace).await;
        bench.queue.close().await;
    };
    let (settled, ()) = tokio::join!(settle, close);
    assert!(matches!(settled, Err(StoreError::Closed)));
    fault.set(WELL);
    let bench = bench.opened_again().await;
    assert_eq!(bench.ids().len(), 1);
}

#[tokio::test]
async fn an_index_found_damaged_in_use_is_built_anew_and_leases_stay_out() {
    let (bench, fault) = bench().await;
    bench.queue.shelf("policies").put("one.example", pattern(9_000)).await.unwrap();
    let first = bench.accept(&["a@one.example"], b"first").await;
    let second = bench.accept(&["a@two.example"], b"second").await;
    let lease = bench.lease().unwrap();
    fault.set(DAMAGED);
    assert!(bench.queue.lease(9).is_err());
    super::until(|| bench.path("index.damaged-1").exists()).await;
    until(&bench, Health::Ready).await;
    assert_eq!(bench.ids(), [first, second]);
    assert_eq!(bench.queue.leased(), 1);
    let other = bench.lease().unwrap();
    assert_ne!(other.id(), lease.id());
    assert!(bench.lease().is_none());
    bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    bench.queue.settle(other, vec![delivered_outcome()], None).await.unwrap();
    assert!(bench.ids().is_empty());
    assert_eq!(bench.queue.shelf("policies").get("one.example").unwrap(), Some(pattern(9_000)));
    assert!(bench.path("index.damaged-1").exists());
}

#[tokio::test]
async fn a_lease_settles_its_own_recipients_though_the_index_was_built_anew() {
    let (bench, fault) = bench().await;
    let names: Vec<String> = (0..350).map(|n| format!("{n}@one.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.accept(&names, b"x").await;
    let delivered = bench.lease().unwrap();
    let out = bench.lease().unwrap();
    let settled_by = |lease: &Lease| -> Vec<String> {
        lease.recipients().iter().map(|r| r.mailbox.to_string()).collect()
    };
    let mut done = settled_by(&delivered);
    let outcomes = vec![delivered_outcome(); 100];
    bench.queue.settle(delivered, outcomes.clone(), None).await.unwrap();
    fault.set(DAMAGED);
    assert!(bench.queue.stats().is_err());
    super::until(|| bench.path("index.damaged-1").exists()).await;
    until(&bench, Health::Ready).await;
    done.extend(settled_by(&out));
    bench.queue.settle(out, outcomes, None).await.unwrap();
    assert_eq!(bench.queue.totals().recipients, 150);
    done.extend(bench.deliver_all().await.into_iter().map(|(_, to)| to));
    done.sort();
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(done, expected);
}

#[tokio::test]
async fn mail_is_refused_while_space_is_low_and_bounces_are_not() {
    let bench = Bench::with(|settings| settings.min_free = u64::MAX).await;
    assert_eq!(bench.queue.health(), Health::LowOnSpace);
    let refused = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap_err();
    assert_no_room(&refused.reply());
    bench.queue.begin_own(own_message("a@one.example")).unwrap().commit().await.unwrap();
    assert_eq!(bench.deliver_all().await.len(), 1);
}

#[tokio::test]
async fn a_reserve_is_given_up_on_a_full_disk_and_taken_again_before_new_mail_is() {
    let (bench, fault) = bench_with_reserve(1 << 20).await;
    let reserve = bench.path("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 1 << 20);
    fault.set(FULL);
    let draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
    assert!(draft.commit().await.is_err());
    super::until(|| !reserve.exists()).await;
    fault.set(WELL);
    until(&bench, Health::Ready).await;
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn mail_is_refused_while_there_is_no_room_for_the_reserve() {
    let bench = Bench::with(|settings| settings.reserve = u64::MAX).await;
    assert_eq!(bench.queue.health(), Health::LowOnSpace);
    assert!(!bench.path("reserve").exists());
}

#[tokio::test]
async fn a_big_bounce_that_comes_while_the_store_is_closed_is_there_when_it_is_open_again() {
    let (bench, fault) = bench().await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().unwrap();
    let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    let bounce_id = bounce.id();
    bounce.write(&pattern(400_000)).await.unwrap();
    let mut coming = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    coming.write(&pattern(400_000)).await.unwrap();
    let draft = bench.queue.begin(submitter(), envelope(&["a@three.example"])).unwrap();
    fault.set(FULL);
    assert!(draft.commit().await.is_err());
    super::until(|| bench.queue.lease(1).is_err()).await;
    let settle = bench.queue.settle(lease, vec![bounced("no such user")], Some(bounce));
    let mend = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fault.set(WELL);
    };
    let both = async { tokio::join!(settle, mend).0 };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap().unwrap();
    let coming = coming.commit().await.unwrap().id();
    assert_eq!(bench.ids(), [bounce_id, coming]);
    while let Some(lease) = bench.lease() {
        assert!(read(&lease).await.unwrap() == pattern(400_000));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
}

#[tokio::test]
async fn a_deletion_and_its_bounce_wait_for_the_store() {
    for size in [10, 400_000] {
        let (bench, fault) = bench().await;
        let id = bench.accept(&["a@one.example"], b"x").await;
        let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
        let bounce_id = bounce.id();
        bounce.write(&pattern(size)).await.unwrap();
        fault.set(FULL);
        let mend = async {
            until(&bench, Health::LowOnSpace).await;
            fault.set(WELL);
        };
        let (deleted, ()) = tokio::join!(bench.queue.delete(id, Some(bounce)), mend);
        until(&bench, Health::Ready).await;
        assert_eq!(bench.ids(), [bounce_id], "either both or none: {deleted:?}");
        assert!(deleted.unwrap());
    }
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_by_giving_up_the_reserve() {
    let bench = Bench::with(|settings| settings.reserve = 1 << 20).await;
    let id = bench.accept(&["a@one.example"], b"x").await;
    bench.queue.close().await;
    let reserve = bench.path("reserve");
    assert!(reserve.exists());
    let opener = Opener {
        index: Arc::new(move |dir| {
            if reserve.exists() {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            Ok(Arc::new(SledEngine::open(dir)?))
        }),
        ..Opener::default()
    };
    let settings = QueueSettings { reserve: 1 << 20, ..settings(bench.dir.path()) };
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(&bench.clock);
    let started = move || Committer::start_with(settings, clock, opener);
    let handle = tokio::task::spawn_blocking(started).await.unwrap().unwrap();
    let bench = Bench { queue: Queue { handle: Arc::new(handle) }, ..bench };
    assert_eq!(bench.ids(), [id]);
}

#[tokio::test]
async fn a_process_that_has_no_file_left_to_open_does_not_take_its_index_for_damaged() {
    let bench = Bench::new().await;
    let held = bench.accept(&["a@one.example"], b"x").await;
    assert!(bench.queue.hold(held).await.unwrap());
    bench.queue.close().await;
    // EMFILE.
    let opener = Opener {
        index: Arc::new(|_| Err(io::Error::from_raw_os_error(24).into())),
        ..Opener::default()
    };
    let (settings, clock) = (settings(bench.dir.path()), Arc::clone(&bench.clock));
    let started = move || Committer::start_with(settings, clock, opener).is_err();
    assert!(tokio::task::spawn_blocking(started).await.unwrap());
    assert!(!bench.path("index.damaged-1").exists());
    let bench = bench.opened_again().await;
    assert_eq!(bench.queue.show(held).unwrap().unwrap().state, State::Held);
}
