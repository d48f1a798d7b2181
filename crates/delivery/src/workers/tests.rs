//! Deliveries from a real queue to real hosts on loopback addresses.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use access::Networks;
use clock::SetClock;
use dns::{DnsSettings, Resolver};
use mail::{DeliveryRecord, DeliveryResult, Envelope, Outcome, Protection, Reason, Recipient};
use queue::QueueSettings;
use smtp::{BodyType, Domain, Mailbox, ReversePath, Smtputf8};
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use testbed::{Act, Certificate, ConnectionState, MxBehaviour, MxHost, Step, World};
use tls_rpt::Observation;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::*;
use crate::dane_result::DaneResult;
use crate::recorder::Unrecorded;
use crate::scripted::{now, policies};

const PATIENCE: Duration = Duration::from_secs(20);
const BODY: &[u8] = b"From: a@example.com\r\nSubject: x\r\n\r\nHello\r\n";

/// What an observer was told.
#[derive(Debug)]
struct Told {
    recipients: usize,
    outcome: Outcome,
    /// The words for the policy, for why nothing was enforced, and for TLS.
    terms: (&'static str, &'static str, &'static str),
}

/// Passes on what it is told, and panics at the first handshakes if it is to.
#[derive(Debug)]
struct Recorder {
    told: UnboundedSender<Told>,
    panics: AtomicUsize,
    observed: Arc<Mutex<Vec<Observation>>>,
}

impl Observer for Recorder {
    fn observed(&self, observation: &Observation) {
        self.observed.lock().unwrap().push(observation.clone());
        let left = self.panics.load(Ordering::SeqCst);
        if left > 0 {
            self.panics.store(left - 1, Ordering::SeqCst);
            panic!("as the test wants");
        }
    }

    fn tls_failed(&self, _reason: &'static str) {}

    fn dane_host(&self, _result: DaneResult) {}

    fn requiretls(&self, _result: &DeliveryResult) {}

    fn slowed(&self) {}

    fn opened(&self, _protection: Protection) {}

    fn finished(&self, record: &DeliveryRecord, recipients: usize) {
        let decision = &record.next_hop.decision;
        let terms = (decision.policy_word(), decision.why_word(), record.tls_word());
        self.told.send(Told { recipients, outcome: record.result.outcome(), terms }).unwrap();
    }
}

/// A queue, a world to deliver to and what is in between.
struct Rig {
    world: World,
    queue: Queue,
    clock: Arc<SetClock>,
    told: UnboundedReceiver<Told>,
    /// For how many attempts each observation stood.
    observed: Arc<Mutex<Vec<Observation>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _directory: TempDir,
}

/// What differs from test to test.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    mode: Option<&'static str>,
    recipients_per_transaction: usize,
    panics: usize,
    grace: Duration,
    workers: usize,
}

const USUAL: Wanted = Wanted {
    mode: None,
    recipients_per_transaction: 100,
    panics: 0,
    grace: PATIENCE,
    workers: 100,
};

impl Rig {
    async fn start(wanted: Wanted) -> Self {
        let world = World::new().await;
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(SetClock::new(now() + Duration::from_secs(60)));
        let mut settings = StoreSettings::new(directory.path());
        settings.min_free = 0;
        settings.reserve = 1 << 20;
        let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let store = Arc::new(Embedded::open(settings, Arc::clone(&shared)).unwrap());
        let turns = QueueSettings { rest_after_drop: Duration::ZERO, ..QueueSettings::default() };
        let queue = Queue::over(store, turns, Arc::clone(&shared));
        let servers = vec![world.dns_address()];
        let dns = Resolver::new(DnsSettings { servers, ..DnsSettings::default() }).unwrap();
        let mut settings = DeliverySettings::new(Domain::parse("relay.example.com").unwrap());
        settings.smtp_port = world.smtp_port();
        settings.recipients_per_transaction = wanted.recipients_per_transaction;
        settings.shutdown_grace = wanted.grace;
        settings.workers = wanted.workers;
        settings.connection_idle = PATIENCE;
        let (sender, told) = unbounded_channel();
        let panics = AtomicUsize::new(wanted.panics);
        let observed = Arc::<Mutex<Vec<Observation>>>::default();
        let delivery = Delivery::new(
            settings,
            queue.clone(),
            Arc::new(dns),
            Arc::new(policies(wanted.mode)),
            Arc::new(world.authority().roots()),
            shared,
            Arc::new(Recorder { told: sender, panics, observed: Arc::clone(&observed) }),
            Arc::new(Unrecorded),
        )
        .unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(delivery.run(stop.clone()));
        Self { world, queue, clock, told, observed, stop, tasks, _directory: directory }
    }

