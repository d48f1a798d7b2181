//! What survives: kills, torn tails, lost and damaged indexes, damaged records.

use super::*;
use crate::index::{Engine, Lookup, SledEngine};
use crate::key::Key;
use crate::rows::{SegmentRow, StoreRow};
use crate::spool::scan::header_at;

/// Twenty messages, some delivered, some deferred, one big; ids that are left.
async fn filled() -> (Bench, Vec<QueueId>) {
    let bench = Bench::new().await;
    for n in 0..20 {
        bench.accept(&[&format!("a@d{n}.example")], &pattern(100 * n)).await;
    }
    bench.accept(&["a@big.example"], &pattern(400_000)).await;
    for n in 0..10 {
        let lease = bench.lease().await.unwrap();
        let outcome = if n % 2 == 0 { delivered_outcome() } else { deferred("later") };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    let ids = bench.ids().await;
    assert_eq!(ids.len(), 16);
    (bench, ids)
}

/// Everything is still there, and no more than that; and all bodies are whole.
async fn assert_all_there(bench: &Bench, ids: &[QueueId]) {
    assert_eq!(bench.ids().await, ids);
    assert_eq!(bench.queue.totals().messages, u64::try_from(ids.len()).unwrap());
    bench.clock.advance(Duration::from_secs(3_600));
    let mut seen = Vec::new();
    while let Some(lease) = bench.lease().await {
        let body = read(&lease).await.unwrap();
        assert!(body == pattern(body.len()));
        assert_eq!(u64::try_from(body.len()).unwrap(), lease.message().size);
        seen.push(lease.id());
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
    seen.sort_unstable();
    assert_eq!(seen, ids);
}

fn one_segment(bench: &Bench) -> std::path::PathBuf {
    bench.path("spool/seg-00000001")
}

#[tokio::test]
async fn a_killed_process_loses_nothing() {
    let (bench, ids) = filled().await;
    let bench = bench.crash().await;
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_restart_loses_nothing_and_checks_nothing() {
    let (bench, ids) = filled().await;
    let bench = bench.restart().await;
    assert!(!bench.path("closed").exists(), "an open store is not marked as closed");
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_deleted_index_is_rebuilt_and_only_what_is_left_is_sent_again() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    fs::remove_dir_all(bench.path("index")).unwrap();
    let bench = bench.opened_again().await;
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_lost_index_after_a_kill_is_rebuilt_too() {
    let (bench, ids) = filled().await;
    let copy = tempfile::tempdir().unwrap();
    copy_dir(bench.dir.path(), copy.path());
    fs::remove_dir_all(copy.path().join("index")).unwrap();
    let bench = Bench { dir: copy, ..bench }.opened_again().await;
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_truncated_index_is_rebuilt() {
    for part in [0, 1, 2, 3, 5, 7] {
        let (bench, ids) = filled().await;
        bench.queue.close().await;
        let db = bench.path("index/db");
        let length = fs::metadata(&db).unwrap().len();
        let file = fs::File::options().write(true).open(&db).unwrap();
        file.set_len(length * part / 8).unwrap();
        let bench = bench.opened_again().await;
        assert_all_there(&bench, &ids).await;
    }
}

#[tokio::test]
async fn a_damaged_index_loses_nothing_wherever_it_is_damaged() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    let whole = fs::read(bench.path("index/db")).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 0..12 {
        let mut bytes = whole.clone();
        let at = used * part / 12;
        for byte in &mut bytes[at..(at + 64).min(used)] {
            *byte ^= 0x55;
        }
        let bench = bench.copied(|dir| fs::write(dir.join("index/db"), bytes).unwrap()).await;
        survive_damage_in_use(&bench, &ids).await;
    }
}

/// Damage may show only when a leaf is read; the store is then opened again.
async fn survive_damage_in_use(bench: &Bench, ids: &[QueueId]) {
    bench.clock.advance(Duration::from_secs(3_600));
    let mut seen = std::collections::BTreeSet::new();
    let all = async {
        while seen.len() < ids.len() {
            let Ok(Some(lease)) = bench.queue.lease(9).await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let Ok(body) = read(&lease).await else { continue };
            assert!(body == pattern(body.len()));
            let id = lease.id();
            if bench.queue.settle(lease, vec![delivered_outcome()], None).await.is_ok() {
                seen.insert(id);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    assert!(seen.into_iter().eq(ids.iter().copied()));
}

/// Makes an index disagree with itself.
fn disagree(index: &Path, about: u8) {
    let engine = SledEngine::open(index).unwrap();
    let (key, value) = engine.first(&Key::first(about), &Key::end(about)).unwrap().unwrap();
    let value = match about {
        b'S' => {
            let row = StoreRow::decode(&value).unwrap();
            Some(StoreRow { recipients: row.recipients + 1, ..row }.encode())
        }
        b'G' => {
            let row = SegmentRow::decode(&value).unwrap();
            Some(SegmentRow { bytes: row.bytes - 1, ..row }.encode())
        }
        _ => None,
    };
    engine.commit(vec![(key, value)]).unwrap();
}

#[tokio::test]
async fn an_index_that_disagrees_with_itself_is_rebuilt() {
    for about in [b'D', b'L', b'S', b'G'] {
        let (bench, ids) = filled().await;
        bench.queue.close().await;
        disagree(&bench.path("index"), about);
        // It is compared with itself after an end that was not in order.
        fs::remove_file(bench.path("closed")).unwrap();
        let bench = bench.opened_again().await;
        assert!(bench.path("index.damaged-1").exists(), "rows {}", char::from(about));
        assert_all_there(&bench, &ids).await;
    }
}

#[tokio::test]
async fn what_was_half_received_is_removed_at_a_start_and_nothing_else() {
    let bench = Bench::new().await;
    let big = bench.accept(&["a@one.example"], &pattern(400_000)).await;
    let mut draft = bench.queue.begin(submitter(), envelope(&["b@two.example"])).unwrap();
    draft.write(&pattern(300_000)).await.unwrap();
    let half = draft.id().to_string();
    assert_eq!(files_in(&bench.path("spool/tmp")), [half]);
    let bench = bench.crash().await;
    assert!(files_in(&bench.path("spool/tmp")).is_empty());
    assert_eq!(files_in(&bench.path("spool/big")), [big.to_string()]);
    assert_all_there(&bench, &[big]).await;
    drop(draft);
}

#[tokio::test]
async fn a_rebuild_that_was_interrupted_is_done_again() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    fs::write(bench.path("rebuilding"), "x").unwrap();
    let bench = bench.opened_again().await;
    assert!(!bench.path("rebuilding").exists());
    assert!(!bench.path("index.damaged-1").exists(), "half an index is not worth keeping");
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn records_that_the_index_does_not_know_are_read() {
    let bench = Bench::new().await;
    let before = tempfile::tempdir().unwrap();
    bench.accept(&["a@one.example"], &pattern(10)).await;
    copy_dir(&bench.path("index"), before.path());
    bench.accept(&["b@one.example"], &pattern(2_000)).await;
    bench.accept(&["c@one.example"], &pattern(300_000)).await;
    let ids = bench.ids().await;
    bench.queue.close().await;
    fs::remove_dir_all(bench.path("index")).unwrap();
    copy_dir(before.path(), &bench.path("index"));
    let bench = bench.opened_again().await;
    assert!(!bench.path("index.damaged-1").exists());
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_torn_tail_is_passed_over_and_nothing_is_written_behind_it() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    let segment = one_segment(&bench);
    let whole = fs::read(&segment).unwrap();
    for cut in [1, 30, 63, 64, 90, 120] {
        let torn = [&whole[..], &whole[..cut]].concat();
        fs::write(&segment, &torn).unwrap();
        let bench = bench.copied(|_| {}).await;
        let mut ids = ids.clone();
        ids.push(bench.accept(&["z@z.example"], &pattern(50)).await);
        assert!(fs::read(one_segment(&bench)).unwrap() == torn);
        assert_all_there(&bench, &ids).await;
    }
}

#[tokio::test]
async fn a_damaged_body_is_quarantined_and_never_sent() {
    for size in [1_000, 500_000] {
        let bench = Bench::new().await;
        let id = bench.accept(&["a@one.example"], &pattern(size)).await;
        bench.queue.close().await;
        let big = bench.path("spool/big").join(id.to_string());
        let path = if big.exists() { big } else { one_segment(&bench) };
        damage_body(&path, &pattern(size));
        let bench = bench.opened_again().await;
        let lease = bench.lease().await.unwrap();
        assert!(read(&lease).await.is_err());
        bench.queue.settle(lease, vec![deferred("unreadable")], None).await.unwrap();
        bench.clock.advance(Duration::from_secs(3_600));
        assert!(bench.lease().await.is_none());
        let filter = Filter { state: Some(StateKind::Quarantined), ..Filter::default() };
        let listed = bench.queue.store().list(&filter, None, 9).await.unwrap();
        assert_eq!(listed.len(), 1);
        let State::Quarantined { why } = &listed[0].state else { panic!() };
        assert!(why.contains("checksum"), "{why}");
        let bench = bench.crash().await;
        assert_eq!(bench.ids().await, [id]);
        assert!(bench.lease().await.is_none());
    }
}

#[tokio::test]
async fn a_missing_spool_file_is_quarantined_too() {
    let bench = Bench::new().await;
    bench.accept(&["a@one.example"], b"x").await;
    bench.queue.close().await;
    fs::remove_file(one_segment(&bench)).unwrap();
    let bench = bench.opened_again().await;
    let lease = bench.lease().await.unwrap();
    assert!(matches!(lease.body().await, Err(BodyError::Damaged(_))));
}

#[tokio::test]
async fn damaged_bytes_are_set_aside_when_the_index_is_rebuilt() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    let segment = one_segment(&bench);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[0] ^= 1;
    fs::write(&segment, bytes).unwrap();
    fs::remove_dir_all(bench.path("index")).unwrap();
    let bench = bench.opened_again().await;
    assert_eq!(files_in(&bench.path("quarantine")), ["seg-00000001-at-0"]);
    let left: Vec<_> = bench.ids().await;
    assert!(ids.iter().filter(|id| !left.contains(id)).count() <= 1);
}

#[tokio::test]
async fn the_first_process_alone_has_the_queue() {
    let bench = Bench::new().await;
    let second = open(settings(bench.dir.path()), &bench.clock).await;
    let Err(refused) = second else { panic!("opened twice") };
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().contains(&*bench.dir.path().to_string_lossy()), "{refused}");
}

#[tokio::test]
async fn nobody_else_can_look_into_the_queue() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/queue");
    let queue = open(settings(&path), &Arc::new(SetClock::new(start()))).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    queue.close().await;
}

#[tokio::test]
async fn ids_grow_over_lost_indexes_with_a_clock_that_goes_back() {
    let mut bench = Bench::new().await;
    let mut last = QueueId::from_number(0);
    for hours in 0..3 {
        for _ in 0..3 {
            let id = bench.accept(&["a@one.example"], b"x").await;
            assert!(id > last);
            last = id;
        }
        bench.clock.set(start() - Duration::from_secs(3_600 * hours));
        bench.queue.close().await;
        fs::remove_dir_all(bench.path("index")).unwrap();
        bench = bench.opened_again().await;
    }
}

#[tokio::test]
async fn a_lost_format_file_is_rewritten() {
    let (bench, ids) = filled().await;
    bench.queue.close().await;
    let before = fs::read(bench.path("format")).unwrap();
    fs::remove_file(bench.path("format")).unwrap();
    let bench = bench.opened_again().await;
    assert_eq!(fs::read(bench.path("format")).unwrap(), before);
    assert_all_there(&bench, &ids).await;
}

#[tokio::test]
async fn a_copy_that_a_power_cut_left_without_its_body_does_not_take_the_place_of_its_original() {
    for is_index_lost in [false, true] {
        let bench = Bench::new().await;
        let id = bench.accept(&["a@one.example", "b@two.example"], &pattern(9_000)).await;
        let lease = bench.lease().await.unwrap();
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_dir(bench.dir.path(), copy.path());
        let bench = Bench { dir: copy, ..bench };
        // What was being copied forward: the last page has not reached the disk, nor the journal.
        let size = header_at(&one_segment(&bench), 0).unwrap().record_size();
        let size = usize::try_from(size).unwrap();
        let mut record = fs::read(one_segment(&bench)).unwrap();
        record.truncate(size);
        record[size - 4_096..].fill(0);
        fs::write(bench.path("spool/seg-00000002"), record).unwrap();
        if is_index_lost {
            fs::remove_dir_all(bench.path("index")).unwrap();
        }
        let bench = bench.opened_again().await;
        assert_eq!(bench.ids().await, [id]);
        let lease = bench.lease().await.unwrap();
        assert!(read(&lease).await.unwrap() == pattern(9_000), "index lost: {is_index_lost}");
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
        assert_eq!(bench.ids().await, [], "each recipient gets it once");
    }
}

#[tokio::test]
async fn a_spool_that_cannot_be_read_is_not_taken_for_a_damaged_index() {
    let bench = Bench::new().await;
    let held = bench.accept(&["a@one.example"], b"x").await;
    assert!(bench.queue.hold(held).await.unwrap());
    let copy = tempfile::tempdir().unwrap();
    copy_dir(bench.dir.path(), copy.path());
    let bench = Bench { dir: copy, ..bench };
    let (segment, elsewhere) = (one_segment(&bench), bench.path("elsewhere"));
    fs::rename(&segment, &elsewhere).unwrap();
    // Reading it fails.
    fs::create_dir(&segment).unwrap();
    assert!(open(settings(bench.dir.path()), &bench.clock).await.is_err());
    fs::remove_dir(&segment).unwrap();
    fs::rename(&elsewhere, &segment).unwrap();
    let bench = bench.opened_again().await;
    assert!(!bench.path("index.damaged-1").exists());
    assert_eq!(bench.queue.store().show(held).await.unwrap().unwrap().state, State::OnHold);
}

#[tokio::test]
async fn a_rebuild_that_was_interrupted_keeps_values_all_the_same() {
    let bench = Bench::new().await;
    bench.queue.values("policies").put("one.example", pattern(9_000)).await.unwrap();
    bench.queue.close().await;
    // Each attempt ends before its end: this cannot be read.
    let way = bench.path("spool/seg-00000009");
    fs::create_dir(&way).unwrap();
    fs::remove_file(bench.path("closed")).unwrap();
    let db = fs::read(bench.path("index/db")).unwrap();
    fs::write(bench.path("index/db"), [b'x'; 8_192]).unwrap();
    for _ in 0..2 {
        assert!(open(settings(bench.dir.path()), &bench.clock).await.is_err());
        assert!(bench.path("rebuilding").exists());
    }
    // As if only a part of it had been damaged.
    fs::write(bench.path("index.damaged-1/db"), db).unwrap();
    fs::remove_dir(&way).unwrap();
    let bench = bench.opened_again().await;
    assert!(!bench.path("rebuilding").exists() && !bench.path("index.damaged-2").exists());
    let namespace = bench.queue.values("policies");
    assert_eq!(namespace.get("one.example").await.unwrap(), Some(pattern(9_000)));
}
