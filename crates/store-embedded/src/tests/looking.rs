//! Looking at a queue that no process has open.

use super::*;
use crate::index::{Engine, Lookup, SledEngine};
use crate::key::Key;

async fn look(dir: &Path, clock: &Arc<SetClock>) -> Result<Offline, OpenError> {
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    let (dir, scratch) = (dir.to_path_buf(), tempfile::tempdir().unwrap());
    let opened = tokio::task::spawn_blocking(move || {
        let opened = Offline::open_in(&dir, clock, scratch.path(), 0);
        assert_eq!(files_in(scratch.path()).is_empty(), opened.is_err());
        opened
    });
    opened.await.unwrap()
}

/// What a store says, or what reads it offline.
async fn all_it_says(
    store: &dyn Inspect,
    totals: Totals,
) -> (Vec<(Summary, Details, Vec<u8>)>, Stats, Counts, Totals) {
    let list = store.list(&Filter::default(), None, usize::MAX).await.unwrap();
    let mut shown = Vec::new();
    for summary in &list {
        let mut body = Vec::new();
        store.body(summary.id).await.unwrap().read_to_end(&mut body).await.unwrap();
        shown.push((summary.clone(), store.show(summary.id).await.unwrap().unwrap(), body));
    }
    let page = store.list(&Filter::default(), Some(list[0].id), 2).await.unwrap();
    assert_eq!(page, list[1..3]);
    (shown, store.stats().await.unwrap(), store.counts().await.unwrap(), totals)
}

/// Messages that are deferred, held, big and untouched, one that is gone, and values.
async fn filled() -> Bench {
    let bench = Bench::new().await;
    for recipient in ["a@gone.example", "b@deferred.example"] {
        bench.accept(&[recipient], &pattern(700)).await;
        let lease = bench.lease().await.unwrap();
        let gone = recipient.ends_with("gone.example");
        let outcome = if gone { delivered_outcome() } else { deferred("later") };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    let held = bench.accept(&["c@held.example", "d@other.example"], &pattern(800)).await;
    assert!(bench.queue.hold(held).await.unwrap());
    bench.accept(&["e@big.example"], &pattern(400_000)).await;
    let namespace = bench.queue.values("policies");
    for (key, size) in [("a.example", 10), ("b.example", 9_000), ("c.example", 20)] {
        namespace.put(key, pattern(size)).await.unwrap();
    }
    bench
}

/// Has what reads it offline say all that it can, and compares it with what the next start finds.
async fn assert_same_as_a_start(dir: &Path, clock: &Arc<SetClock>) {
    let before = everything_in(dir);
    let offline = look(dir, clock).await.unwrap();
    let said = all_it_says(&offline, offline.totals()).await;
    assert_eq!(offline.quarantined_bytes().await.unwrap(), []);
    let values = offline.scan("policies", None, 9).await.unwrap();
    for (key, value) in &values {
        assert_eq!(offline.get("policies", key).await.unwrap().as_ref(), Some(value));
    }
    let gone = QueueId::from_number(1);
    assert!(matches!(offline.body(gone).await, Err(BodyError::Gone)));
    assert!(matches!(open(settings(dir), clock).await, Err(OpenError::Locked { .. })));
    let another = look(dir, clock).await.unwrap();
    assert_eq!(another.totals(), offline.totals(), "any number may look");
    drop((offline, another));
    assert!(everything_in(dir) == before);
    let (store, queue) = open_both(settings(dir), clock).await.unwrap();
    assert!(!dir.join("index.damaged-1").exists());
    assert!(all_it_says(&store, queue.totals()).await == said);
    assert_eq!(queue.values("policies").scan(None, 9).await.unwrap(), values);
    assert!(!values.is_empty());
    queue.close().await;
}

#[tokio::test]
async fn looking_changes_no_file_and_finds_what_a_start_finds() {
    let bench = filled().await;
    assert!(matches!(look(bench.dir.path(), &bench.clock).await, Err(OpenError::Locked { .. })));
    let killed = tempfile::tempdir().unwrap();
    copy_dir(bench.dir.path(), killed.path());
    assert_same_as_a_start(killed.path(), &bench.clock).await;
    bench.queue.close().await;
    assert_same_as_a_start(bench.dir.path(), &bench.clock).await;
}

#[tokio::test]
async fn a_store_of_the_format_before_stays_one_when_it_is_looked_at() {
    let clock = Arc::new(SetClock::new(start()));
    for left in ["closed", "crashed"] {
        let dir = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1");
        copy_dir(&fixtures.join(left), dir.path());
        fs::write(dir.path().join("lock"), "").unwrap();
        let offline = look(dir.path(), &clock).await.unwrap();
        assert_eq!(offline.totals().messages, 4);
        drop(offline);
        let format = fs::read_to_string(dir.path().join("format")).unwrap();
        assert!(format.contains("format 1\n"), "{format}");
        assert_same_as_a_start(dir.path(), &clock).await;
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_named_with_what_mends_it_and_left_alone() {
    for damage in ["overwritten", "missing", "half built", "at odds with itself"] {
        let bench = filled().await;
        bench.queue.close().await;
        match damage {
            "overwritten" => fs::write(bench.path("index/db"), [b'x'; 8_192]).unwrap(),
            "missing" => fs::remove_dir_all(bench.path("index")).unwrap(),
            "half built" => fs::write(bench.path("rebuilding"), "x").unwrap(),
            _ => {
                let engine = SledEngine::open(&bench.path("index")).unwrap();
                let entries = engine.first(&Key::first(b'L'), &Key::end(b'L')).unwrap();
                engine.commit(vec![(entries.unwrap().0, None)]).unwrap();
                fs::remove_file(bench.path("closed")).unwrap();
            }
        }
        let before = everything_in(bench.dir.path());
        let refused = look(bench.dir.path(), &bench.clock).await.unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{damage}: {refused:?}");
        let words = refused.to_string();
        assert!(words.contains("queue verify") && words.contains("starting the relay"), "{words}");
        assert!(everything_in(bench.dir.path()) == before, "{damage}");
    }
}

#[tokio::test]
async fn a_damaged_message_is_reported_and_not_set_aside_where_the_queue_is_only_read() {
    for size in [600, 400_000] {
        let bench = Bench::new().await;
        let id = bench.accept(&["a@one.example"], &pattern(size)).await;
        bench.queue.close().await;
        let big = bench.path("spool/big").join(id.to_string());
        let path = if big.exists() { big } else { bench.path("spool/seg-00000001") };
        damage_body(&path, &pattern(size));
        let before = everything_in(bench.dir.path());
        let offline = look(bench.dir.path(), &bench.clock).await.unwrap();
        let mut body = Vec::new();
        let read = match offline.body(id).await {
            Ok(mut reader) => reader.read_to_end(&mut body).await.map_err(BodyError::Io),
            Err(error) => Err(error),
        };
        assert!(read.is_err() && body.len() < size);
        assert_eq!(offline.show(id).await.unwrap().unwrap().state, State::Queued);
        drop(offline);
        assert!(everything_in(bench.dir.path()) == before);
    }
}
