//! What a store promises of delivery records.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::QueueEntry;
use crate::conformance::bench::{
    NEVER, accept, claim_one, deferred, delivered, opened, settlement,
};
use crate::conformance::home::Home;
use crate::conformance::values::pattern;
use crate::contract::Store;
use crate::record::{RecordBytes, RecordNumber};
use crate::settlement::Settlement;

/// How long a settlement may take until it is durable.
const PATIENCE: Duration = Duration::from_secs(60);

/// A settlement with these records.
fn recorded(entry: &QueueEntry, due: u64, records: &[&[u8]]) -> Settlement {
    let outcome = if due == 0 { delivered() } else { deferred() };
    let mut settlement = settlement(entry, &outcome, due);
    for one in &mut settlement.entries {
        one.records =
            records.iter().map(|bytes| RecordBytes::new(bytes.to_vec()).unwrap()).collect();
    }
    settlement
}

/// Waits until there are records after `after`: one that is not durable yet cannot be read.
async fn wait_after(store: &dyn Store, after: RecordNumber) {
    let mut last = store.last_record();
    let waited = tokio::time::timeout(PATIENCE, last.wait_for(|last| *last > after)).await;
    drop(waited.unwrap().unwrap());
}

/// The bytes of all records after `after`, and the number of the last.
async fn kept(store: &dyn Store, after: RecordNumber) -> (Vec<Vec<u8>>, RecordNumber) {
    let records = store.records(after, usize::MAX).await.unwrap();
    assert!(records.is_sorted_by_key(|one| one.number), "{records:?}");
    assert!(records.iter().all(|one| one.number > after), "{records:?}");
    let last = records.last().map_or(after, |one| one.number);
    (records.into_iter().map(|one| one.bytes).collect(), last)
}

/// Settles one message with a record; its number.
async fn settled_with(store: &dyn Store, record: &[u8]) -> RecordNumber {
    accept(store, &["a@one.example"], b"x").await;
    let entry = claim_one(store).await.unwrap();
    let before = *store.last_record().borrow();
    store.settle(recorded(&entry, 0, &[record])).await.unwrap();
    wait_after(store, before).await;
    *store.last_record().borrow()
}

/// The records of an attempt can be read once it is settled and durable, in their order, however many recipients
/// they are of; those of the next attempt come after them.
pub async fn a_record_is_kept_with_its_settlement(store: Arc<dyn Store>) {
    accept(&*store, &["a@one.example", "b@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    assert_eq!(kept(&*store, 0).await.0, Vec::<Vec<u8>>::new());
    store.settle(recorded(&entry, 7, &[b"first", b"second"])).await.unwrap();
    wait_after(&*store, 0).await;
    let (records, number) = kept(&*store, 0).await;
    assert_eq!(records, [b"first".to_vec(), b"second".to_vec()]);
    assert_eq!(*store.last_record().borrow(), number);
    let again = claim_one(&*store).await.unwrap();
    store.settle(recorded(&again, NEVER, &[b"third"])).await.unwrap();
    wait_after(&*store, number).await;
    assert_eq!(kept(&*store, number).await.0, [b"third".to_vec()]);
    assert_eq!(store.verify().await.unwrap().problems, []);
}

/// What is settled a second time, or was deleted meanwhile, leaves no record, and neither does a
/// claim that is given back.
pub async fn there_is_no_record_of_what_is_not_settled(store: Arc<dyn Store>) {
    let id = accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    for _ in 0..2 {
        store.settle(recorded(&entry, NEVER, &[b"put off"])).await.unwrap();
    }
    store.give_back("one.example", entry.id, 0);
    assert!(store.delete(id, None).await.unwrap());
    store.settle(recorded(&entry, 0, &[b"deleted"])).await.unwrap();
    accept(&*store, &["a@one.example", "b@two.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    for _ in 0..2 {
        store.settle(recorded(&entry, 0, &[b"delivered"])).await.unwrap();
    }
    let last = settled_with(&*store, b"last").await;
    let kept = kept(&*store, 0).await;
    assert_eq!(kept.0, [&b"put off"[..], b"delivered", b"last"]);
    assert_eq!(kept.1, last);
}

/// A record is what was given, whatever its length; a page is of records, not of their pieces.
pub async fn records_of_every_length_are_given_as_they_were(store: Arc<dyn Store>) {
    let lengths = [0, 1, 3_999, 4_000, 4_001, 8_000, 30_000, RecordBytes::MOST];
    let records: Vec<Vec<u8>> = lengths.iter().map(|length| pattern(*length)).collect();
    accept(&*store, &["a@one.example"], b"x").await;
    let entry = claim_one(&*store).await.unwrap();
    let given: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    store.settle(recorded(&entry, 0, &given)).await.unwrap();
    wait_after(&*store, 0).await;
    assert!(kept(&*store, 0).await.0 == records);
    let (mut paged, mut after) = (Vec::new(), 0);
    for _ in &records {
        let page = store.records(after, 1).await.unwrap();
        assert_eq!(page.len(), 1);
        after = page.first().unwrap().number;
        paged.extend(page.into_iter().map(|one| one.bytes));
    }
    assert!(paged == records);
    assert_eq!(RecordBytes::new(vec![0; RecordBytes::MOST + 1]), None);
}

/// What is forgotten is gone, once or twice; what came after it is not.
pub async fn what_is_forgotten_is_not_given_again(store: Arc<dyn Store>) {
    let long = pattern(9_000);
    let mut numbers = Vec::new();
    for record in [b"one", long.as_slice(), b"three"] {
        numbers.push(settled_with(&*store, record).await);
    }
    let second = *numbers.get(1).unwrap();
    for _ in 0..2 {
        store.forget_records(second).await.unwrap();
        assert_eq!(kept(&*store, 0).await.0, [b"three".to_vec()]);
    }
    store.forget_records(RecordNumber::MAX).await.unwrap();
    assert_eq!(kept(&*store, 0).await.0, Vec::<Vec<u8>>::new());
    assert!(settled_with(&*store, b"four").await > *numbers.last().unwrap());
    assert_eq!(kept(&*store, second).await.0, [b"four".to_vec()]);
}

/// A number is never given twice, not even when all records are forgotten and the process is killed;
/// records that are not forgotten are there again.
pub async fn numbers_of_records_rise_after_a_kill_too(home: Box<dyn Home>) {
    let store = opened(&*home).await;
    let forgotten = settled_with(&*store, b"forgotten").await;
    store.forget_records(forgotten).await.unwrap();
    let left = home.killed().await;
    let store = opened(&*left).await;
    assert_eq!(*store.last_record().borrow(), forgotten);
    let next = settled_with(&*store, b"next").await;
    assert!(next > forgotten, "{next} after {forgotten}");
    let left = left.killed().await;
    let store = opened(&*left).await;
    assert_eq!(kept(&*store, 0).await, (vec![b"next".to_vec()], next));
    store.close().await;
}
