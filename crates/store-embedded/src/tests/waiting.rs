//! What recipients wait for is counted as it changes, and right after every kind of start.

use super::*;
use crate::index::{Lookup as _, SledEngine};
use crate::key::Key;
use crate::rows::StoreRow;

/// What is counted for policy, reply and connect.
fn counts(bench: &Bench) -> [u64; 3] {
    let waiting = bench.queue.waiting();
    [ReasonClass::Policy, ReasonClass::Reply, ReasonClass::Connect].map(|class| waiting.of(class))
}

/// A recipient is deferred for a reason of this class.
fn because(class: ReasonClass) -> Outcome {
    Outcome::Deferred(Reason { class, ..reason("not now") })
}

/// Leases what is due now and settles it so.
async fn settle(bench: &Bench, outcomes: Vec<Outcome>) {
    let lease = bench.lease().await.unwrap();
    bench.queue.settle(lease, outcomes, None).await.unwrap();
}

/// Two messages: one with two recipients who wait for a policy and one who waits for a reply, and one
/// that waits for a connection.
async fn waiting() -> (Bench, [QueueId; 2]) {
    let bench = Bench::new().await;
    let first = bench.accept(&["a@one.example", "b@one.example", "c@one.example"], b"x").await;
    let policy = || because(ReasonClass::Policy);
    settle(&bench, vec![policy(), because(ReasonClass::Reply), policy()]).await;
    let second = bench.accept(&["a@two.example"], b"x").await;
    settle(&bench, vec![because(ReasonClass::Connect)]).await;
    (bench, [first, second])
}

#[tokio::test]
async fn what_recipients_wait_for_is_known_after_a_crash_and_after_an_end_in_order() {
    let (bench, _) = waiting().await;
    let bench = bench.crash().await;
    assert_eq!(counts(&bench), [2, 1, 1]);
    bench.queue.close().await;
    let bench = bench.opened_again().await;
    assert_eq!(counts(&bench), [2, 1, 1]);
    bench.queue.close().await;
    fs::remove_dir_all(bench.path("index")).unwrap();
    let bench = bench.opened_again().await;
    assert_eq!(bench.queue.waiting(), Waiting::NOBODY, "reasons are lost with the index");
}

#[tokio::test]
async fn numbers_that_are_not_those_of_the_last_commit_group_are_counted_again() {
    let (bench, _) = waiting().await;
    bench.queue.close().await;
    let engine = SledEngine::open(&bench.path("index")).unwrap();
    let row = engine.find(&Key::store()).unwrap().unwrap();
    let groups = StoreRow::decode(&row).unwrap().groups;
    let kept = engine.find(&Key::waiting()).unwrap();
    assert_eq!(
        kept,
        Some(crate::waiting::encode(&crate::waiting::read(&engine, groups).unwrap(), groups))
    );
    assert_eq!(
        crate::waiting::read(&engine, groups + 1).unwrap(),
        crate::waiting::read(&engine, groups).unwrap()
    );
}