    /// A host of `example.org`.
    async fn mx(&self, preference: u16, name: &str, behaviour: MxBehaviour) -> MxHost {
        let host = self.world.mx(name, behaviour).await;
        self.world.domain("example.org").mx(preference, &host);
        host
    }

    async fn submit(&self, to: &[&str]) {
        self.submit_as(to, BODY, Smtputf8::NotRequested).await;
    }

    async fn submit_as(&self, to: &[&str], body: &[u8], smtputf8: Smtputf8) {
        let networks = Networks::parse(["127.0.0.0/8"]).unwrap();
        let submitter = networks.admit([127, 0, 0, 1].into()).unwrap();
        let to = to.iter().map(|to| Recipient::new(Mailbox::parse(to).unwrap())).collect();
        let from = ReversePath::Mailbox(Mailbox::parse("a@example.com").unwrap());
        let envelope = Envelope::new(from, to, BodyType::SevenBit, smtputf8);
        let mut draft = self.queue.begin(submitter, envelope).unwrap();
        draft.write(body).await.unwrap();
        draft.commit().await.unwrap();
    }

    async fn told(&mut self) -> Told {
        timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap()
    }

    async fn stop(mut self) -> (Queue, World) {
        self.stop.cancel();
        timeout(PATIENCE, self.tasks.join_next()).await.unwrap().unwrap().unwrap();
        (self.queue, self.world)
    }
}

fn deferred(told: Told) -> Reason {
    let Outcome::Deferred(reason) = told.outcome else { panic!("{told:?}") };
    reason
}

fn bounced(told: Told) -> Reason {
    let Outcome::Bounced(reason) = told.outcome else { panic!("{told:?}") };
    reason
}

#[tokio::test]
async fn mail_is_delivered_and_the_observer_told_how() {
    for (mode, policy, why) in [
        (None, "none", "no-policy"),
        (Some("testing"), "testing", "mode-testing"),
        (Some("enforce"), "enforce", ""),
    ] {
        let mut rig = Rig::start(Wanted { mode, ..USUAL }).await;
        let mx = rig.mx(10, "mx.example.org", MxBehaviour::valid()).await;
        rig.submit(&["b@example.org", "c@example.org"]).await;
        let told = rig.told().await;
        let Outcome::Delivered { mx: host, addr, .. } = &told.outcome else { panic!("{told:?}") };
        assert_eq!((host.as_str(), *addr), ("mx.example.org", Some(mx.address())));
        assert_eq!(told.recipients, 2);
        assert_eq!(told.terms, (policy, why, "TLSv1.3"));
        assert_eq!(mx.messages()[0].data, BODY);
        let (queue, _world) = rig.stop().await;
        assert_eq!(queue.leased(), 0);
    }
}

#[tokio::test]
async fn hosts_that_a_policy_does_not_name_make_an_observation_each_and_are_not_looked_up() {
    let mut rig = Rig::start(Wanted { mode: Some("enforce"), ..USUAL }).await;
    for number in 0..1000 {
        rig.world.names().add_mx("example.org", 10, &format!("h{number}.example.net"));
    }
    rig.submit(&["b@example.org"]).await;
    let reason = deferred(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "4.4.8");
    assert!(reason.text.ends_with("and 90 more"), "{}", reason.text);
    let observed = std::mem::take(&mut *rig.observed.lock().unwrap());
    let hosts: HashSet<_> =
        observed.iter().map(|one| one.failure.clone().unwrap().receiving_mx_hostname).collect();
    assert_eq!((observed.len(), hosts.len()), (100, 100));
    let asked = (0..1000).map(|n| rig.world.names().queries(&format!("h{n}.example.net")));
    assert_eq!(asked.sum::<usize>(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn mail_under_an_enforced_policy_waits_with_all_that_is_wrong() {
    let mut rig = Rig::start(Wanted { mode: Some("enforce"), ..USUAL }).await;
    let expired = MxBehaviour::presenting(Certificate::Expired);
    let first = rig.mx(10, "other.example.org", MxBehaviour::valid()).await;
    let second = rig.mx(20, "mx.example.org", expired).await;
    rig.submit(&["b@example.org"]).await;
    let reason = deferred(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "4.7.5");
    assert_eq!(reason.mx.as_deref(), Some("mx.example.org"));
    assert_eq!(reason.addr, Some(second.address()));
    assert_eq!(reason.policy.as_deref(), Some("sts id=a1 mode=enforce"));
    for words in [
        "policy of example.org (id a1, mode enforce)",
        "other.example.org: the policy does not name this host",
        "mx.example.org: certificate verification failed: certificate expired on 2001-01-01",
        "expired",
    ] {
        assert!(reason.text.contains(words), "{words:?} in {:?}", reason.text);
    }
    assert!(first.connections().is_empty());
    assert!(second.messages().is_empty());
}

#[tokio::test]
async fn a_named_host_that_cannot_be_reached_is_no_failure_of_the_policy() {
    let mut rig = Rig::start(Wanted { mode: Some("enforce"), ..USUAL }).await;
    let mx = rig.mx(10, "mx.example.org", MxBehaviour::valid()).await;
    mx.close().await;
    rig.submit(&["b@example.org"]).await;
    let reason = deferred(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "4.4.1");
    assert_eq!(reason.policy, None);
}

#[tokio::test]
async fn hosts_that_the_policy_does_not_name_do_not_crowd_out_one_that_it_names() {
    let mut rig = Rig::start(Wanted { mode: Some("enforce"), ..USUAL }).await;
    for n in 0..20 {
        rig.world.domain("example.org").mx_named(n, &format!("bogus{n}.example.net"));
    }
    let mx = rig.mx(30, "mx.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org"]).await;
    assert!(matches!(rig.told().await.outcome, Outcome::Delivered { .. }));
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test]
async fn an_attempt_tries_no_more_hosts_than_it_may() {
    let mut rig = Rig::start(USUAL).await;
    for n in 0..5 {
        let unwilling = MxBehaviour::valid().at(Step::Greeting, "554 5.3.2 not today");
        rig.mx(n, &format!("mx{n}.example.org"), unwilling).await;
    }
    let mx = rig.mx(30, "mx.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org"]).await;
    assert_eq!(deferred(rig.told().await).enhanced.to_string(), "4.3.2");
    assert!(mx.connections().is_empty());
}

#[tokio::test]
async fn a_message_that_may_have_been_taken_is_not_offered_to_another_host() {
    let mut rig = Rig::start(USUAL).await;
    let drops = MxBehaviour::valid().at(Step::Taken, Act::Drop);
    let first = rig.mx(10, "one.example.org", drops).await;
    let second = rig.mx(20, "two.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org"]).await;
    let reason = deferred(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "4.4.2");
    assert!(reason.text.contains("may have been delivered"), "{reason:?}");
    assert_eq!(first.messages().len(), 1);
    assert!(second.connections().is_empty());
}

#[tokio::test]
async fn a_host_that_breaks_off_before_the_end_is_replaced_by_the_next() {
    for step in [Step::MailFrom, Step::RcptTo, Step::Data, Step::Message] {
        let mut rig = Rig::start(USUAL).await;
        let drops = MxBehaviour::valid().at(step, Act::Drop);
        let first = rig.mx(10, "one.example.org", drops).await;
        let second = rig.mx(20, "two.example.org", MxBehaviour::valid()).await;
        // Longer than all that the sockets' buffers hold, so that the end is not written before
        // the break is seen: after the end the message might have been taken.
        let lines = if step == Step::Message { 700_000 } else { 1 };
        let long = [BODY, &b"A line of the message\r\n".repeat(lines)].concat();
        rig.submit_as(&["b@example.org"], &long, Smtputf8::NotRequested).await;
        let told = rig.told().await;
        assert!(matches!(told.outcome, Outcome::Delivered { .. }), "{step:?}: {told:?}");
        assert!(first.messages().is_empty());
        assert!(second.messages()[0].data == long);
    }
}

#[tokio::test]
async fn two_hosts_are_asked_to_take_a_message_and_no_third() {
    let mut rig = Rig::start(USUAL).await;
    let later = || MxBehaviour::valid().at(Step::RcptTo, "451 4.7.1 later");
    let third = rig.mx(30, "three.example.org", later()).await;
    let _first = rig.mx(10, "one.example.org", later()).await;
    let _second = rig.mx(20, "two.example.org", later()).await;
    rig.submit(&["b@example.org"]).await;
    let reason = deferred(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "4.7.1");
    assert_eq!(reason.mx.as_deref(), Some("two.example.org"));
    assert!(third.connections().is_empty());
}

#[tokio::test]
async fn a_host_that_says_no_for_good_is_believed() {
    let mut rig = Rig::start(USUAL).await;
    let refuses = MxBehaviour::valid().for_recipient("b@example.org", "550 5.1.1 who");
    let _first = rig.mx(10, "one.example.org", refuses).await;
    let second = rig.mx(20, "two.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org", "c@example.org"]).await;
    let reason = bounced(rig.told().await);
    assert_eq!(reason.enhanced.to_string(), "5.1.1");
    assert_eq!(reason.reply.as_deref(), Some("550 5.1.1 who"));
    assert!(matches!(rig.told().await.outcome, Outcome::Delivered { .. }));
    assert!(second.connections().is_empty());
}

