use clock::SetClock;
use queue::{
    Envelope, Lease, Networks, Outcome, Queue, QueueSettings, Reason, ReasonClass, Recipient,
};
use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::scripted::now;
use crate::status;

const WORKERS: usize = 8;
const PER_DOMAIN: usize = 10;
const GOOD: &str = "good.example";

#[test]
fn whom_there_is_a_seat_for_depends_on_who_has_the_others() {
    let count = |answering, untried, failing| Count { answering, untried, failing };
    let none = count(0, 0, 0);
    for (quick, slow, free) in [
        (none, none, Some(Standing::Failing)),
        (count(0, 0, 1), none, Some(Standing::Failing)),
        (count(0, 0, 2), none, Some(Standing::Untried)),
        (count(0, 7, 0), none, Some(Standing::Failing)),
        (count(0, 8, 0), none, None),
        (count(5, 1, 2), none, None),
        // 32 seats for slow attempts, of which 16 are for those that fail.
        (none, count(0, 0, 17), Some(Standing::Failing)),
        (none, count(0, 0, 18), Some(Standing::Untried)),
        (none, count(0, 32, 0), Some(Standing::Failing)),
        (none, count(0, 35, 0), Some(Standing::Failing)),
        (none, count(0, 36, 0), Some(Standing::Answering)),
        (count(3, 0, 0), count(0, 36, 0), Some(Standing::Answering)),
        (count(4, 0, 0), count(0, 36, 0), None),
        // Hosts that answer slowly take nothing from themselves.
        (none, count(39, 0, 0), Some(Standing::Failing)),
        (none, count(40, 0, 0), None),
    ] {
        assert_eq!(Taken { quick, slow }.free(WORKERS), free, "{quick:?} {slow:?}");
    }
}

#[test]
fn there_is_a_seat_for_everyone_where_there_is_one_worker() {
    let seats = Arc::new(Seats::default());
    assert_eq!(seats.free(1), Some(Standing::Failing));
    let mut seat = Seat::take(&seats, Standing::Failing);
    assert_eq!(seats.free(1), None);
    seat.leave_to_others();
    assert_eq!(seats.free(1), Some(Standing::Failing));
    drop(seat);
    assert_eq!(*seats.taken(), Taken::default());
}

/// A queue, and attempts that all take equally long.
struct Bench {
    queue: Queue,
    clock: Arc<SetClock>,
    seats: Arc<Seats>,
    /// Attempts that have not ended.
    out: Vec<(Lease, Seat)>,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(SetClock::new(now()));
        let settings =
            QueueSettings { min_free: 0, reserve: 0, ..QueueSettings::new(directory.path()) };
        let queue = Queue::open(settings, Arc::<SetClock>::clone(&clock)).unwrap();
        Self { queue, clock, seats: Arc::default(), out: Vec::new(), _directory: directory }
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

    /// Begins as many attempts as there are seats for.
    fn begin(&mut self) {
        while let Some(worst) = self.seats.free(WORKERS) {
            let Some(lease) = self.queue.lease_within(worst, |_| PER_DOMAIN).unwrap() else {
                return;
            };
            let seat = Seat::take(&self.seats, lease.standing());
            self.out.push((lease, seat));
        }
    }

    /// Ends all attempts for the good domain, and those for others where they are `Over`; how many
    /// messages the good one got.
    async fn end(&mut self, others: Others) -> usize {
        let (mut settling, mut good) = (JoinSet::new(), 0);
        for (lease, mut seat) in std::mem::take(&mut self.out) {
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
                    status::NOT_ACCEPTING,
                    "not now",
                )),
                (false, Others::AreSilent) => {
                    if seat.speed == Speed::Quick {
                        seat.leave_to_others();
                    }
                    self.out.push((lease, seat));
                    continue;
                }
            };
            let queue = self.queue.clone();
            settling.spawn(async move {
                queue.settle(lease, vec![outcome], None).await.unwrap();
                drop(seat);
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
            self.begin();
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
    // It has half of the eight seats until it is known that the others fail, and then six.
    let rounds = bench.rounds(200, Others::Fail).await;
    assert!(rounds <= 200 / 3, "{rounds} rounds");
}

#[tokio::test]
async fn mail_for_a_domain_that_answers_flows_while_more_are_silent_than_there_are_seats() {
    let mut bench = Bench::new();
    bench.accept(1, &[GOOD.to_owned()]).await;
    assert_eq!(bench.rounds(1, Others::Fail).await, 1);
    bench.accept(10, &domains(50)).await;
    bench.accept(200, &[GOOD.to_owned()]).await;
    // Half of the seats are kept for it.
    let rounds = bench.rounds(200, Others::AreSilent).await;
    assert!(rounds <= 200 / 4 + 1, "{rounds} rounds");
}
