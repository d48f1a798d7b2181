//! Looking into the queue and changing it by hand.

use std::time::Duration;

use clock::Clock as _;
use mail::{Begins, Outcome, QueueId, Reason, ReasonClass, State};
use smtp::ReversePath;
use store::conformance::Home;
use store::{BodyError, Filter, Matching, Selection, StateKind};
use tokio::io::AsyncReadExt as _;

use crate::conformance::bench::{
    Bench, deferred, envelope, own_message, read, reason, start, submitter,
};
use crate::lease::Lease;
use crate::schedule::{Jitter, RetrySchedule};

fn domain(text: &str) -> smtp::MailboxDomain {
    smtp::MailboxDomain::parse(text).unwrap()
}

pub async fn a_held_message_is_not_leased_until_it_is_released(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    assert!(bench.queue.hold(id).await.unwrap());
    assert!(!bench.queue.hold(id).await.unwrap());
    assert!(bench.lease().await.is_none());
    bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    bench.clock.advance(Duration::from_secs(3_600));
    let bench = bench.restart().await;
    assert!(bench.lease().await.is_none());
    assert_eq!(bench.queue.retry(Selection::All).await.unwrap(), 0);
    assert_eq!(bench.queue.store().show(id).await.unwrap().unwrap().state, State::OnHold);
    assert!(bench.queue.release(id).await.unwrap());
    assert_eq!(bench.deliver_all().await.len(), 2);
}

pub async fn what_staging_holds_is_told_from_what_an_operator_holds(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let held = envelope(&["a@one.example", "b@two.example"]).beginning(Begins::HeldByStaging);
    let staged = bench.queue.begin(submitter(), held).unwrap().commit().await.unwrap().id();
    let on_hold = bench.accept(&["a@one.example"], b"x").await;
    bench.queue.hold(on_hold).await.unwrap();
    for bench in [bench.copy().await, bench.restart().await.killed().await] {
        assert!(bench.lease().await.is_none());
        for (state, id) in [(StateKind::HeldByStaging, staged), (StateKind::OnHold, on_hold)] {
            let filter = Filter { state: Some(state), ..Filter::default() };
            let found = bench.queue.store().list(&filter, None, 99).await.unwrap();
            let found: Vec<_> =
                found.iter().map(|one| (one.id, StateKind::from(&one.state))).collect();
            assert_eq!(found, [(id, state)]);
        }
        let counts = bench.queue.store().counts().await.unwrap();
        assert_eq!((counts.held_by_staging.messages, counts.on_hold.messages), (1, 1));
        assert!(bench.queue.release(staged).await.unwrap());
        assert_eq!(bench.deliver_all().await.len(), 2);
        assert_eq!(bench.ids().await, [on_hold]);
    }
}

pub async fn what_staging_holds_is_on_hold_once_an_operator_says_so(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let held = envelope(&["a@one.example"]).beginning(Begins::HeldByStaging);
    let id = bench.queue.begin(submitter(), held).unwrap().commit().await.unwrap().id();
    assert!(bench.queue.hold(id).await.unwrap());
    let bench = bench.restart().await;
    assert_eq!(bench.queue.store().show(id).await.unwrap().unwrap().state, State::OnHold);
    assert!(bench.queue.release(id).await.unwrap());
    assert_eq!(bench.deliver_all().await.len(), 1);
}

pub async fn a_deleted_message_is_gone_and_its_bounce_is_there(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    let bounce_id = bounce.id();
    assert!(bench.queue.delete(id, Some(bounce)).await.unwrap());
    assert!(!bench.queue.delete(id, None).await.unwrap());
    assert_eq!(bench.ids().await, [bounce_id]);
    assert!(matches!(read(&lease).await, Err(BodyError::Gone)));
    let settled = bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    assert!(settled.message_gone);
    assert_eq!(bench.ids().await, [bounce_id]);
    let bench = bench.killed().await;
    assert_eq!(bench.ids().await, [bounce_id]);
}