#[tokio::test]
async fn many_recipients_share_a_connection_and_not_a_transaction() {
    let mut rig = Rig::start(Wanted { recipients_per_transaction: 2, ..USUAL }).await;
    let refuses = MxBehaviour::valid()
        .for_recipient("1@example.org", "550 5.1.1 who")
        .for_recipient("2@example.org", "550 5.1.1 who");
    let mx = rig.mx(10, "mx.example.org", refuses).await;
    let to = ["1@example.org", "2@example.org", "3@example.org", "4@example.org", "5@example.org"];
    rig.submit(&to).await;
    assert_eq!(rig.told().await.recipients + rig.told().await.recipients, 5);
    let taken: Vec<_> = mx.messages().iter().map(|message| message.recipients.len()).collect();
    assert_eq!(taken, [2, 1]);
    assert_eq!(mx.connections().len(), 1);
}

#[tokio::test]
async fn mail_that_needs_smtputf8_is_returned_by_a_host_that_lacks_it_and_other_mail_is_not() {
    let mut rig = Rig::start(USUAL).await;
    let old = MxBehaviour::valid().without_extension("SMTPUTF8");
    let mx = rig.mx(10, "mx.example.org", old).await;
    let utf8 = "Subject: \u{fc}ber\r\n\r\nx\r\n".as_bytes();
    rig.submit_as(&["b@example.org"], utf8, Smtputf8::Requested).await;
    assert_eq!(bounced(rig.told().await).enhanced.to_string(), "5.6.7");
    rig.submit_as(&["\u{e9}@example.org"], BODY, Smtputf8::Requested).await;
    // The bounces to a@example.com, a domain that does not exist here, are told of as well.
    let mut told = rig.told().await;
    while !matches!(&told.outcome, Outcome::Bounced(reason) if reason.mx.is_some()) {
        told = rig.told().await;
    }
    assert_eq!(bounced(told).enhanced.to_string(), "5.6.7");
    assert!(mx.messages().is_empty());
    rig.submit_as(&["b@example.org"], BODY, Smtputf8::Requested).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn mail_that_would_come_back_to_the_relay_is_returned() {
    let mut rig = Rig::start(USUAL).await;
    rig.world.domain("example.org").mx_named(10, "relay.example.com");
    let lesser = rig.mx(20, "mx.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org"]).await;
    assert_eq!(bounced(rig.told().await).enhanced.to_string(), "5.4.6");
    assert!(lesser.connections().is_empty());
}

