//! TLS reports of a whole relay (RFC 8460): by mail and HTTPS, and the commands about them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SetClock};
use dkim::Algorithm;
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use reporting::{Reporting, Tallies};
use serde_json::Value;
use settings::{Settings, Source};
use sts_relay::Relay;
use testbed::{MxBehaviour, MxHost, PolicyBehaviour, Sender, Step, World};
use tls_rpt::{Day, ReceivedReport};
use tokio::time::timeout;

use crate::cli::{asked, asked_json};
use crate::counted::succeeded;
use crate::metrics::counted;
use crate::signing::{Key, relay_with};
use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// When every relay is started.
pub(crate) const FIRST_DAY: &str = "2030-01-01";

pub(crate) const SETTINGS: &str = "[admin]\naddress = \"127.0.0.1:0\"\n\
    [tls_rpt]\ncontact = \"tls@sender.test\"\nallow_private_destinations = true\n";

/// A relay that reports for `sender.test`, with a key that is published.
pub(crate) async fn relay() -> (RelayInWorld, Key) {
    let key = Key::new("sender.test", "tls", Algorithm::RsaSha256);
    // Tables of keys come last in a settings file.
    let relay = relay_with(&[&key], &[], SETTINGS).await;
    (relay, key)
}

/// Counts sessions of the first day, and publishes where the report about them goes.
pub(crate) async fn count(relay: &RelayInWorld, domain: &str, rua: &str) {
    let tallies = Tallies::new(relay.queue().store());
    tallies.add(Day::parse(FIRST_DAY).unwrap(), succeeded(domain, 17)).await.unwrap();
    let record = format!("v=TLSRPTv1; rua={rua}");
    relay.world.names().add_txt(&format!("_smtp._tls.{domain}"), &record);
}

/// Ends the first day, and sends all reports about it.
async fn end_day(relay: &RelayInWorld) {
    relay.clock.advance(Duration::from_secs(25 * 3600));
    relay.reporting().send_finished().await.unwrap();
}

