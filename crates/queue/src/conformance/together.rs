//! Settling several entries of one message at once, and some recipients of an entry before the others.

use mail::{Outcome, Purpose, Recipient, TlsRequired};
use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
use store::conformance::Home;

use crate::conformance::bench::{Bench, deferred, delivered_outcome, reason};
use crate::draft::Draft;
use crate::lease::Lease;
use crate::queue::OwnMessage;

/// A bounce that is in the queue once what it tells of is settled.
async fn bounce(bench: &Bench) -> Draft {
    let own = OwnMessage {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient::new(Mailbox::parse("sender@example.org").unwrap())],
        body: BodyType::SevenBit,
        smtputf8: Smtputf8::NotRequested,
        purpose: Purpose::Mail,
        tls: TlsRequired::Unspecified,
    };
    let mut draft = bench.queue.begin_own(own).unwrap();
    draft.write(b"Subject: failed\r\n\r\n").await.unwrap();
    draft
}

fn bounced() -> Outcome {
    Outcome::Bounced(reason("no such user"))
}

pub async fn entries_of_a_message_are_settled_together_with_one_bounce_or_not_at_all(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@two.example", "c@three.example"], b"x").await;
    let mut leases: Vec<Lease> = Vec::new();
    while let Some(lease) = bench.lease().await {
        leases.push(lease);
    }
    assert_eq!(leases.len(), 3);
    let before = bench.copy().await;
    assert_eq!(before.ids().await, [id], "nothing is settled while the bounce is being written");
    let parts = leases.into_iter().map(|lease| (lease, vec![bounced()].into())).collect();
    let draft = bounce(&bench).await;
    let report = draft.id();
    let settled = bench.queue.settle_together(id, parts, Some(draft)).await.unwrap();
    assert_eq!(settled.iter().filter(|one| one.message_gone).count(), 1);
    assert_eq!(bench.ids().await, [report]);
    assert_eq!(bench.queue.leased(), 0);
    let bench = bench.killed().await;
    assert_eq!(bench.ids().await, [report]);
    assert_eq!(bench.deliver_all().await, [(report, "sender@example.org".to_owned())]);
}

pub async fn who_has_the_message_does_not_get_it_again_while_the_lease_goes_on_for_others(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@one.example", "c@one.example"], b"x").await;
    let mut lease = bench.lease().await.unwrap();
    let outcomes = vec![bounced(), delivered_outcome(), deferred("later")];
    bench.queue.settle_delivered(&mut lease, outcomes, None).await.unwrap();
    let left: Vec<_> = lease.recipients().iter().map(|one| one.mailbox.to_string()).collect();
    assert_eq!(left, ["a@one.example", "c@one.example"]);
    assert_eq!(bench.queue.open_recipients(id).await.unwrap(), 2);
    assert!(bench.lease().await.is_none(), "the others are still leased");
    let crashed = bench.copy().await;
    let again: Vec<_> =
        crashed.deliver_all().await.into_iter().map(|(_, recipient)| recipient).collect();
    assert_eq!(again, ["a@one.example", "c@one.example"]);
    let settled =
        bench.queue.settle(lease, vec![bounced(), deferred("later")], None).await.unwrap();
    assert_eq!((settled.deferred, settled.message_gone), (1, false));
    assert_eq!(bench.queue.open_recipients(id).await.unwrap(), 1);
}

pub async fn a_lease_whose_attempt_has_ended_keeps_no_other_of_its_destination_waiting(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    for _ in 0..2 {
        bench.accept(&["a@one.example"], b"x").await;
    }
    let first = bench.queue.lease(1).await.unwrap().unwrap();
    assert!(bench.queue.lease(1).await.unwrap().is_none());
    first.park();
    first.park();
    let second = bench.queue.lease(1).await.unwrap().unwrap();
    assert_ne!(first.id(), second.id());
    assert!(bench.queue.lease(1).await.unwrap().is_none(), "it is not leased twice");
    bench.queue.settle(first, vec![delivered_outcome()], None).await.unwrap();
    assert!(bench.queue.lease(1).await.unwrap().is_none(), "the second is still leased");
    bench.queue.settle(second, vec![delivered_outcome()], None).await.unwrap();
    assert_eq!((bench.queue.leased(), bench.ids().await.len()), (0, 0));
}
