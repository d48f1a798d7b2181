//! How many servers are asked at a time (RFC 8460 §5.5: nobody is to be overrun).

use std::time::Duration;

use reporting::{ReportResult, Transport};
use testbed::{PolicyBehaviour, PolicyHost};

use crate::station::{MONDAY, Station, counted, day};

const PATIENCE: Duration = Duration::from_secs(30);

/// The servers that have got a report and not answered, each with how many it has got.
fn asked(hosts: &[PolicyHost]) -> Vec<usize> {
    hosts.iter().map(|host| host.fetches().len()).collect()
}

/// Does what is due, until `look` has seen what it waits for.
async fn while_sending(station: &Station, look: impl Future<Output = ()>) {
    tokio::select! {
        round = station.reporting.round() => panic!("no server answers: {round:?}"),
        () = look => {}
    }
}

#[tokio::test]
async fn four_servers_are_asked_at_a_time_and_each_by_one_report() {
    let station = Station::new().await;
    let mut hosts = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let silent = PolicyBehaviour::silent_after_request();
        hosts.push(station.world.report_host(&format!("{name}.reports.test"), silent).await);
        // Two reports go to each.
        for number in 1..=2 {
            let domain = format!("{name}{number}.test");
            station.publish(&domain, &station.uri(&format!("{name}.reports.test")));
            station.count(&domain, 1, 0).await;
        }
    }
    station.clock.advance(Duration::from_secs(6 * 3600));
    while_sending(&station, async {
        for host in &hosts[..4] {
            host.wait_for_fetches(1, PATIENCE).await.unwrap();
        }
        assert_eq!(asked(&hosts), [1, 1, 1, 1, 0, 0]);
        // When one of them is done, and that is all that it is asked, another has its turn.
        hosts[0].behave(PolicyBehaviour::closing());
        hosts[0].close().await;
        hosts[4].wait_for_fetches(1, PATIENCE).await.unwrap();
        assert_eq!(asked(&hosts), [1, 1, 1, 1, 1, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_answers_gets_its_reports_one_after_the_other() {
    let station = Station::new().await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    for number in 1..=3 {
        let domain = format!("d{number}.test");
        station.publish(&domain, &station.uri("reports.test"));
        station.count(&domain, 1, 0).await;
    }
    station.pass(6).await;
    assert_eq!(host.fetches().len(), 3);
    assert!(station.is_idle().await);
    // One that does not answer is not asked again in the same round.
    host.forget();
    host.behave(PolicyBehaviour::closing_after_request());
    for number in 1..=3 {
        let counted = counted(&format!("d{number}.test"), 1, 0);
        station.tallies.add(day(MONDAY).after(), counted).await.unwrap();
    }
    station.pass(24).await;
    assert_eq!(host.fetches().len(), 1, "two are put off");
    host.behave(PolicyBehaviour::status(200));
    station.pass(1).await;
    assert_eq!(host.fetches().len(), 4);
    let ended = station.ended.take();
    assert_eq!(ended, [(Transport::Https, ReportResult::Accepted); 6]);
    assert!(station.is_idle().await);
}