/// Waits until no report is on its way: delivery tells of a message after it has left the queue.
pub(crate) async fn all_over(reporting: &Reporting) {
    let over = async {
        loop {
            reporting.round().await.unwrap();
            if reporting.on_their_way(1).await.unwrap().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, over).await.expect("reports that come to their end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_by_mail_is_signed_and_goes_whatever_tls_does() {
    let (relay, _key) = relay().await;
    // The policy asks for TLS, and the host has none: other mail would wait (RFC 8460 §5.3.1).
    let mx = relay.enforcing_domain("example.test", MxBehaviour::starttls_not_offered()).await;
    count(&relay, "example.test", "mailto:tls-reports@example.test").await;
    end_day(&relay).await;
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message.reverse_path, "tls@sender.test");
    let parsed = MessageParser::default().parse(&message.data).unwrap();
    let signature = parsed.header_raw("DKIM-Signature").unwrap().to_lowercase();
    assert!(signature.contains("d=sender.test") && signature.contains("tls-report-submitter"));
    let attachment = parsed.attachment(0).unwrap();
    assert!(attachment.attachment_name().unwrap().starts_with("sender.test!example.test!"));
    let PartType::Binary(gzip) = &attachment.body else { panic!("{attachment:?}") };
    let report = ReceivedReport::read(gzip).unwrap();
    assert_eq!((report.warnings.len(), report.value.policies[0].successes), (0, 17));
    all_over(relay.reporting()).await;
    let accepted = "tls_reports_total{transport=\"mail\",result=\"accepted\"}";
    counted(&relay, accepted, 1.0).await;
    counted(&relay, "tls_report_key_ok", 1.0).await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_are_told_where_no_key_signs_reports() {
    let key = Key::new("sender.test", "tls", Algorithm::Ed25519Sha256);
    let relay = relay_with(&[], &[&key], SETTINGS).await;
    counted(&relay, "tls_report_key_ok", 0.0).await;
    counted(&relay, "dkim_keys{state=\"missing\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_one_day_makes_one_report_and_the_report_makes_none() {
    let (mut relay, _key) = relay().await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    let record = "v=TLSRPTv1; rua=mailto:tls-reports@example.test";
    relay.world.names().add_txt("_smtp._tls.example.test", record);
    relay.submit(&["<bob@example.test>"]).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.empty().await;
    relay.clock.advance(Duration::from_secs(3600));
    for day in 1..=7 {
        // What was counted is written when a relay stops.
        relay.restart().await;
        relay.clock.advance(Duration::from_secs(24 * 3600));
        relay.reporting().send_finished().await.unwrap();
        all_over(relay.reporting()).await;
        assert_eq!(mx.messages().len(), 2, "after {day} days");
    }
    assert_eq!(mx.messages()[1].recipients, ["tls-reports@example.test"]);
    relay.restart().await;
    let counted = Tallies::new(relay.queue().store()).list(None, 9).await.unwrap();
    assert_eq!(counted, [], "nothing of the connection of the report");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_shows_where_reports_go_and_what_is_wrong_with_the_record() {
    let relay = RelayInWorld::start().await;
    let names = relay.world.names();
    for (domain, records, state, says) in [
        ("good.test", &["v=TLSRPTv1; rua=mailto:a@b.test"][..], "good", "go to mailto:a@b.test"),
        ("odd.test", &["v=TLSRPTv1; rua=mailto:a@b.test!10m"], "warning", "has faults"),
        ("two.test", &["v=TLSRPTv1; rua=mailto:a@b.test"; 2], "warning", "gets no reports"),
        ("none.test", &[], "none", "gets no reports"),
    ] {
        let _mx = relay.domain(domain, MxBehaviour::valid()).await;
        for (number, record) in records.iter().enumerate() {
            let record = format!("{record}{}", ";".repeat(number));
            names.add_txt(&format!("_smtp._tls.{domain}"), &record);
        }
        let said = asked_json(relay.config(), &["check", domain]);
        let stages = said["stages"].as_array().unwrap();
        let stage = stages.iter().find(|stage| stage["name"] == "tls-reports").unwrap();
        assert_eq!(stage["state"], state, "{said}");
        assert!(stage["text"].as_str().unwrap().contains(says), "{said}");
        assert_eq!(said["verdict"], "no-policy", "mail does not depend on it: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_makes_no_notification() {
    let (relay, _key) = relay().await;
    let refusing = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 no such user");
    let _mx = relay.domain("example.test", refusing).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    count(&relay, "example.test", "mailto:tls-reports@example.test").await;
    end_day(&relay).await;
    all_over(relay.reporting()).await;
    let refused = "tls_reports_total{transport=\"mail\",result=\"refused\"}";
    counted(&relay, refused, 1.0).await;
    assert_eq!(sender.messages().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_by_mail_takes_the_route_that_is_configured() {
    let key = Key::new("sender.test", "tls", Algorithm::Ed25519Sha256);
    let route =
        "[[route]]\nrecipient = \"*\"\nnext_hop = \"smart.test\"\ntls = \"opportunistic\"\n";
    let relay = relay_with(&[&key], &[], &format!("{SETTINGS}{route}")).await;
    let smart = relay.domain("smart.test", MxBehaviour::valid()).await;
    relay.world.names().add_address("smart.test", smart.address().ip());
    count(&relay, "example.test", "mailto:tls-reports@example.test").await;
    end_day(&relay).await;
    let messages = smart.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(messages[0].recipients, ["tls-reports@example.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_show_a_report_before_it_is_sent_send_it_and_tell_how_it_stands() {
    let (relay, _key) = relay().await;
    let host = relay.world.report_host("reports.test", PolicyBehaviour::status(503)).await;
    let uri = format!("https://reports.test:{}/v1", relay.world.https_port());
    count(&relay, "example.test", &format!("{uri},mailto:tls@example.test")).await;
    count(&relay, "silent.test", "ftp://silent.test").await;
    let config = relay.config();
    let preview = asked_json(config, &["tlsrpt", "preview", "example.test", "--date", FIRST_DAY]);
    assert_eq!(preview["destinations"][0]["destination"], uri, "{preview}");
    assert_eq!(preview["report"]["policies"][0]["summary"]["total-successful-session-count"], 17);
    assert_eq!(preview["why_not"], Value::Null);
    let message =
        asked(config, &["tlsrpt", "preview", "example.test", "--date", FIRST_DAY, "--message"]);
    assert!(message.starts_with("From: tls@sender.test\r\nTo: tls@example.test\r\n"), "{message}");
    let all = asked(config, &["tlsrpt", "preview"]);
    assert!(
        all.contains("silent.test") && all.contains("none: the TLSRPT record is invalid"),
        "{all}"
    );
    assert_eq!(host.fetches().len(), 0);
    relay.clock.advance(Duration::from_secs(25 * 3600));
    let sent = asked_json(config, &["tlsrpt", "send", "example.test", "--date", FIRST_DAY]);
    let report = &sent["on_their_way"][0];
    assert_eq!(report["domain"], "example.test", "{sent}");
    assert_eq!(report["destinations"][0]["state"], "waiting");
    assert_eq!(report["destinations"][0]["problem"], "HTTP 503");
    assert_eq!(report["destinations"][1]["state"], "queued");
    assert_eq!(host.fetches().len(), 1);
    let status = asked(config, &["tlsrpt", "status"]);
    assert!(status.contains("reports are sent from tls@sender.test"), "{status}");
    assert!(status.contains("HTTP 503"), "{status}");
}

/// A relay beside the first one of a world: the same under other names.
struct Neighbour {
    relay: Relay,
    config: PathBuf,
    clock: Arc<SetClock>,
}

impl Neighbour {
    async fn start(config: PathBuf, clock: &Arc<SetClock>) -> Self {
        let source = Source::read(Some(&config), []).unwrap();
        let settings = Settings::check(&source, clock.now()).unwrap();
        let time = Arc::clone(clock);
        let relay = Box::pin(Relay::start(settings, time)).await.unwrap();
        Self { relay, config, clock: Arc::clone(clock) }
    }

    async fn restart(self) -> Self {
        self.relay.stop().await;
        Self::start(self.config, &self.clock).await
    }
}

/// What a relay is told that is the MX of a domain, and passes its mail on to the host of mailboxes.
fn of_domain(domain: &str, key: &Key) -> String {
    let table = key.settings();
    format!(
        "tls_rpt.contact = \"tls@{domain}\"\n{table}\
         [[route]]\nrecipient = \"{domain}\"\nnext_hop = \"[inbox.{domain}]\"\ntls = \"opportunistic\"\n"
    )
}

/// Publishes that a relay is the MX of a domain, which wants reports; the host of its mailboxes.
async fn publish_domain(world: &World, domain: &str, relay: SocketAddr) -> MxHost {
    let names = world.names();
    names.add_address(&format!("mx.{domain}"), relay.ip());
    names.add_mx(domain, 10, &format!("mx.{domain}"));
    let record = format!("v=TLSRPTv1; rua=mailto:tls@{domain}");
    names.add_txt(&format!("_smtp._tls.{domain}"), &record);
    world.mx(&format!("inbox.{domain}"), MxBehaviour::valid()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_that_report_to_each_other_fall_silent_without_other_mail() {
    let key = |domain| Key::new(domain, "tls", Algorithm::Ed25519Sha256);
    let keys = (key("one.test"), key("two.test"));
    let of = (of_domain("one.test", &keys.0), of_domain("two.test", &keys.1));
    let world = World::new().await;
    keys.0.publish(&world);
    keys.1.publish(&world);
    let at = |world: &World| SocketAddr::new(world.address(), world.smtp_port());
    let listeners = (at(&world), at(&world));
    let mut one = RelayInWorld::start_in(world, listeners.0, &of.0).await;
    let data = one.world.directory().join("data");
    let text = fs::read_to_string(one.config()).unwrap();
    let text = text
        .replace(&of.0, &of.1)
        .replace("\"relay.test\"", "\"other.test\"")
        .replace(&listeners.0.to_string(), &listeners.1.to_string())
        .replace(&format!("{data:?}"), &format!("{:?}", data.with_extension("other")));
    let config = one.world.directory().join("other.toml");
    fs::write(&config, text).unwrap();
    let mut two = Neighbour::start(config, &one.clock).await;
    let inbox = (
        publish_domain(&one.world, "one.test", listeners.0).await,
        publish_domain(&one.world, "two.test", listeners.1).await,
    );
    for (through, to) in [(listeners.0, "<bob@two.test>"), (listeners.1, "<ann@one.test>")] {
        let mut client = Sender::connect(through).await.unwrap();
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        submit(&mut client, SENDER, &[to], MESSAGE).await;
    }
    inbox.0.wait_for_messages(1, PATIENCE).await.unwrap();
    inbox.1.wait_for_messages(1, PATIENCE).await.unwrap();
    one.clock.advance(Duration::from_secs(3600));
    for day in 1..=7 {
        // What was counted is written when a relay stops.
        one.restart().await;
        two = two.restart().await;
        one.clock.advance(Duration::from_secs(24 * 3600));
        for reporting in [one.reporting(), two.relay.reporting()] {
            reporting.send_finished().await.unwrap();
            all_over(reporting).await;
        }
        // The reports of the first day, each passed on by the relay that it is for, and none since.
        inbox.0.wait_for_messages(2, PATIENCE).await.unwrap();
        inbox.1.wait_for_messages(2, PATIENCE).await.unwrap();
        assert_eq!((inbox.0.messages().len(), inbox.1.messages().len()), (2, 2), "day {day}");
    }
    for (inbox, own, other) in
        [(&inbox.0, "one.test", "two.test"), (&inbox.1, "two.test", "one.test")]
    {
        let message = inbox.messages()[1].text();
        assert!(message.contains(&format!("TLS-Report-Domain: {own}\r\n")), "{message}");
        assert!(message.contains(&format!("TLS-Report-Submitter: {other}\r\n")), "{message}");
    }
    two.relay.stop().await;
}
