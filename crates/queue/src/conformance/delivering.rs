//! Leasing and settling.

use std::time::Duration;

use clock::Clock as _;
use mail::DelayNotice;
use store::conformance::{Home, pattern};
use store::{BodyError, Selection, StoreError, Totals};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::conformance::bench::{
    Bench, bounced, deferred, delivered_outcome, own_message, read, reason, start,
};
use crate::destination_health::DestinationHealth;
use crate::lease::Lease;
use crate::schedule::RetrySchedule;
use crate::settings::{QueueSettings, QueueTuning};

pub async fn a_deferred_entry_is_due_again_later_and_keeps_what_is_known(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@one.example", "c@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let outcomes = vec![deferred("greylisted"), delivered_outcome(), deferred("full")];
    let settled = bench.queue.settle(lease, outcomes, None).await.unwrap();
    assert_eq!((settled.deferred, settled.message_gone), (2, false));
    let wait = settled.next_attempt.unwrap().duration_since(start()).unwrap();
    assert!(wait >= Duration::from_secs(270) && wait <= Duration::from_secs(330), "{wait:?}");
    assert!(bench.lease().await.is_none());
    bench.clock.advance(Duration::from_secs(269));
    assert!(bench.lease().await.is_none());
    let bench = bench.restart().await;
    bench.clock.advance(Duration::from_secs(62));
    let lease = bench.lease().await.unwrap();
    assert_eq!((lease.id(), lease.attempts()), (id, 1));
    assert_eq!(lease.queued_for(bench.clock.now()), Duration::from_secs(331));
    let left: Vec<_> = lease.recipients().iter().map(|r| r.mailbox.to_string()).collect();
    assert_eq!(left, ["a@one.example", "c@one.example"]);
    assert_eq!(lease.reasons(), [Some(reason("greylisted")), Some(reason("full"))]);
}

pub async fn attempts_grow_and_waits_with_them(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let mut waits = Vec::new();
    for attempt in 0..9 {
        let lease = bench.lease().await.unwrap();
        assert_eq!(lease.attempts(), attempt);
        let settled = bench.queue.settle(lease, vec![deferred("no")], None).await.unwrap();
        let next = settled.next_attempt.unwrap();
        waits.push(next.duration_since(bench.clock.now()).unwrap().as_secs() / 60);
        bench.clock.set(next);
    }
    for (wait, middle) in waits.iter().zip([5, 10, 20, 40, 80, 160, 240, 240, 240]) {
        assert!(*wait >= middle * 9 / 10 - 1 && *wait <= middle * 11 / 10, "{waits:?}");
    }
}

pub async fn waits_grow_by_the_settings_that_are_given(home: Box<dyn Home>) {
    let minute = Duration::from_secs(60);
    let retry = RetrySchedule { first: minute, most: 3 * minute };
    let bench = Bench::with_queue(home, QueueSettings { retry, ..QueueSettings::default() }).await;
    bench.accept(&["a@one.example"], b"x").await;
    for (attempt, middle) in (0..).zip([minute, 2 * minute, 3 * minute, 3 * minute]) {
        let lease = bench.lease().await.unwrap();
        assert_eq!(lease.attempts(), attempt);
        let settled = bench.queue.settle(lease, vec![deferred("no")], None).await.unwrap();
        let next = settled.next_attempt.unwrap();
        let wait = next.duration_since(bench.clock.now()).unwrap();
        // The time of an attempt is kept in whole milliseconds.
        let least = middle.mul_f64(0.9) - Duration::from_millis(1);
        assert!(wait >= least && wait <= middle.mul_f64(1.1), "{attempt}: {wait:?}");
        bench.clock.set(next);
    }
}

pub async fn a_message_expires_at_the_end_of_its_lifetime(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let lifetime = Duration::from_secs(5 * 24 * 3600);
    assert!(!lease.expired(start() + lifetime - Duration::from_secs(1)));
    assert!(lease.expired(start() + lifetime));
    assert!(!lease.expired(start() - lifetime), "a clock that went back expires nothing");
}

pub async fn a_changed_lifetime_counts_for_both_ends(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    for hours in [2, 24 * 30] {
        let lifetime = Duration::from_secs(hours * 3_600);
        bench.queue.tune(QueueTuning { lifetime, ..QueueSettings::default().tuning() });
        let end = lease.expires_at().unwrap();
        assert_eq!(end, start() + lifetime);
        assert!(lease.expired(end) && !lease.expired(end - Duration::from_secs(1)));
    }
}

pub async fn a_dropped_lease_returns_after_a_rest(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    drop(bench.lease().await.unwrap());
    assert!(bench.lease().await.is_none());
    assert_eq!(bench.queue.leased(), 0);
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.lease().await.unwrap().attempts(), 0);
}

pub async fn a_settled_message_is_gone_after_a_crash_too(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    assert_eq!(bench.deliver_all().await.len(), 2);
    assert_eq!(bench.queue.totals(), Totals::default());
    let bench = bench.killed().await;
    assert!(bench.lease().await.is_none());
    assert!(bench.ids().await.is_empty());
}