pub async fn messages_are_retried_by_id_by_destination_or_all(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let first = bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    bench.accept(&["c@one.example"], b"x").await;
    let defer_all = async || {
        while let Some(lease) = bench.lease().await {
            bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
        }
    };
    for (selection, moved) in [
        (Selection::Message(first), 2),
        (Selection::Destination(domain("one.example")), 2),
        (Selection::All, 3),
        (Selection::Destination(domain("three.example")), 0),
    ] {
        defer_all().await;
        assert!(bench.lease().await.is_none());
        assert_eq!(bench.queue.retry(selection.clone()).await.unwrap(), moved, "{selection:?}");
        assert_eq!(
            bench
                .queue
                .store()
                .stats()
                .await
                .unwrap()
                .destinations
                .iter()
                .map(|d| d.due)
                .sum::<u64>(),
            u64::try_from(moved).unwrap()
        );
    }
}

pub async fn each_message_that_waits_for_a_destination_is_tried_once_more_and_counted_once(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    for n in 0..600 {
        bench.accept(&[&format!("{n}@one.example")], b"x").await;
    }
    let defer = async |lease: Lease| {
        bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    };
    while let Some(lease) = bench.lease().await {
        defer(lease).await;
    }
    let mut tried = std::collections::HashMap::new();
    let counted = {
        let retry = bench.queue.retry(Selection::Destination(domain("one.example")));
        tokio::pin!(retry);
        loop {
            // Attempts go on and fail while the others are moved.
            while let Some(lease) = bench.lease().await {
                *tried.entry(lease.id()).or_insert(0) += 1;
                defer(lease).await;
            }
            tokio::select! {
                biased;
                counted = &mut retry => break counted.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    while let Some(lease) = bench.lease().await {
        *tried.entry(lease.id()).or_insert(0) += 1;
        defer(lease).await;
    }
    assert_eq!(counted, 600);
    assert_eq!(tried.len(), 600);
    assert!(tried.values().all(|times| *times == 1), "{tried:?}");
}

pub async fn a_retry_by_hand_puts_off_no_attempt_that_was_planned(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example"], b"x").await;
    let next = async |bench: &Bench| {
        bench.queue.store().show(id).await.unwrap().unwrap().entries[0].next_attempt.unwrap()
    };
    let fail = async |bench: &Bench| {
        let lease = bench.lease().await.unwrap();
        bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    };
    fail(&bench).await;
    let planned = next(&bench).await;
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(10));
        // Twice before it is tried is once.
        assert_eq!(bench.queue.retry(Selection::Message(id)).await.unwrap(), 1);
        assert_eq!(bench.queue.retry(Selection::All).await.unwrap(), 1);
        fail(&bench).await;
        assert_eq!(next(&bench).await, planned);
        assert!(bench.lease().await.is_none());
    }
    let bench = bench.restart().await;
    assert_eq!(next(&bench).await, planned);
    bench.clock.advance(planned.duration_since(bench.clock.now()).unwrap());
    fail(&bench).await;
    let wait = next(&bench).await.duration_since(bench.clock.now()).unwrap();
    let second = RetrySchedule::default().wait(2, Jitter::at(0.5));
    assert!(wait >= second.mul_f64(0.89) && wait <= second.mul_f64(1.11), "{wait:?}");
    assert_eq!(bench.queue.store().show(id).await.unwrap().unwrap().entries[0].attempts, 5);
}

pub async fn a_retry_while_the_attempt_is_under_way_calls_for_no_other(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let one = || Selection::Destination(domain("one.example"));
    assert_eq!(bench.queue.retry(one()).await.unwrap(), 0, "it does not wait");
    bench.queue.retry(Selection::All).await.unwrap();
    bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    assert!(bench.lease().await.is_none());
}

pub async fn a_long_line_is_retried_to_its_end(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let names: Vec<String> = (0..1_500).map(|n| format!("a@d{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.accept(&names, b"x").await;
    while let Some(lease) = bench.lease().await {
        bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    }
    assert_eq!(bench.queue.retry(Selection::All).await.unwrap(), 1_500);
    assert_eq!(bench.deliver_all().await.len(), 1_500);
}

pub async fn the_list_is_filtered_and_goes_on_where_it_was(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let first = bench.accept(&["a@one.example"], b"x").await;
    bench.clock.advance(Duration::from_secs(100));
    let second = bench.accept(&["a@one.example", "b@two.example"], b"xyz").await;
    let third = bench.queue.begin_own(own_message("c@two.example")).unwrap();
    let third = third.commit().await.unwrap().id();
    bench.queue.hold(second).await.unwrap();
    let list = async |filter: Filter| -> Vec<QueueId> {
        let found = bench.queue.store().list(&filter, None, 99).await.unwrap();
        found.into_iter().map(|summary| summary.id).collect()
    };
    let any = Filter::default;
    assert_eq!(list(any()).await, [first, second, third]);
    assert_eq!(list(Filter { sender: Some(ReversePath::Null), ..any() }).await, [third]);
    assert_eq!(
        list(Filter { destination: Some(domain("two.example")), ..any() }).await,
        [second, third]
    );
    assert_eq!(list(Filter { state: Some(StateKind::OnHold), ..any() }).await, [second]);
    assert_eq!(list(Filter { older_than: Some(Duration::from_secs(50)), ..any() }).await, [first]);
    let matching = async |filter: Filter| bench.queue.store().matching(&filter).await.unwrap();
    assert_eq!(matching(any()).await, Matching { messages: 3, last: Some(third) });
    let at_two = Filter { destination: Some(domain("two.example")), ..any() };
    assert_eq!(matching(at_two).await, Matching { messages: 2, last: Some(third) });
    let old = Filter { older_than: Some(Duration::from_secs(500)), ..any() };
    assert_eq!(matching(old).await, Matching::default());
    let page = bench.queue.store().list(&any(), Some(first), 1).await.unwrap();
    assert_eq!(page[0].id, second);
    assert_eq!((page[0].recipients, page[0].message.size, page[0].next_attempt), (2, 3, None));
}

/// A recipient is deferred for a reason of this class, which has these words.
fn because(class: ReasonClass, text: &str) -> Outcome {
    Outcome::Deferred(Reason { class, ..reason(text) })
}

pub async fn the_list_is_narrowed_by_what_recipients_wait_for_and_shows_that_reason(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    let both = bench.accept(&["a@one.example", "b@one.example", "c@two.example"], b"x").await;
    while let Some(lease) = bench.lease().await {
        let reply = || because(ReasonClass::Reply, "greylisted");
        let outcomes = match lease.recipients().len() {
            2 => vec![reply(), because(ReasonClass::Policy, "no STARTTLS")],
            _ => vec![because(ReasonClass::Unknown, "of old")],
        };
        bench.queue.settle(lease, outcomes, None).await.unwrap();
    }
    let untried = bench.accept(&["d@one.example"], b"x").await;
    let found = async |class: Option<ReasonClass>, at: &str| -> Vec<(QueueId, Option<String>)> {
        let destination = (!at.is_empty()).then(|| domain(at));
        let filter = Filter { reason: class, destination, ..Filter::default() };
        let found = bench.queue.store().list(&filter, None, 9).await.unwrap();
        let matching = bench.queue.store().matching(&filter).await.unwrap().messages;
        assert_eq!(matching, u64::try_from(found.len()).unwrap());
        found.into_iter().map(|one| (one.id, one.reason.map(|reason| reason.text))).collect()
    };
    let as_told = |text: &str| vec![(both, Some(text.to_owned()))];
    assert_eq!(found(None, "").await, [as_told("greylisted"), vec![(untried, None)]].concat());
    assert_eq!(found(Some(ReasonClass::Policy), "").await, as_told("no STARTTLS"));
    assert_eq!(found(Some(ReasonClass::Reply), "one.example").await, as_told("greylisted"));
    assert_eq!(found(Some(ReasonClass::Reply), "two.example").await, []);
    assert_eq!(found(Some(ReasonClass::Connect), "").await, []);
    assert_eq!(found(Some(ReasonClass::Other), "").await, as_told("of old"), "of no known class");
}

pub async fn of_messages_that_are_retried_only_the_entries_that_are_meant_are_moved(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    let first = bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    let second = bench.accept(&["c@one.example"], b"x").await;
    let on_hold = bench.accept(&["d@one.example"], b"x").await;
    while let Some(lease) = bench.lease().await {
        bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    }
    bench.queue.hold(on_hold).await.unwrap();
    let gone = QueueId::from_number(1);
    let at_one = Filter { destination: Some(domain("one.example")), ..Filter::default() };
    let ids = [gone, first, second, on_hold];
    assert_eq!(bench.queue.retry_messages(&ids, &at_one).await.unwrap(), 2);
    let due: Vec<_> =
        bench.queue.store().stats().await.unwrap().destinations.iter().map(|d| d.due).collect();
    assert_eq!(due, [2, 0]);
    assert_eq!(bench.deliver_all().await.len(), 2);
}

pub async fn a_message_is_shown_with_what_is_known_of_each_recipient(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    bench.queue.settle(lease, vec![deferred("one"), deferred("two")], None).await.unwrap();
    let shown = bench.queue.store().show(id).await.unwrap().unwrap();
    assert_eq!(shown.entries.len(), 1);
    let entry = &shown.entries[0];
    assert_eq!((entry.attempts, entry.destination.clone()), (1, domain("one.example")));
    assert!(entry.next_attempt.unwrap() > start());
    assert_eq!(entry.recipients[1].reason, Some(reason("two")));
    let summary = bench.queue.store().list(&Filter::default(), None, 1).await.unwrap().remove(0);
    assert_eq!((summary.attempts, summary.reason), (1, Some(reason("one"))));
    assert_eq!(bench.queue.store().show(QueueId::from_number(1)).await.unwrap(), None);
    let mut body = Vec::new();
    bench.queue.store().body(id).await.unwrap().read_to_end(&mut body).await.unwrap();
    assert_eq!(body, b"x");
}

pub async fn stats_show_depth_and_oldest_age_of_each_destination(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    bench.clock.advance(Duration::from_secs(100));
    bench.accept(&["a@one.example", "a@two.example"], b"x").await;
    let stats = bench.queue.store().stats().await.unwrap();
    assert_eq!(stats.totals.messages, 2);
    let seen: Vec<_> = stats
        .destinations
        .iter()
        .map(|depth| (depth.destination.as_str(), depth.entries, depth.due, depth.oldest.as_secs()))
        .collect();
    assert_eq!(seen, [("one.example", 2, 2, 100), ("two.example", 1, 1, 0)]);
}

pub async fn stats_say_of_each_destination_what_most_of_its_mail_waits_for(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    for _ in 0..3 {
        bench.accept(&["a@one.example"], b"x").await;
    }
    let on_hold = bench.accept(&["a@two.example"], b"x").await;
    bench.queue.hold(on_hold).await.unwrap();
    let classes = [ReasonClass::Policy, ReasonClass::Dns, ReasonClass::Policy];
    for class in classes {
        let lease = bench.lease().await.unwrap();
        let outcomes = vec![because(class, class.word())];
        bench.queue.settle(lease, outcomes, None).await.unwrap();
    }
    let destinations = bench.queue.store().stats().await.unwrap().destinations;
    assert_eq!(destinations[0].waiting, [(ReasonClass::Dns, 1), (ReasonClass::Policy, 2)]);
    let told = destinations[0].reason.clone().map(|reason| reason.text);
    assert_eq!(told.as_deref(), Some("policy"));
    let two = &destinations[1];
    assert_eq!((two.entries, two.on_hold, &two.waiting[..], &two.reason), (0, 1, &[][..], &None));
}
