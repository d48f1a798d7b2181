//! `sts-relay tlsrpt send` and `parse` as they are typed, and what monitors see of reports.

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock as _;
use reporting::Tallies;
use serde_json::Value;
use testbed::{Fault, MxBehaviour, PolicyBehaviour, RecordType};
use tls_rpt::{
    AppliedPolicy, Day, DomainName, DomainTally, FailureDetail, Instance, MailAddress, Report,
    ResultType, Row, Submitter,
};

use crate::cli::{asked, asked_json, stdout, typed};
use crate::counted::RECORD;
use crate::metrics::counted;
use crate::tls_reports::{FIRST_DAY, all_over, count, relay};

#[tokio::test(flavor = "multi_thread")]
async fn send_without_a_domain_sends_what_is_over_and_with_dry_run_nothing() {
    let (relay, _key) = relay().await;
    let host = relay.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    let uri = format!("https://reports.test:{}/v1", relay.world.https_port());
    for domain in ["a.test", "b.test"] {
        count(&relay, domain, &uri).await;
    }
    relay.world.names().add_txt("_smtp._tls.silent.test", "v=spf1 -all");
    count(&relay, "silent.test", "ftp://silent.test").await;
    let config = relay.config();
    let send = |more: &[&str]| asked_json(config, &[&["tlsrpt", "send"], more].concat());
    // The day is not over, and nothing of today is asked for.
    assert_eq!(send(&["--dry-run"]), Value::Array(Vec::new()));
    assert_eq!(send(&[])["on_their_way"], Value::Array(Vec::new()));
    assert_eq!(send(&["--dry-run", "--today"]).as_array().unwrap().len(), 3);
    relay.clock.advance(Duration::from_secs(24 * 3600 + 600));
    let planned = send(&["--dry-run"]);
    let goes = |one: &Value| {
        let to = one["destinations"].as_array().unwrap();
        (one["domain"].as_str().unwrap().to_owned(), to.len(), one["why_not"].is_null())
    };
    let planned: Vec<_> = planned.as_array().unwrap().iter().map(goes).collect();
    let expected = [("a.test", 1, true), ("b.test", 1, true), ("silent.test", 0, false)];
    assert_eq!(planned, expected.map(|(name, to, is_sent)| (name.to_owned(), to, is_sent)));
    let words = asked(config, &["tlsrpt", "send", "--dry-run"]);
    assert!(words.contains("a.test") && words.contains(&uri), "{words}");
    assert_eq!(host.fetches().len(), 0);
    let tallies = Tallies::new(relay.queue().store());
    assert_eq!(tallies.list(None, 9).await.unwrap().len(), 3, "all is still to be sent");
    let status = send(&[]);
    assert_eq!(host.fetches().len(), 2);
    assert_eq!((&status["due"], &status["on_their_way"]), (&0.into(), &Value::Array(Vec::new())));
    assert_eq!(tallies.list(None, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_of_today_without_a_domain_sends_all_that_is_counted() {
    let (relay, _key) = relay().await;
    let host = relay.world.report_host("reports.test", PolicyBehaviour::status(200)).await;
    let uri = format!("https://reports.test:{}/v1", relay.world.https_port());
    for domain in ["a.test", "b.test"] {
        count(&relay, domain, &uri).await;
    }
    relay.clock.advance(Duration::from_secs(12 * 3600));
    drop(asked_json(relay.config(), &["tlsrpt", "send", "--today"]));
    assert_eq!(host.fetches().len(), 2);
    drop(asked_json(relay.config(), &["tlsrpt", "send", "--today"]));
    assert_eq!(host.fetches().len(), 2, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_see_how_many_reports_are_due_and_tried_again_and_since_when() {
    let (relay, _key) = relay().await;
    let host = relay.world.report_host("reports.test", PolicyBehaviour::status(503)).await;
    let uri = format!("https://reports.test:{}/v1", relay.world.https_port());
    for domain in ["a.test", "b.test", "c.test"] {
        count(&relay, domain, &uri).await;
    }
    let due = "tls_report_domains{state=\"due\"}";
    let retrying = "tls_report_domains{state=\"retrying\"}";
    let oldest = "tls_report_oldest_due_seconds";
    counted(&relay, due, 0.0).await;
    relay.clock.advance(Duration::from_secs(24 * 3600 + 600));
    relay.reporting().round().await.unwrap();
    // Over, and none has had its moment.
    counted(&relay, due, 3.0).await;
    counted(&relay, retrying, 0.0).await;
    counted(&relay, oldest, 0.0).await;
    for domain in ["a.test", "b.test"] {
        let name = format!("_smtp._tls.{domain}");
        relay.world.names().fail_type(&name, RecordType::Txt, Fault::ServFail);
    }
    relay.clock.advance(Duration::from_secs(4 * 3600));
    relay.reporting().round().await.unwrap();
    counted(&relay, due, 2.0).await;
    counted(&relay, retrying, 1.0).await;
    assert_eq!(host.fetches().len(), 1);
    let status = asked_json(relay.config(), &["tlsrpt", "status"]);
    assert_eq!(status["due"], 2);
    let first = status["oldest_due"].as_str().unwrap().to_owned();
    // What is tried again is due since it was due, and not since it was tried.
    relay.clock.advance(Duration::from_secs(8 * 3600));
    relay.reporting().round().await.unwrap();
    let status = asked_json(relay.config(), &["tlsrpt", "status"]);
    assert_eq!((status["due"].as_u64(), status["oldest_due"].as_str()), (Some(2), Some(&*first)));
    let since = relay.reporting().counts().oldest_due.unwrap();
    let late = relay.clock.now().duration_since(since).unwrap();
    counted(&relay, oldest, late.as_secs_f64().floor()).await;
    for domain in ["a.test", "b.test"] {
        relay.world.names().mend(&format!("_smtp._tls.{domain}"));
    }
    host.behave(PolicyBehaviour::status(200));
    relay.clock.advance(Duration::from_secs(4 * 3600));
    all_over(relay.reporting()).await;
    for (series, value) in [(due, 0.0), (retrying, 0.0), (oldest, 0.0)] {
        counted(&relay, series, value).await;
    }
    counted(&relay, "tls_reports_total{transport=\"https\",result=\"accepted\"}", 3.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_see_which_connections_no_report_counts() {
    let (relay, _key) = relay().await;
    relay.domain("a.test", MxBehaviour::valid()).await;
    relay.world.domain("a.test").tls_rpt_record(RECORD);
    let dropped = |reason: &str| format!("tls_observations_dropped_total{{reason=\"{reason}\"}}");
    for reason in ["day-closed", "domains", "overflow", "store"] {
        counted(&relay, &dropped(reason), 0.0).await;
    }
    // As where the clock was set back to a day that is reported.
    let tallies = Tallies::new(relay.queue().store());
    tallies.close(Day::parse(FIRST_DAY).unwrap()).await.unwrap();
    let id = relay.submit(&["<bob@a.test>"]).await;
    relay.gone(id).await;
    counted(&relay, &dropped("day-closed"), 1.0).await;
    counted(&relay, "tls_report_domains{state=\"counting\"}", 1.0).await;
    assert_eq!(tallies.list(None, 9).await.unwrap(), []);
}

/// A report of a sender to `example.org`, compressed; so many sessions failed, and 5 did not.
fn report(sender: &str, failures: u64) -> Vec<u8> {
    let domain = DomainName::parse("example.org").unwrap();
    let text = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 604800\r\n";
    let policy = Arc::new(AppliedPolicy::sts(domain.clone(), text, &["mx.example.org"]));
    let mut tally = DomainTally::new(domain);
    tally.count(Row { policy: Arc::clone(&policy), failure: None }, 5);
    let failure = Some(FailureDetail::new(ResultType::CertificateExpired));
    if failures > 0 {
        tally.count(Row { policy, failure }, failures);
    }
    let contact = MailAddress::parse(&format!("tls@{sender}")).unwrap();
    let submitter = Submitter::new(contact, "", Instance::parse("001").unwrap());
    Report::new(&submitter, Day::parse(FIRST_DAY).unwrap(), &tally).unwrap().to_gzip()
}

/// What `tlsrpt parse` says of these files and of this at its standard input.
fn parse(files: &[&str], input: &[u8]) -> Output {
    let mut child = typed(["tlsrpt", "parse"])
        .args(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn parse_reads_standard_input_and_compressed_files_and_its_status_says_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("sender!example.org!1!2.json.gz", &report("good.test", 0));
    let bad = file("other.json.gz", &report("bad.test", 2));
    let none = file("none.json.gz", &report("none.test", 0)[..40]);
    let praise = "the policy is enforced, and every session met it";
    for (files, input, status, says) in [
        (vec!["-"], report("good.test", 0), 0, praise),
        (vec![&*good], Vec::new(), 0, praise),
        (vec!["-", &bad], report("good.test", 0), 1, "certificate-expired: 2 sessions"),
        (vec![&*bad], Vec::new(), 1, "Renew the certificate"),
        (vec!["-"], b"hello\n".to_vec(), 2, "there is no TLS report in it"),
        (vec![&*good, &none], Vec::new(), 2, "error: "),
        (vec!["-", &good], report("good.test", 0), 0, "1 report counted, 1 duplicate left out"),
    ] {
        let output = parse(&files, &input);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(status), "{files:?}: {said}");
        assert!(said.contains(says), "{files:?}: {said}");
        assert_eq!(
            said.contains(praise),
            files != [&*bad] && says != "there is no TLS report in it"
        );
        assert!(output.stderr.is_empty());
    }
    let output = parse(&["-", "--json"], &report("bad.test", 2));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let domain = &answer["domains"][0];
    assert_eq!((&domain["successes"], &domain["failures"]), (&5.into(), &2.into()), "{answer}");
}
