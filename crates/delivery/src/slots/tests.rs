use access::Networks;
use clock::{Clock, SetClock};
use queue::{
    AtMost, Envelope, Lease, Outcome, Queue, QueueSettings, Reason, ReasonClass, Recipient,
};
use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::scripted::now;
use crate::status::Status;

const ROOM: Room = Room { quick: 8, all: 32 };
const PER_DOMAIN: usize = 10;
const GOOD: &str = "good.example";

#[test]
fn whom_there_is_a_seat_for_depends_on_who_has_the_others() {
    let count = |answering, untried, failing| Count { answering, untried, failing };
    let none = count(0, 0, 0);
    for (quick, slow, expected) in [
        (none, none, Some(DestinationHealth::Failing)),
        // Of the eight for those that have just begun two are for those that fail,
        (count(0, 0, 1), none, Some(DestinationHealth::Failing)),
        (count(0, 0, 2), none, Some(DestinationHealth::Untried)),
        // and two are for those that answer.
        (count(0, 5, 0), none, Some(DestinationHealth::Failing)),
        (count(0, 6, 0), none, Some(DestinationHealth::Answering)),
        (count(0, 4, 2), none, Some(DestinationHealth::Answering)),
        (count(2, 6, 0), none, None),
        (count(8, 0, 0), none, None),
        // Of all the 32 it is eight and eight, quick and slow together.
        (none, count(0, 0, 7), Some(DestinationHealth::Failing)),
        (none, count(0, 0, 8), Some(DestinationHealth::Untried)),
        (count(0, 0, 1), count(0, 0, 7), Some(DestinationHealth::Untried)),
        (none, count(0, 23, 0), Some(DestinationHealth::Failing)),
        (none, count(0, 24, 0), Some(DestinationHealth::Answering)),
        (count(0, 1, 0), count(0, 15, 8), Some(DestinationHealth::Answering)),
        (count(7, 0, 0), count(0, 24, 0), Some(DestinationHealth::Answering)),
        (count(8, 0, 0), count(0, 24, 0), None),
        (count(6, 0, 0), count(0, 25, 0), Some(DestinationHealth::Answering)),
        (count(7, 0, 0), count(0, 25, 0), None),
    ] {
        let slots = DeliverySlots::default();
        *slots.taken() = Taken { quick, slow, ..Taken::default() };
        assert_eq!(slots.free(ROOM), expected, "{quick:?} {slow:?}");
    }
}

#[test]
fn what_is_kept_of_few_places_is_one_and_of_one_none() {
    let others: Vec<_> = (1..=8).map(Room::for_others).collect();
    assert_eq!(others, [1, 1, 2, 3, 4, 5, 6, 6]);
    let failing: Vec<_> = (1..=8).map(Room::for_failing).collect();
    assert_eq!(failing, [1, 1, 1, 1, 2, 2, 2, 2]);
}

fn endless() -> Arc<Patience> {
    Arc::default()
}

#[test]
fn there_is_a_seat_for_everyone_where_there_is_one_worker() {
    let (slots, room) = (Arc::new(DeliverySlots::default()), Room { quick: 1, all: 2 });
    assert_eq!(slots.free(room), Some(DestinationHealth::Failing));
    let mut slot = DeliverySlot::take(&slots, DestinationHealth::Answering, room);
    assert_eq!(slots.free(room), None);
    slot.slows(&endless());
    assert_eq!(slots.free(room), Some(DestinationHealth::Answering), "the other place is kept");
    drop(slot);
    assert_eq!(slots.free(room), Some(DestinationHealth::Failing));
    assert!(slots.taken().waiting.is_empty());
}

