//! Reports by mail (RFC 8460 §5.3): into the queue, and what becomes of them there.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use mail::{
    AttemptRecord, DeliveryRecord, DeliveryResult, Failure, FailureCause, NextHopRecord,
    PolicyDecision, Purpose, QueueId, ReasonClass, Reports, RouteTaken,
};
use queue::Lease;
use reporting::{ReportResult, Transport};
use smtp::{Class, EnhancedCode, MailboxDomain};
use testbed::PolicyBehaviour;
use tokio::io::AsyncReadExt as _;

use crate::station::{MONDAY, Station, day, domain};

const ACCEPTED: (Transport, ReportResult) = (Transport::Mail, ReportResult::Accepted);

/// The message that is in the queue, if there is one.
async fn queued(station: &Station) -> Option<(Lease, String)> {
    let lease = station.queue.lease(1).await.unwrap()?;
    let mut text = String::new();
    lease.body().await.unwrap().read_to_string(&mut text).await.unwrap();
    Some((lease, text))
}

/// What delivery tells of a message.
fn record(id: QueueId, result: DeliveryResult) -> DeliveryRecord {
    let attempt = AttemptRecord {
        queue_id: id,
        destination: MailboxDomain::Domain(smtp::Domain::parse("example.test").unwrap()),
        number: 1,
        received_at: SystemTime::UNIX_EPOCH,
        began_at: SystemTime::UNIX_EPOCH,
    };
    let next_hop = NextHopRecord {
        route: RouteTaken::Direct,
        decision: PolicyDecision::NotLookedUp,
        exception: None,
        txt: None,
        tried: Vec::new(),
    };
    DeliveryRecord {
        attempt: Arc::new(attempt),
        next_hop: Arc::new(next_hop),
        session: None,
        result,
        ended_at: SystemTime::UNIX_EPOCH,
    }
}

fn delivered() -> DeliveryResult {
    DeliveryResult::Delivered {
        mx: "mx.example.test".to_owned(),
        addr: None,
        reply: "250 ok".to_owned(),
        reports: Reports::Passed,
    }
}

fn bounced(cause: FailureCause) -> DeliveryResult {
    let status = EnhancedCode::new(Class::Permanent, 1, 1);
    DeliveryResult::Bounced(Failure::new(cause, ReasonClass::Reply, status, "no"))
}

/// Has the message settled as delivery does: first the queue, then the word of it.
async fn settle(station: &Station, lease: Lease, result: DeliveryResult) {
    let (id, outcome) = (lease.id(), result.outcome());
    station.queue.settle(lease, vec![outcome], None).await.unwrap();
    station.reporting.finished(&record(id, result));
}

#[tokio::test]
async fn a_report_goes_into_the_queue_signed_and_is_over_when_a_host_has_it() {
    let station = Station::new().await;
    station.publish("example.test", "mailto:tls-reports@example.test");
    station.count("example.test", 17, 3).await;
    station.pass(5).await;
    let (lease, text) = queued(&station).await.unwrap();
    assert_eq!(lease.message().purpose, Purpose::TlsReport);
    assert_eq!(lease.message().reverse_path.to_string(), "<tls@sender.test>");
    assert_eq!(lease.recipients()[0].mailbox.to_string(), "tls-reports@example.test");
    assert!(text.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"), "{text}");
    for field in ["d=sender.test", "From: tls@sender.test\r\n", "TLS-Required: No\r\n"] {
        assert!(text.contains(field), "{field}: {text}");
    }
    settle(&station, lease, delivered()).await;
    assert_eq!(station.ended.take(), []);
    station.pass(1).await;
    assert_eq!(station.ended.take(), [ACCEPTED]);
    assert!(station.is_idle().await);
    station.pass(48).await;
    assert!(queued(&station).await.is_none());
}

#[tokio::test]
async fn what_delivery_tells_of_a_message_is_what_became_of_the_report() {
    for (cause, result) in [
        (FailureCause::Refused, ReportResult::Refused),
        (FailureCause::NoHost, ReportResult::Refused),
        (FailureCause::Expired, ReportResult::Expired),
    ] {
        let station = Station::new().await;
        station.publish("example.test", "mailto:tls-reports@example.test");
        station.count("example.test", 1, 0).await;
        station.pass(5).await;
        let (lease, _) = queued(&station).await.unwrap();
        settle(&station, lease, bounced(cause)).await;
        station.pass(1).await;
        assert_eq!(station.ended.take(), [(Transport::Mail, result)]);
        assert!(station.is_idle().await);
    }
}

#[tokio::test]
async fn without_a_key_a_report_goes_by_https_alone() {
    let station = Station::new().await;
    station.lose_keys();
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    let both = format!("mailto:tls-reports@example.test,{}", station.uri("reports.test"));
    station.publish("example.test", &both);
    station.count("example.test", 1, 0).await;
    station.pass(5).await;
    assert!(queued(&station).await.is_none());
    assert_eq!(host.fetches().len(), 1);
    let mut ended = station.ended.take();
    ended.sort();
    let unsigned = (Transport::Mail, ReportResult::Unsigned);
    assert_eq!(ended, [(Transport::Https, ReportResult::Accepted), unsigned]);
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn a_report_in_the_queue_is_not_sent_again_after_a_restart() {
    let mut station = Station::new().await;
    station.publish("example.test", "mailto:tls-reports@example.test");
    station.count("example.test", 1, 0).await;
    station.pass(5).await;
    station.restart().await;
    station.pass(1).await;
    let (lease, _) = queued(&station).await.unwrap();
    assert!(queued(&station).await.is_none(), "there is one message");
    settle(&station, lease, delivered()).await;
    // The word of it was not noted: the relay ended.
    station.restart().await;
    station.pass(1).await;
    assert!(queued(&station).await.is_none());
    assert_eq!(station.ended.take(), []);
    assert!(station.is_idle().await);
}

/// Goes on as far as so many polls take it.
struct BrokenOff<F> {
    work: Pin<Box<F>>,
    polls: u32,
}

impl<F: Future> Future for BrokenOff<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.polls.checked_sub(1) else { return Poll::Ready(None) };
        self.polls = left;
        self.work.as_mut().poll(context).map(Some)
    }
}