pub async fn a_dead_domain_with_many_messages_delays_nobody(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    for n in 0..200 {
        bench.accept(&[&format!("{n}@dead.example")], b"x").await;
    }
    for n in 0..5 {
        bench.accept(&[&format!("a@live-{n}.example")], b"x").await;
    }
    let mut dead = Vec::new();
    let mut live = 0;
    while live < 5 {
        let lease = bench.queue.lease(3).await.unwrap().expect("a live domain is leased");
        if lease.destination().to_string() == "dead.example" {
            dead.push(lease);
        } else {
            live += 1;
            bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
        }
    }
    assert!(dead.len() <= 3);
    while let Some(lease) = bench.queue.lease(3).await.unwrap() {
        dead.push(lease);
    }
    assert_eq!(dead.len(), 3);
}

pub async fn thousands_of_domains_are_served_while_one_is_dead_and_mail_that_comes_late_is_next(
    home: Box<dyn Home>,
) {
    const PER_DESTINATION: usize = 5;
    let bench = Bench::new(home).await;
    for n in 0..100 {
        bench.accept(&[&format!("{n}@dead.example")], b"x").await;
    }
    let names: Vec<String> = (0..2_000).map(|n| format!("a@live-{n}.example")).collect();
    bench.accept(&names.iter().map(String::as_str).collect::<Vec<_>>(), b"x").await;
    let (mut dead, mut settling) = (Vec::new(), JoinSet::new());
    while let Some(lease) = bench.queue.lease(PER_DESTINATION).await.unwrap() {
        if lease.destination().to_string() == "dead.example" {
            dead.push(lease);
        } else {
            let queue = bench.queue.clone();
            settling
                .spawn(async move { queue.settle(lease, vec![delivered_outcome()], None).await });
        }
    }
    assert_eq!(settling.len(), names.len(), "each live domain had its turn");
    assert_eq!(dead.len(), PER_DESTINATION);
    while let Some(settled) = settling.join_next().await {
        settled.unwrap().unwrap();
    }
    // The dead domain's attempts end, and 95 more of its messages are due.
    for lease in dead.drain(..) {
        bench.queue.settle(lease, vec![deferred("no host answered")], None).await.unwrap();
    }
    let late = bench.accept(&["a@late.example"], b"x").await;
    let mut next: Vec<Lease> = Vec::new();
    for _ in 0..2 {
        next.extend(bench.queue.lease(PER_DESTINATION).await.unwrap());
    }
    assert_eq!(next.len(), 2);
    assert!(next.iter().any(|lease| lease.id() == late));
}

pub async fn a_bounce_is_in_the_queue_when_its_message_has_left_it(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    let bounce_id = bounce.id();
    bounce.write(b"it bounced").await.unwrap();
    let settled = bench.queue.settle(lease, vec![bounced("no such user")], Some(bounce)).await;
    assert!(settled.unwrap().message_gone);
    let bench = bench.killed().await;
    assert_eq!(bench.ids().await, [bounce_id]);
    assert_ne!(bounce_id, id);
    let lease = bench.lease().await.unwrap();
    assert_eq!(read(&lease).await.unwrap(), b"it bounced");
}

pub async fn a_big_bounce_is_in_the_queue_too(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    bounce.write(&pattern(600_000)).await.unwrap();
    bench.queue.settle(lease, vec![bounced("no")], Some(bounce)).await.unwrap();
    let bench = bench.restart().await;
    assert!(read(&bench.lease().await.unwrap()).await.unwrap() == pattern(600_000));
}

pub async fn there_is_one_outcome_for_each_recipient(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example", "b@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let refused = bench.queue.settle(lease, vec![delivered_outcome()], None).await;
    assert!(matches!(refused, Err(StoreError::OutcomeCount { given: 1, recipients: 2 })));
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.lease().await.unwrap().recipients().len(), 2);
}

pub async fn a_settlement_that_is_refused_gives_back_every_lease_of_it(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example", "b@two.example"], b"x").await;
    let parts = vec![
        (bench.lease().await.unwrap(), vec![delivered_outcome()].into()),
        (bench.lease().await.unwrap(), Vec::new().into()),
    ];
    let refused = bench.queue.settle_together(id, parts, None).await;
    assert!(matches!(refused, Err(StoreError::OutcomeCount { given: 0, recipients: 1 })));
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.deliver_all().await.len(), 2);
}

pub async fn work_is_announced_when_a_message_comes_and_when_its_time_comes(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let waiting = bench.queue.clone();
    let work = async move { waiting.work(DestinationHealth::Failing).await };
    tokio::pin!(work);
    assert!(timeout(Duration::from_millis(50), &mut work).await.is_err());
    bench.accept(&["a@one.example"], b"x").await;
    timeout(Duration::from_secs(20), &mut work).await.unwrap();
    let lease = bench.lease().await.unwrap();
    assert!(bench.lease().await.is_none());
    assert!(
        timeout(Duration::from_millis(50), bench.queue.work(DestinationHealth::Failing))
            .await
            .is_err()
    );
    bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    assert!(
        timeout(Duration::from_millis(50), bench.queue.work(DestinationHealth::Failing))
            .await
            .is_err()
    );
    bench.clock.advance(Duration::from_secs(400));
    timeout(Duration::from_secs(20), bench.queue.work(DestinationHealth::Failing)).await.unwrap();
    assert!(bench.lease().await.is_some());
}

