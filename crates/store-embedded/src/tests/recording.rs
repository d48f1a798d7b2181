//! Delivery records when the index is lost, lags behind, or the store fails.

use super::*;
use crate::tests::faults::{BROKEN, LOST, WELL, bench, reached};

/// Delivers a message with a record; waits until that is durable.
async fn delivered_with(bench: &Bench, record: &str) -> RecordNumber {
    bench.accept(&["a@one.example"], b"x").await;
    let before = *bench.store.last_record().borrow();
    let lease = bench.lease().await.unwrap();
    bench.queue.settle(lease, result(vec![delivered_outcome()], record), None).await.unwrap();
    let mut last = bench.store.last_record();
    drop(last.wait_for(|last| *last > before).await.unwrap());
    *bench.store.last_record().borrow()
}

fn result(outcomes: Vec<Outcome>, record: &str) -> queue::LeaseResult {
    let record = RecordBytes::new(record.as_bytes().to_vec()).unwrap();
    queue::LeaseResult { outcomes, records: vec![record] }
}

/// All records, as texts.
async fn texts(bench: &Bench) -> Vec<String> {
    let records = bench.store.records(0, usize::MAX).await.unwrap();
    records.into_iter().map(|one| String::from_utf8(one.bytes).unwrap()).collect()
}

#[tokio::test]
async fn records_come_back_from_the_journal_when_the_index_goes_back_in_time() {
    let bench = Bench::new().await;
    let before = bench.index();
    let first = delivered_with(&bench, "first").await;
    bench.store.forget_records(first).await.unwrap();
    let second = delivered_with(&bench, "second").await;
    let bench = bench.copied(|dir| put_back(&before, dir)).await;
    assert_eq!(texts(&bench).await, ["second"]);
    assert!(delivered_with(&bench, "third").await > second);
    assert_eq!(texts(&bench).await, ["second", "third"]);
}

#[tokio::test]
async fn records_outlive_an_index_that_cannot_be_read() {
    let bench = Bench::new().await;
    let number = delivered_with(&bench, "first").await;
    let bench = bench.copied(|dir| fs::write(dir.join("index/db"), b"not an index").unwrap()).await;
    assert!(bench.path("index.damaged-1").exists());
    assert_eq!(texts(&bench).await, ["first"]);
    assert!(delivered_with(&bench, "second").await > number);
}

#[tokio::test]
async fn no_number_is_given_twice_when_index_and_journal_are_lost() {
    let bench = Bench::new().await;
    let first = delivered_with(&bench, "first").await;
    bench.accept(&["a@two.example"], b"still there").await;
    let lost = |dir: &Path| {
        fs::remove_dir_all(dir.join("index")).unwrap();
        let segment = dir.join("spool/seg-00000001");
        let bytes = fs::read(&segment).unwrap();
        // What stands before the last message, the journal of the first one with it, is gone.
        let at = bytes.windows(11).rposition(|part| part == b"still there").unwrap();
        let mut zeroed = vec![0; bytes.len()];
        zeroed[at..].copy_from_slice(&bytes[at..]);
        fs::write(&segment, zeroed).unwrap();
    };
    let bench = bench.copied(lost).await;
    bench.deliver_all().await;
    let second = delivered_with(&bench, "second").await;
    assert!(second > first + (1 << 40), "{second} after {first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_waited_for_the_store_leaves_one_record() {
    // Whether what was written before the failure is there afterwards, or not.
    for kind in [BROKEN, LOST] {
        let (bench, fault) = bench().await;
        bench.accept(&["a@one.example"], b"x").await;
        let lease = bench.lease().await.unwrap();
        fault.set(kind);
        let (queue, given) = (bench.queue.clone(), result(vec![deferred("later")], "waited"));
        let mut settling = tokio::task::JoinSet::new();
        settling.spawn(async move { queue.settle(lease, given, None).await });
        until(|| bench.queue.health() != Health::Ready).await;
        fault.set(WELL);
        settling.join_next().await.unwrap().unwrap().unwrap();
        reached(&bench, Health::Ready).await;
        delivered_with(&bench, "last").await;
        assert_eq!(texts(&bench).await, ["waited", "last"], "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_power_cut_may_take_away_is_not_given() {
    let (bench, fault) = bench().await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let held = fault.gate.lock().await;
    bench.queue.settle(lease, result(vec![delivered_outcome()], "soon"), None).await.unwrap();
    assert_eq!(bench.ids().await, [], "it is settled");
    assert_eq!(texts(&bench).await, Vec::<String>::new());
    drop(held);
    let mut last = bench.store.last_record();
    drop(last.wait_for(|last| *last > 0).await.unwrap());
    assert_eq!(texts(&bench).await, ["soon"]);
}