#[tokio::test]
async fn a_domain_whose_hosts_cannot_be_looked_up_waits() {
    let mut rig = Rig::start(USUAL).await;
    rig.world.names().fail("example.org", testbed::Fault::ServFail);
    rig.submit(&["b@example.org"]).await;
    assert_eq!(deferred(rig.told().await).enhanced.to_string(), "4.4.3");
}

#[tokio::test]
async fn a_session_that_was_just_used_is_kept_instead_of_one_that_has_long_been_idle() {
    let mut rig = Rig::start(Wanted { workers: 2, ..USUAL }).await;
    let mut hosts = Vec::new();
    for domain in ["a.example", "b.example", "c.example", "c.example", "b.example", "a.example"] {
        if hosts.len() < 3 {
            let mx = rig.world.mx(&format!("mx.{domain}"), MxBehaviour::valid()).await;
            rig.world.domain(domain).mx(10, &mx);
            hosts.push(mx);
        }
        rig.submit(&[&format!("b@{domain}")]).await;
        assert!(matches!(rig.told().await.outcome, Outcome::Delivered { .. }));
    }
    let connections: Vec<_> = hosts.iter().map(|mx| mx.connections().len()).collect();
    assert_eq!(connections, [2, 1, 1], "the first one was idle for the longest");
}

