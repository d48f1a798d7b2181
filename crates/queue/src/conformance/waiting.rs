//! What recipients wait for is counted as it changes.

use mail::{Outcome, QueueId, Reason, ReasonClass};
use store::conformance::Home;
use store::{Selection, Waiting};

use crate::conformance::bench::{Bench, bounced, delivered_outcome, reason};

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
async fn waiting(home: Box<dyn Home>) -> (Bench, [QueueId; 2]) {
    let bench = Bench::new(home).await;
    let first = bench.accept(&["a@one.example", "b@one.example", "c@one.example"], b"x").await;
    let policy = || because(ReasonClass::Policy);
    settle(&bench, vec![policy(), because(ReasonClass::Reply), policy()]).await;
    let second = bench.accept(&["a@two.example"], b"x").await;
    settle(&bench, vec![because(ReasonClass::Connect)]).await;
    (bench, [first, second])
}

pub async fn what_recipients_wait_for_is_counted_until_they_do_not(home: Box<dyn Home>) {
    let (bench, [first, second]) = waiting(home).await;
    assert_eq!(counts(&bench), [2, 1, 1]);
    bench.queue.hold(first).await.unwrap();
    assert_eq!(counts(&bench), [0, 0, 1], "what is on hold waits for nobody");
    bench.queue.release(first).await.unwrap();
    assert_eq!(counts(&bench), [2, 1, 1]);
    bench.queue.delete(second, None).await.unwrap();
    assert_eq!(counts(&bench), [2, 1, 0]);
    let lease = bench.lease().await.unwrap();
    assert_eq!(counts(&bench), [2, 1, 0], "nor does an attempt end it");
    let outcomes = vec![delivered_outcome(), bounced("no"), because(ReasonClass::Policy)];
    bench.queue.settle(lease, outcomes, None).await.unwrap();
    assert_eq!(counts(&bench), [1, 0, 0]);
    bench.queue.retry(Selection::All).await.unwrap();
    assert_eq!(counts(&bench), [1, 0, 0]);
    settle(&bench, vec![delivered_outcome()]).await;
    assert_eq!(bench.queue.waiting(), Waiting::NOBODY);
}
