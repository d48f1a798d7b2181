//! Mail whose sender wants it to arrive whatever its recipients' policy asks of TLS: the header field
//! `TLS-Required: No` (RFC 8689 §3), with a tap on the wire.

use std::time::Duration;

use testbed::{Certificate, Fault, MxBehaviour, MxHost, PolicyText, RecordType, Sender, Step};

use crate::counted::{Counted, Kept, RECORD};
use crate::process_in_world::ProcessInWorld;
use crate::requiretls::{REQUIRES, client, start};
use crate::world::{PATIENCE, RelayInWorld, SENDER, submit};

/// The zone that is signed.
const SIGNED: &str = "signed.test";

/// Honours the usual sender.
const HONOURED: &str = "requiretls.honour_no_from = [\"@sender.test\"]";

/// A message that has arrived in clear or under TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Came {
    InClear,
    UnderTls,
}

/// A message with these fields in its header.
fn message(fields: &str) -> Vec<u8> {
    format!("From: ann@sender.test\r\n{fields}Subject: help\r\n\r\nYour TLS is broken.\r\n").into()
}

/// Hands a message with these fields in, for a recipient at the domain.
async fn hand_in(relay: &RelayInWorld, fields: &str, domain: &str) -> queue::QueueId {
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    submit(&mut client, SENDER, &[&format!("<bob@{domain}>")], &message(fields)).await
}

/// How the one message that a host has got came.
fn came(host: &MxHost) -> Came {
    let messages = host.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].text().contains("TLS-Required: No\r\n"), "passed on unchanged");
    if messages[0].tls.is_some() { Came::UnderTls } else { Came::InClear }
}