#[test]
fn a_slow_attempt_is_no_longer_one_of_a_destination_that_answers() {
    let slots = Arc::new(DeliverySlots::default());
    let mut slot = DeliverySlot::take(&slots, DestinationHealth::Answering, ROOM);
    assert_eq!(slots.taken().quick, Count { answering: 1, untried: 0, failing: 0 });
    slot.slows(&endless());
    assert_eq!(slots.taken().slow, Count { answering: 0, untried: 1, failing: 0 });
    slot.counts_as(DestinationHealth::Failing);
    assert_eq!(slots.taken().slow, Count { answering: 0, untried: 0, failing: 1 });
    drop(slot);
    assert_eq!(slots.taken().slow, Count::default());
    assert_eq!(slots.taken().quick, Count::default());
}

#[tokio::test(start_paused = true)]
async fn when_every_place_is_taken_the_attempt_that_has_heard_nothing_for_the_longest_makes_room() {
    let slots = Arc::new(DeliverySlots::default());
    let mut slow = Vec::new();
    for n in 0..ROOM.all {
        let mut slot = DeliverySlot::take(&slots, DestinationHealth::Answering, ROOM);
        let patience = endless();
        slot.slows(&patience);
        if n == 0 {
            // It sends a message, and would have it twice.
            patience.message_begins();
        }
        slow.push((slot, patience));
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(slots.free(ROOM), None, "none has waited for long");
    tokio::time::advance(DISPLACED_AFTER).await;
    slow[1].1.moved();
    assert_eq!(slots.free(ROOM), Some(DestinationHealth::Answering));
    let _slot = DeliverySlot::take(&slots, DestinationHealth::Answering, ROOM);
    let displaced: Vec<usize> = (0..slow.len()).filter(|n| slow[*n].1.is_displaced()).collect();
    assert_eq!(displaced, [2]);
    // For a destination of which nothing is known one has to have stalled.
    slow.truncate(24);
    assert_eq!(slots.free(ROOM), Some(DestinationHealth::Answering));
    tokio::time::advance(STALLED_AFTER).await;
    assert_eq!(slots.free(ROOM), Some(DestinationHealth::Untried));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hears_nothing_counts_as_failing_until_it_does() {
    let bench = Bench::new();
    bench.accept(2, &[GOOD.to_owned()]).await;
    let lease = bench.queue.lease(10).await.unwrap().unwrap();
    let (patience, slots) = (endless(), Arc::clone(&bench.slots));
    let mut slot = DeliverySlot::take(&slots, DestinationHealth::Answering, ROOM);
    let following = slot.follow(&patience, &lease, || {});
    let looking = async {
        sleep(STALLED_AFTER + Duration::from_secs(1)).await;
        assert_eq!(slots.taken().slow, Count { answering: 0, untried: 0, failing: 1 });
        patience.moved();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(slots.taken().slow, Count { answering: 0, untried: 1, failing: 0 });
    };
    tokio::select! {
        never = following => match never {},
        () = looking => {}
    }
    // The other message is one of a destination that fails.
    assert!(
        bench.queue.lease_within(DestinationHealth::Untried, &AtMost(10)).await.unwrap().is_none()
    );
    assert!(
        bench.queue.lease_within(DestinationHealth::Failing, &AtMost(10)).await.unwrap().is_some()
    );
}

/// A queue, and attempts that all take equally long.
struct Bench {
    queue: Queue,
    clock: Arc<SetClock>,
    slots: Arc<DeliverySlots>,
    /// Attempts that have not ended.
    out: Vec<(Lease, DeliverySlot)>,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(SetClock::new(now()));
        let settings =
            StoreSettings { min_free: 0, reserve: 0, ..StoreSettings::new(directory.path()) };
        let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let store = Embedded::open(settings, Arc::clone(&shared)).unwrap();
        let queue = Queue::over(Arc::new(store), QueueSettings::default(), shared);
        Self { queue, clock, slots: Arc::default(), out: Vec::new(), _directory: directory }
    }

    /// Puts so many messages into the queue, each to all of these domains.
    async fn accept(&self, messages: usize, domains: &[String]) {
        let mut commits = JoinSet::new();
        for _ in 0..messages {
            let networks = Networks::parse(["127.0.0.0/8"]).unwrap();
            let submitter = networks.admit([127, 0, 0, 1].into()).unwrap();
            let to = domains.iter().map(|domain| format!("b@{domain}"));
            let to = to.map(|to| Recipient::new(Mailbox::parse(&to).unwrap())).collect();
            let (body, utf8) = (BodyType::SevenBit, Smtputf8::NotRequested);
            let envelope = Envelope::new(ReversePath::Null, to, body, utf8);
            let draft = self.queue.begin(submitter, envelope).unwrap();
            commits.spawn(async move { draft.commit().await.unwrap() });
        }
        commits.join_all().await;
    }

    /// Begins as many attempts as there are slots for.
    async fn begin(&mut self) {
        while let Some(worst) = self.slots.free(ROOM) {
            let leased = self.queue.lease_within(worst, &AtMost(PER_DOMAIN)).await.unwrap();
            let Some((lease, ())) = leased else {
                return;
            };
            let slot = DeliverySlot::take(&self.slots, lease.health(), ROOM);
            self.out.push((lease, slot));
        }
    }

    /// Ends all attempts for the good domain, and those for others where they are `Over`; how many
    /// messages the good one got.
    async fn end(&mut self, others: Others) -> usize {
        let (mut settling, mut good) = (JoinSet::new(), 0);
        for (lease, mut slot) in std::mem::take(&mut self.out) {
            let outcome = match (lease.destination().to_string() == GOOD, others) {
                (true, _) => {
                    good += 1;
                    Outcome::Delivered {
                        mx: "mx".to_owned(),
                        addr: None,
                        reply: "250 ok".to_owned(),
                    }
                }
                (false, Others::Fail) => Outcome::Deferred(Reason::new(
                    ReasonClass::Reply,
                    Status::NotAccepting.code(),
                    "not now",
                )),
                (false, Others::AreSilent) => {
                    if slot.speed == Speed::Quick {
                        slot.slows(&endless());
                    }
                    self.out.push((lease, slot));
                    continue;
                }
            };
            let queue = self.queue.clone();
            settling.spawn(async move {
                queue.settle(lease, vec![outcome], None).await.unwrap();
                drop(slot);
            });
        }
        settling.join_all().await;
        // Whatever was deferred is due again.
        self.clock.advance(Duration::from_secs(24 * 60 * 60));
        good
    }

    /// How many rounds it takes until the good domain has got so many messages.
    async fn rounds(&mut self, messages: usize, others: Others) -> usize {
        let mut left = messages;
        for round in 1..=messages {
            self.begin().await;
            left -= self.end(others).await;
            if left == 0 {
                return round;
            }
        }
        panic!("{left} of {messages} are left, as many as there were rounds");
    }
}

/// What becomes of the attempts for other domains than the good one.
#[derive(Clone, Copy)]
enum Others {
    Fail,
    AreSilent,
}

fn domains(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n}.bad.example")).collect()
}

#[tokio::test]
async fn mail_for_a_domain_that_answers_flows_while_many_that_fail_have_more() {
    let mut bench = Bench::new();
    bench.accept(10, &domains(50)).await;
    bench.accept(200, &[GOOD.to_owned()]).await;
    // It has half of the eight slots until it is known that the others fail, and then six.
    let rounds = bench.rounds(200, Others::Fail).await;
    assert!(rounds <= 200 / 3, "{rounds} rounds");
}

#[tokio::test]
async fn mail_for_a_domain_that_answers_flows_while_more_are_silent_than_there_are_slots() {
    let mut bench = Bench::new();
    bench.accept(1, &[GOOD.to_owned()]).await;
    assert_eq!(bench.rounds(1, Others::Fail).await, 1);
    bench.accept(10, &domains(50)).await;
    bench.accept(200, &[GOOD.to_owned()]).await;
    // A quarter of all places is kept for it.
    let rounds = bench.rounds(200, Others::AreSilent).await;
    assert!(rounds <= 200 / 8 + 8, "{rounds} rounds");
}