#[tokio::test]
async fn a_panic_ends_one_attempt_and_the_mail_is_tried_again() {
    let mut rig = Rig::start(Wanted { panics: 1, ..USUAL }).await;
    let mx = rig.mx(10, "mx.example.org", MxBehaviour::valid()).await;
    rig.submit(&["b@example.org"]).await;
    // The lease has returned and rests until the clock moves on.
    let retried = async {
        loop {
            rig.clock.advance(Duration::from_secs(1));
            if let Ok(told) = timeout(Duration::from_millis(50), rig.told.recv()).await {
                break told.unwrap();
            }
        }
    };
    let told = timeout(PATIENCE, retried).await.unwrap();
    assert!(matches!(told.outcome, Outcome::Delivered { .. }), "{told:?}");
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test]
async fn a_delivery_in_flight_is_finished_before_the_end() {
    let rig = Rig::start(USUAL).await;
    let slow = MxBehaviour::valid().at(Step::EndOfData, Act::Delay(Duration::from_millis(300)));
    let mx = rig.mx(10, "mx.example.org", slow).await;
    rig.submit(&["b@example.org"]).await;
    let at_data = |connections: &[testbed::Connection]| {
        connections.iter().any(|connection| {
            connection.envelope().iter().any(|command| command.line.starts_with("DATA"))
        })
    };
    rig.world.tap().wait_until(PATIENCE, at_data).await.unwrap();
    let (queue, _world) = rig.stop().await;
    assert_eq!(mx.messages().len(), 1);
    assert_eq!(queue.leased(), 0);
    assert_eq!(queue.next_due(), None);
}

#[tokio::test]
async fn a_delivery_that_outlasts_the_grace_is_broken_off_and_returns_its_lease() {
    let rig = Rig::start(Wanted { grace: Duration::from_millis(50), ..USUAL }).await;
    let silent = MxBehaviour::valid().at(Step::MailFrom, Act::Silence);
    let mx = rig.mx(10, "mx.example.org", silent).await;
    rig.submit(&["b@example.org"]).await;
    let begun = |connections: &[testbed::Connection]| {
        connections.iter().any(|connection| !connection.envelope().is_empty())
    };
    rig.world.tap().wait_until(PATIENCE, begun).await.unwrap();
    let (queue, _world) = rig.stop().await;
    assert_eq!(queue.leased(), 0);
    assert!(mx.messages().is_empty());
}

impl Rig {
    /// Has a message for `domain` tried, and waits for what comes of it.
    async fn try_one(&mut self, domain: &str) -> Outcome {
        self.submit(&[&format!("b@{domain}")]).await;
        self.told().await.outcome
    }

    /// How many connections `mx` has open once it answers none of many messages for `domain`.
    async fn at_once(&mut self, domain: &str, mx: &MxHost) -> usize {
        let before = self.queue.leased();
        mx.behave(MxBehaviour::valid().at(Step::MailFrom, Act::Silence));
        for _ in 0..8 {
            self.submit(&[&format!("b@{domain}")]).await;
        }
        // When the one that was submitted last has come through, all that may be on their way are.
        let outcome = self.try_one("answers.example").await;
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        let leased = self.queue.leased() - before;
        let open = |connections: &[testbed::Connection]| {
            let begun = |connection: &&testbed::Connection| {
                connection.address == mx.address()
                    && connection.state == ConnectionState::Open
                    && connection.commands.last().is_some_and(|last| last.line.starts_with("MAIL"))
            };
            connections.iter().filter(begun).count()
        };
        let all_there = |connections: &[testbed::Connection]| open(connections) >= leased;
        self.world.tap().wait_until(PATIENCE, all_there).await.unwrap();
        open(&self.world.tap().connections())
    }
}

#[tokio::test]
async fn connections_to_a_destination_begin_at_two_grow_with_success_and_fall_to_one_after_a_break()
{
    let mut rig = Rig::start(USUAL).await;
    let mut hosts = Vec::new();
    for domain in ["answers.example", "new.example", "good.example", "breaks.example"] {
        let mx = rig.world.mx(&format!("mx.{domain}"), MxBehaviour::valid()).await;
        rig.world.domain(domain).mx(10, &mx);
        hosts.push(mx);
    }
    let [_, new, good, breaks] = &hosts[..] else { panic!() };
    for _ in 0..3 {
        for domain in ["good.example", "breaks.example"] {
            let outcome = rig.try_one(domain).await;
            assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        }
    }
    breaks.behave(MxBehaviour::valid().at(Step::Message, Act::Drop));
    for _ in 0..2 {
        let outcome = rig.try_one("breaks.example").await;
        assert!(matches!(outcome, Outcome::Deferred(_)), "{outcome:?}");
    }
    let found = [
        rig.at_once("new.example", new).await,
        rig.at_once("good.example", good).await,
        rig.at_once("breaks.example", breaks).await,
    ];
    assert_eq!(found, [2, 5, 1]);
}
