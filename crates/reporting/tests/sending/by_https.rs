//! Reports by HTTPS (RFC 8460 §5.4).

use mta_sts::PrivateHosts;
use reporting::{ReportResult, Transport, VerifyHttps};
use testbed::{Certificate, PolicyBehaviour};
use tls_rpt::ReceivedReport;

use crate::station::{MONDAY, Station, day};

const OK: (Transport, ReportResult) = (Transport::Https, ReportResult::Accepted);

#[tokio::test]
async fn a_day_that_is_over_is_reported_once_between_00_10_and_the_end_of_the_spread() {
    let station = Station::new().await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(201)).await;
    station.publish("example.test", &station.uri("reports.test"));
    station.count("example.test", 17, 3).await;
    station.clock.advance(std::time::Duration::from_secs(599));
    station.reporting.round().await.unwrap();
    assert_eq!(host.fetches(), []);
    station.pass(24).await;
    let [request] = &host.fetches()[..] else { panic!("{:?}", host.fetches()) };
    assert_eq!(request.line, "POST /v1/tlsrpt HTTP/1.1");
    assert_eq!(request.header("Content-Type"), Some("application/tlsrpt+gzip"));
    assert_eq!(request.header("Content-Encoding"), None);
    assert_eq!(request.header("Content-Length"), Some(&*request.body.len().to_string()));
    assert!(request.header("User-Agent").unwrap().starts_with("sts-relay/"));
    let report = ReceivedReport::read(&request.body).unwrap();
    assert_eq!(report.warnings, []);
    let report = report.value;
    assert_eq!(report.begins, Some(day(MONDAY).begins()));
    let id = report.id.unwrap();
    assert!(id.starts_with("2029-12-31.example.test.") && id.ends_with("@sender.test"), "{id}");
    assert_eq!((report.policies[0].successes, report.policies[0].failures), (17, 3));
    assert_eq!(station.ended.take(), [OK]);
    for _ in 0..3 {
        station.pass(24).await;
    }
    assert_eq!(host.fetches().len(), 1);
    assert!(station.is_idle().await);
}

#[tokio::test]
async fn what_a_server_answers_decides_whether_a_report_is_over() {
    let answer = PolicyBehaviour::status;
    let cases = [
        (answer(200), 1, ReportResult::Accepted),
        (answer(204), 1, ReportResult::Accepted),
        (answer(400), 1, ReportResult::Refused),
        (answer(404), 1, ReportResult::Refused),
        (answer(413), 1, ReportResult::Refused),
        (PolicyBehaviour::redirect(307, "https://elsewhere.test/"), 1, ReportResult::Refused),
        (answer(408), 12, ReportResult::Expired),
        (answer(429), 12, ReportResult::Expired),
        (answer(500), 12, ReportResult::Expired),
        (answer(503).header("Retry-After", "18000"), 6, ReportResult::Expired),
        (answer(503).header("Retry-After", "999999999"), 5, ReportResult::Expired),
        // At noon, at six and at eight in the evening, and from then on by itself.
        (
            answer(503).header("Retry-After", "Tue, 01 Jan 2030 20:00:00 GMT"),
            9,
            ReportResult::Expired,
        ),
        (PolicyBehaviour::closing_after_request(), 12, ReportResult::Expired),
    ];
    for (behaviour, tries, result) in cases {
        let station = Station::new().await;
        let host = station.world.report_host("reports.test", behaviour.clone()).await;
        station.publish("example.test", &station.uri("reports.test"));
        station.count("example.test", 1, 1).await;
        station.pass(6).await;
        for _ in 0..(26 * 12) {
            station.clock.advance(std::time::Duration::from_secs(300));
            station.reporting.round().await.unwrap();
        }
        let bodies: Vec<_> = host.fetches().into_iter().map(|request| request.body).collect();
        assert_eq!(
            (bodies.len(), station.ended.take()),
            (tries, vec![(Transport::Https, result)]),
            "{behaviour:?}"
        );
        assert!(bodies.windows(2).all(|two| two[0] == two[1]), "a retry is the same report");
        assert!(station.is_idle().await);
    }
}

#[tokio::test]
async fn a_bad_certificate_keeps_a_report_only_where_proof_is_always_asked_for() {
    for (verify, expected) in [(VerifyHttps::Try, 1), (VerifyHttps::Always, 0)] {
        let station = Station::with(|settings| settings.verify_https = verify).await;
        let behaviour = PolicyBehaviour::status(200).with_certificate(Certificate::SelfSigned);
        let host = station.world.report_host("reports.test", behaviour).await;
        station.publish("example.test", &station.uri("reports.test"));
        station.count("example.test", 1, 0).await;
        station.pass(6).await;
        assert_eq!(host.fetches().len(), expected, "{verify:?}");
        assert_eq!(station.ended.take().len(), expected);
    }
}

#[tokio::test]
async fn a_server_at_a_private_address_is_not_connected_to_unless_it_is_allowed() {
    let station = Station::with(|settings| {
        settings.private_destinations = PrivateHosts::Refused;
    })
    .await;
    let host = station.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    let literal = format!("https://{}/", host.address());
    station.publish("example.test", &format!("{},{literal}", station.uri("reports.test")));
    station.count("example.test", 1, 0).await;
    station.pass(48).await;
    assert_eq!(host.visits(), []);
    station.pass(48).await;
    let expired = (Transport::Https, ReportResult::Expired);
    assert_eq!(station.ended.take(), [expired, expired]);
}