#[tokio::test(flavor = "multi_thread")]
async fn honoured_mail_arrives_in_spite_of_a_policy_by_tls_first_and_is_counted_as_it_was() {
    let mut counted = Counted::start(HONOURED).await;
    let clear = MxBehaviour::starttls_not_offered();
    let cases = [
        ("good", MxBehaviour::valid(), Came::UnderTls, "sts success 1"),
        (
            "expired",
            MxBehaviour::presenting(Certificate::Expired),
            Came::UnderTls,
            "sts certificate-expired 1",
        ),
        ("clear", clear, Came::InClear, "sts starttls-not-supported starttls-not-offered 1"),
        (
            "broken",
            MxBehaviour::handshake_closed(),
            Came::InClear,
            "sts validation-failure connection-cut 1",
        ),
    ];
    for (name, behaviour, how, row) in cases {
        let domain = format!("{name}.test");
        let host = counted.relay.enforcing_domain(&domain, behaviour).await;
        counted.relay.world.domain(&domain).tls_rpt_record(RECORD);
        let id = hand_in(&counted.relay, "TLS-Required: No\r\n", &domain).await;
        counted.relay.gone(id).await;
        assert_eq!(came(&host), how, "{domain}");
        counted.expected.push((domain, vec![row.to_owned()]));
    }
    // A host that the policy does not name.
    let policy = PolicyText::enforce(["mx.elsewhere.test"]);
    counted.policy("unnamed.test", MxBehaviour::valid(), policy).await;
    let id = hand_in(&counted.relay, "TLS-Required: No\r\n", "unnamed.test").await;
    counted.relay.gone(id).await;
    let row = "sts validation-failure mx-not-in-policy 1";
    counted.expected.push(("unnamed.test".to_owned(), vec![row.to_owned()]));
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honoured_mail_arrives_in_spite_of_tlsa_records_and_is_counted_as_it_was() {
    let settings = format!("tls_rpt.contact = \"tls@relay.test\"\n{HONOURED}");
    let mut relay = RelayInWorld::start_with(&settings).await;
    relay.world.names().authenticate(SIGNED);
    let clear = MxBehaviour::starttls_not_offered();
    let mut expected = Vec::new();
    for (name, behaviour, record, how, row) in [
        ("match", MxBehaviour::valid(), (3, 0, 0), Came::UnderTls, "tlsa success 1"),
        (
            "other",
            MxBehaviour::presenting(Certificate::SelfSigned),
            (3, 1, 1),
            Came::UnderTls,
            "tlsa validation-failure dane-no-match 1",
        ),
        (
            "clear",
            clear,
            (3, 1, 1),
            Came::InClear,
            "tlsa starttls-not-supported starttls-not-offered 1",
        ),
        (
            "unusable",
            MxBehaviour::handshake_closed(),
            (1, 1, 1),
            Came::InClear,
            "tlsa validation-failure connection-cut 1",
        ),
    ] {
        let domain = format!("{name}.{SIGNED}");
        let host = relay.domain(&domain, behaviour).await;
        relay.world.domain(&domain).tls_rpt_record(RECORD);
        let data = if name == "match" { host.certificate_chain()[0].to_vec() } else { vec![7; 32] };
        relay.world.add_tlsa(host.name(), record, &data);
        let id = hand_in(&relay, "TLS-Required: No\r\n", &domain).await;
        relay.gone(id).await;
        assert_eq!(came(&host), how, "{domain}");
        expected.push((domain, row));
    }
    // Records that cannot be looked up.
    let domain = format!("fails.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::valid()).await;
    relay.world.domain(&domain).tls_rpt_record(RECORD);
    let tlsa = relay.world.tlsa_name(host.name());
    relay.world.names().fail_type(&tlsa, RecordType::Tlsa, Fault::ServFail);
    let id = hand_in(&relay, "TLS-Required: No\r\n", &domain).await;
    relay.gone(id).await;
    assert_eq!(came(&host), Came::UnderTls);
    relay.stop().await;
    let kept = Kept::open(&relay);
    for (domain, row) in expected {
        assert_eq!(kept.rows(&domain).await, [row], "{domain}");
    }
    let rows = kept.rows(&domain).await;
    assert!(rows.contains(&"tlsa dnssec-invalid servfail 1".to_owned()), "{rows:?}");
}

/// RFC 8689 §4.2.2: the host itself wants TLS, and none comes about, which may be so for a while only.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_wants_tls_and_has_none_returns_the_mail() {
    let relay = RelayInWorld::start_with(HONOURED).await;
    let back = relay.domain("sender.test", MxBehaviour::valid()).await;
    let wants = MxBehaviour::starttls_not_offered().at(Step::MailFrom, "530 5.7.0 TLS needed");
    let host = relay.enforcing_domain("to.test", wants).await;
    let id = hand_in(&relay, "TLS-Required: No\r\n", "to.test").await;
    drop(relay.deferred(id, 1).await);
    relay.pass(Duration::from_secs(6 * 86_400)).await;
    relay.gone(id).await;
    back.wait_for_messages(1, PATIENCE).await.unwrap();
    let notice = back.messages()[0].text();
    assert!(notice.contains("TLS needed"), "{notice}");
    assert_eq!(host.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_honoured_stays_in_the_queue() {
    for settings in ["", "requiretls.honour_no_from = [\"bob@sender.test\", \"@other.test\"]"] {
        let relay = RelayInWorld::start_with(settings).await;
        let host = relay.enforcing_domain("to.test", MxBehaviour::starttls_not_offered()).await;
        let id = hand_in(&relay, "TLS-Required: No\r\n", "to.test").await;
        drop(relay.deferred(id, 1).await);
        assert_eq!(host.messages(), []);
        relay.is_well_behaved();
    }
}

/// Of a sender who is honoured: what is doubtful does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_forged_repeated_or_not_in_the_header_does_not_count_and_a_folded_one_does()
{
    let relay = RelayInWorld::start_with(HONOURED).await;
    let host = relay.enforcing_domain("to.test", MxBehaviour::starttls_not_offered()).await;
    let part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nTLS-Required: No\r\n\r\n";
    for fields in [
        "TLS-Required: No\r\nTLS-Required: No\r\n",
        "TLS-Required: No\r\nSubject: x\r\nTLS-REQUIRED : Yes\r\n",
        "TLS-Required: Yes\r\n",
        "TLS-Required: No, really\r\n",
        "TLS-Required:\r\n",
        "X-TLS-Required: No\r\n",
        "Subject: x\r\n TLS-Required: No\r\n",
        "\r\nTLS-Required: No\r\n",
        part,
    ] {
        let id = hand_in(&relay, fields, "to.test").await;
        drop(relay.deferred(id, 1).await);
    }
    assert_eq!(host.messages(), []);
    let id = hand_in(&relay, "tls-required:\r\n\tNO\r\n", "to.test").await;
    relay.gone(id).await;
    assert_eq!(host.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requiretls_wins_over_the_field() {
    let relay = start(HONOURED).await;
    let domain = format!("both.{SIGNED}");
    let clear = MxBehaviour::starttls_not_offered().with_extension("REQUIRETLS");
    let host = relay.domain(&domain, clear).await;
    let back = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mut client = client(&relay).await;
    let to = format!("<bob@{domain}>");
    let id = submit(&mut client, REQUIRES, &[&to], &message("TLS-Required: No\r\n")).await;
    relay.gone(id).await;
    back.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(host.messages(), [], "it was sent in clear");
}

/// What a route demands is the operator's own word, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_asks_for_is_not_lifted() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = \"hop.test\"\ntls = \"verify\"";
    let relay = RelayInWorld::start_with(&format!("{HONOURED}\n{route}")).await;
    let host = relay.domain("hop.test", MxBehaviour::starttls_not_offered()).await;
    let id = hand_in(&relay, "TLS-Required: No\r\n", "to.test").await;
    drop(relay.deferred(id, 1).await);
    assert_eq!(host.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_was_honoured_what_was_not_and_what_was_ignored() {
    let mut running =
        ProcessInWorld::start("requiretls.honour_no_from = [\"ann@sender.test\"]").await;
    let clear = MxBehaviour::starttls_not_offered;
    let host = running.domain("to.test", clear()).await;
    let policy = PolicyText::enforce([host.name()]);
    running.world.domain("to.test").sts("1").policy(policy).await;
    let mut client = running.relay.connected(running.listener).await;
    client.ehlo("client.test").await.unwrap();
    let (one, two) = ("TLS-Required: No\r\n", "TLS-Required: No\r\nTLS-Required: No\r\n");
    let id = submit(&mut client, SENDER, &["<b@to.test>"], &message(one)).await.to_string();
    let line = running.line("delivered", &id).await;
    assert!(line.contains("why=\"tls-required-no\""), "{line}");
    let id = submit(&mut client, SENDER, &["<b@to.test>"], &message(two)).await.to_string();
    let line = running.relay.logged(&format!(" TLS-Required ignored queue_id={id} "), 1).await;
    assert!(line.contains("why=\"repeated\""), "{line}");
    let other = "<eve@sender.test>";
    let id = submit(&mut client, other, &["<b@to.test>"], &message(one)).await.to_string();
    let honoured = format!(" TLS-Required: No not honoured queue_id={id} ");
    drop(running.relay.logged(&honoured, 1).await);
    drop(running.line("deferred", &id).await);
    assert_eq!(host.messages().len(), 1);
}
