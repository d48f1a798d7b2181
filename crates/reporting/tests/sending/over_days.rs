//! What takes more than a day, or more than one domain.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reporting::{ReportResult, Send, Transport};
use testbed::{Fault, PolicyBehaviour, RecordType};
use tls_rpt::ReceivedReport;

use crate::station::{MONDAY, Station, counted, day};

const ACCEPTED: (Transport, ReportResult) = (Transport::Https, ReportResult::Accepted);

#[tokio::test]
async fn a_destination_that_refuses_on_three_days_is_left_alone_for_fourteen() {
    let station = Station::new().await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(404)).await;
    station.publish("example.test", &station.uri("reports.test"));
    let mut today = day(MONDAY);
    let mut asked = Vec::new();
    for number in 0..20 {
        station.tallies.add(today, counted("example.test", 1, 0)).await.unwrap();
        let before = host.fetches().len();
        station.pass(24).await;
        if host.fetches().len() > before {
            asked.push(number);
        }
        today = today.after();
    }
    assert_eq!(asked, [0, 1, 2, 16, 17, 18]);
    let ended = station.ended.take();
    let suppressed = (Transport::Https, ReportResult::Suppressed);
    assert_eq!(ended.iter().filter(|one| **one == suppressed).count(), 14);
}

#[tokio::test]
async fn a_domain_without_a_record_gets_no_report_and_one_that_does_not_answer_later() {
    let station = Station::new().await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    station.count("silent.test", 1, 0).await;
    station.count("late.test", 1, 0).await;
    station.publish("late.test", &station.uri("reports.test"));
    station.world.names().fail_type("_smtp._tls.late.test", RecordType::Txt, Fault::ServFail);
    station.pass(6).await;
    assert_eq!(station.tallies.list(None, 10).await.unwrap().len(), 1, "silent.test is dropped");
    station.world.names().mend("_smtp._tls.late.test");
    station.pass(1).await;
    assert_eq!(host.fetches().len(), 1);
    assert_eq!(station.ended.take(), [ACCEPTED]);
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn a_report_whose_record_cannot_be_looked_up_for_a_day_is_given_up() {
    let station = Station::new().await;
    station.count("late.test", 1, 0).await;
    station.world.names().fail_type("_smtp._tls.late.test", RecordType::Txt, Fault::ServFail);
    for _ in 0..30 {
        station.pass(1).await;
        assert!(
            !station.tallies.list(None, 10).await.unwrap().is_empty() || station.is_idle().await
        );
    }
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn only_what_the_settings_say_is_sent_and_only_where_they_say() {
    let station = Station::with(|settings| {
        settings.send = Send::Failures;
        settings.exclude = [crate::station::domain("excluded.test")].into();
    })
    .await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    for name in ["excluded.test", "well.test", "unwell.test"] {
        station.publish(name, &station.uri("reports.test"));
    }
    station.count("excluded.test", 1, 1).await;
    station.count("well.test", 1, 0).await;
    station.count("unwell.test", 1, 1).await;
    station.pass(6).await;
    let domains: Vec<_> = host
        .fetches()
        .into_iter()
        .map(|request| ReceivedReport::read(&request.body).unwrap().value)
        .map(|report| report.policies[0].domain.clone().unwrap())
        .collect();
    assert_eq!(domains, ["unwell.test"]);
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn in_a_trial_every_report_goes_to_one_place_if_the_domain_asks_for_one() {
    let station = Station::with(|settings| {
        settings.redirect = Some("mailto:trial@sender.test".parse().unwrap());
    })
    .await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    station.publish("example.test", &station.uri("reports.test"));
    station.count("example.test", 1, 1).await;
    station.count("silent.test", 1, 1).await;
    station.pass(6).await;
    assert_eq!(host.fetches(), []);
    let lease = station.queue.lease(1).await.unwrap().unwrap();
    assert_eq!(lease.recipients()[0].mailbox.to_string(), "trial@sender.test");
    assert_eq!(station.queue.totals().messages, 1);
}

#[tokio::test]
async fn a_kept_report_is_sent_as_it_was_after_a_restart() {
    let mut station = Station::new().await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::closing()).await;
    station.publish("example.test", &station.uri("reports.test"));
    station.count("example.test", 17, 3).await;
    station.pass(6).await;
    // What comes late is of a day that is closed, and never in a second report.
    assert!(station.tallies.is_closed(day(MONDAY)).await.unwrap());
    host.behave(PolicyBehaviour::status(200));
    station.restart().await;
    station.pass(1).await;
    let [request] = &host.fetches()[..] else { panic!("{:?}", host.fetches()) };
    let report = ReceivedReport::read(&request.body).unwrap().value;
    assert_eq!((report.policies[0].successes, report.policies[0].failures), (17, 3));
    assert_eq!(station.ended.take(), [ACCEPTED]);
    station.restart().await;
    station.pass(1).await;
    assert_eq!(host.fetches().len(), 1);
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn ten_thousand_domains_that_are_due_at_once_are_all_reported_once() {
    const DOMAINS: usize = 10_000;
    let station = Station::new().await;
    let name = |number: usize| format!("d{number}.test");
    (0..DOMAINS).for_each(|number| station.publish(&name(number), "mailto:tls@reports.test"));
    let add = |number| station.tallies.add(day(MONDAY), counted(&name(number), 1, 0));
    let added = stream::iter((0..DOMAINS).map(add)).buffer_unordered(256);
    added.try_for_each(|()| async { Ok(()) }).await.unwrap();
    station.clock.advance(std::time::Duration::from_secs(3600));
    station.send_all().await;
    assert_eq!(station.queue.totals().messages, u64::try_from(DOMAINS).unwrap());
    assert!(station.tallies.list(None, 1).await.unwrap().is_empty());
    station.send_all().await;
    assert_eq!(station.queue.totals().messages, u64::try_from(DOMAINS).unwrap());
}