pub async fn a_settlement_goes_on_when_nobody_waits_for_it(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    let bounce_id = bounce.id();
    {
        let settle = bench.queue.settle(lease, vec![bounced("no")], Some(bounce));
        tokio::pin!(settle);
        assert!(futures_poll(settle.as_mut()).await.is_none(), "the answer takes a sync");
    }
    let bench = bench.restart().await;
    assert_eq!(bench.ids().await, [bounce_id]);
}

pub async fn what_is_leased_while_many_are_moved_to_now_knows_that_an_operator_wished_it(
    home: Box<dyn Home>,
) {
    let bench = Bench::new(home).await;
    for n in 0..600 {
        bench.accept(&[&format!("{n}@one.example")], b"x").await;
    }
    let mut retry_epoch = 0;
    while let Some(lease) = bench.lease().await {
        retry_epoch = lease.retry_epoch();
        bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
    }
    let retry = bench.queue.retry(Selection::All);
    tokio::pin!(retry);
    let lease = loop {
        assert!(futures_poll(retry.as_mut()).await.is_none(), "more than one slice");
        match bench.lease().await {
            Some(lease) => break lease,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert_ne!(lease.retry_epoch(), retry_epoch);
    assert_eq!(retry.await.unwrap(), 600);
}

/// Polls once.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

pub async fn who_was_told_of_a_delay_is_known_after_a_restart(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example", "b@one.example", "c@one.example"], b"x").await;
    let mut lease = bench.lease().await.unwrap();
    assert_eq!(lease.delays(), [DelayNotice::Due; 3]);
    lease.delay_notices_sent(|place| place == 2);
    let outcomes = vec![delivered_outcome(), deferred("later"), deferred("later")];
    bench.queue.settle(lease, outcomes, None).await.unwrap();
    let bench = bench.restart().await;
    bench.clock.advance(Duration::from_secs(400));
    let lease = bench.lease().await.unwrap();
    assert_eq!(lease.delays(), [DelayNotice::Due, DelayNotice::Sent]);
    // Whoever was told stays told.
    bench.queue.settle(lease, vec![deferred("later"), deferred("later")], None).await.unwrap();
    bench.clock.advance(Duration::from_secs(800));
    assert_eq!(bench.lease().await.unwrap().delays(), [DelayNotice::Due, DelayNotice::Sent]);
}

pub async fn a_delay_that_is_told_in_a_dropped_lease_is_not_told(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    bench.accept(&["a@one.example"], b"x").await;
    let mut lease = bench.lease().await.unwrap();
    lease.delay_notices_sent(|_| true);
    drop(lease);
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.lease().await.unwrap().delays(), [DelayNotice::Due]);
}

pub async fn a_full_entry_has_room_for_every_recipient_that_was_told(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    // As long as recipients can be in an entry of as many as it may have.
    let all: Vec<String> = (0..300).map(|n| format!("recipient-{n:03}@long.example")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    bench.accept(&all, b"x").await;
    let mut lease = bench.lease().await.unwrap();
    assert_eq!(lease.recipients().len(), 100);
    lease.delay_notices_sent(|_| true);
    let outcomes = vec![deferred("later"); 100];
    assert_eq!(bench.queue.settle(lease, outcomes, None).await.unwrap().deferred, 100);
}

pub async fn a_message_that_was_deleted_is_gone_from_memory_too(home: Box<dyn Home>) {
    let bench = Bench::new(home).await;
    let id = bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    assert!(bench.queue.delete(id, None).await.unwrap());
    assert!(matches!(lease.body().await, Err(BodyError::Gone)));
}

/// Waits for an entry that is due, as the store brings it forward.
async fn lease_soon(bench: &Bench) -> Lease {
    let soon = async {
        loop {
            if let Some(lease) = bench.lease().await {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), soon).await.expect("an entry that is due")
}

pub async fn no_attempt_is_later_than_the_longest_wait_whatever_the_clock_was(home: Box<dyn Home>) {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for restarts in [false, true] {
        let mut bench = Bench::new(home.another().await).await;
        for n in 0..300 {
            bench.accept(&[&format!("{n}@one.example"), &format!("a@d{n}.example")], b"x").await;
        }
        bench.clock.leap(year);
        while let Some(lease) = bench.lease().await {
            bench.queue.settle(lease, vec![deferred("later")], None).await.unwrap();
        }
        bench.clock.set(start());
        if restarts {
            bench = bench.restart().await;
        }
        for _ in 0..600 {
            let lease = lease_soon(&bench).await;
            assert_eq!(lease.queued_for(bench.clock.now()), Duration::ZERO);
            bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
        }
        assert!(bench.ids().await.is_empty());
    }
}