/// A relay that has counted a domain's sessions, begins this and ends after so many polls of it, and is
/// started again; and whether all was done before.
async fn broken_off<F: Future>(polls: u32, begin: impl FnOnce(&Station) -> F) -> (Station, bool) {
    let mut station = Station::new().await;
    station.publish("example.test", "mailto:tls-reports@example.test");
    station.count("example.test", 17, 3).await;
    let work = Box::pin(begin(&station));
    let is_done = BrokenOff { work, polls }.await.is_some();
    station.restart().await;
    (station, is_done)
}

#[tokio::test]
async fn a_report_that_is_broken_off_at_any_step_is_in_the_queue_once() {
    let mut polls = 0;
    let mut is_done = false;
    while !is_done {
        polls += 1;
        let station;
        (station, is_done) = broken_off(polls, |station| {
            station.clock.advance(Duration::from_secs(3600));
            let reporting = station.reporting.clone();
            async move { reporting.send_finished().await }
        })
        .await;
        station.send_all().await;
        let (lease, text) = queued(&station).await.unwrap();
        assert!(text.contains("sessions that succeeded: 17\r\n"), "{text}");
        assert!(queued(&station).await.is_none(), "twice, broken off after {polls} polls");
        settle(&station, lease, delivered()).await;
        station.send_all().await;
        assert!(station.is_idle().await, "broken off after {polls} polls");
    }
    assert!(polls > 5, "there are steps to break off at");
}

/// The number of sessions that succeeded in each of these messages, and the names of the reports.
async fn all_queued(station: &Station) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((lease, text)) = queued(station).await {
        let after = |words: &str| {
            let rest = text.split_once(words).unwrap().1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        found.push((after("sessions that succeeded: "), after("Report-ID: ")));
        settle(station, lease, delivered()).await;
        station.reporting.round().await.unwrap();
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_part_of_a_day_that_is_broken_off_at_any_step_is_in_one_report_and_the_rest_in_another() {
    let mut polls = 0;
    let mut is_done = false;
    while !is_done {
        polls += 1;
        let station;
        (station, is_done) = broken_off(polls, |station| {
            station.clock.set(day(MONDAY).ends());
            let reporting = station.reporting.clone();
            async move { reporting.send_one(day(MONDAY), &domain("example.test")).await }
        })
        .await;
        station.count("example.test", 4, 0).await;
        station.pass(1).await;
        station.send_all().await;
        let reports = all_queued(&station).await;
        let sessions: Vec<&str> = reports.iter().map(|(sessions, _)| sessions.as_str()).collect();
        let names: BTreeSet<&str> = reports.iter().map(|(_, name)| name.as_str()).collect();
        let is_once = sessions == ["17", "4"] || sessions == ["21"];
        assert!(is_once, "{sessions:?}, broken off after {polls} polls");
        assert_eq!(names.len(), reports.len(), "each has a name of its own: {reports:?}");
        station.reporting.round().await.unwrap();
        assert!(station.is_idle().await, "broken off after {polls} polls");
    }
    assert!(polls > 5, "there are steps to break off at");
}

#[tokio::test]
async fn a_message_that_an_operator_has_deleted_is_not_waited_for() {
    let station = Station::new().await;
    station.publish("example.test", "mailto:tls-reports@example.test");
    station.count("example.test", 1, 0).await;
    station.pass(5).await;
    let id = queued(&station).await.unwrap().0.id();
    assert!(station.queue.delete(id, None).await.unwrap());
    many_rounds(&station).await;
    assert!(!station.is_idle().await, "delivery may be about to tell what became of it");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    many_rounds(&station).await;
    assert!(station.is_idle().await);
}

/// So many rounds that the queue is looked at for what others have changed, twice.
async fn many_rounds(station: &Station) {
    for _ in 0..45 {
        station.pass(0).await;
    }
}

#[tokio::test]
async fn what_is_counted_of_today_is_sent_when_it_is_asked_for_and_the_rest_apart() {
    let station = Station::new().await;
    station.publish("example.test", "mailto:tls-reports@example.test");
    station.count("example.test", 5, 0).await;
    station.clock.set(day(MONDAY).ends());
    let monday = (day(MONDAY), domain("example.test"));
    assert!(station.reporting.send_one(monday.0, &monday.1).await.unwrap());
    let (first, text) = queued(&station).await.unwrap();
    assert!(text.contains("sessions that succeeded: 5\r\n"));
    settle(&station, first, delivered()).await;
    assert!(!station.reporting.send_one(monday.0, &monday.1).await.unwrap(), "nothing is left");
    station.count("example.test", 2, 0).await;
    station.pass(8).await;
    let (rest, later) = queued(&station).await.unwrap();
    assert!(later.contains("sessions that succeeded: 2\r\n"));
    let id = |text: &str| {
        let line = text.lines().find(|line| line.contains("Report-ID:")).unwrap();
        line.trim().to_owned()
    };
    assert_ne!(id(&text), id(&later));
    assert!(id(&later).contains("p2@sender.test"), "{}", id(&later));
    settle(&station, rest, delivered()).await;
    station.pass(1).await;
    assert!(station.is_idle().await);
}
