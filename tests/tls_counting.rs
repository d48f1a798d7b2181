//! What deliveries are counted as for TLS reports (RFC 8460 §4.3), from the host to the store.

use std::net::SocketAddr;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use testbed::{Certificate, Fault, MxBehaviour, PolicyBehaviour, PolicyText, Rule, Step, World};
use tls_rpt::{Day, DomainName, PolicyType};

use crate::counted::{Counted, Kept, Mail, RECORD, REPORTS};
use crate::process::Process;
use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit, write_settings};

/// Longer than `mta_sts.undecided_grace`.
const UNDECIDED: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_is_counted_by_the_policy_that_applied_to_it() {
    let mut counted = Counted::start("").await;
    counted.enforced("good.test", MxBehaviour::valid()).await;
    counted.send("good.test", Mail::Delivered, &["sts success 1"]).await;
    let policy = PolicyText::testing(["mx.tested.test"]);
    let expired = MxBehaviour::presenting(Certificate::Expired);
    counted.policy("tested.test", expired, policy).await;
    counted.send("tested.test", Mail::Delivered, &["sts certificate-expired 1"]).await;
    let policy = PolicyText::testing(["mx.elsewhere.test"]);
    counted.policy("other.test", MxBehaviour::valid(), policy).await;
    let unnamed = "sts validation-failure mx-not-in-policy 1";
    counted.send("other.test", Mail::Delivered, &[unnamed]).await;
    let policy = PolicyText::enforce(["mx.elsewhere.test"]);
    counted.policy("unnamed.test", MxBehaviour::valid(), policy).await;
    counted.send("unnamed.test", Mail::Waits, &[unnamed]).await;
    counted.domain("open.test", MxBehaviour::presenting(Certificate::SelfSigned)).await;
    counted.send("open.test", Mail::Delivered, &["no-policy-found success 1"]).await;
    counted.domain("clear.test", MxBehaviour::starttls_not_offered()).await;
    let clear = "no-policy-found starttls-not-supported starttls-not-offered 1";
    counted.send("clear.test", Mail::Delivered, &[clear]).await;
    let expired = MxBehaviour::presenting(Certificate::Expired);
    counted.policy("withdrawn.test", expired, PolicyText::none()).await;
    counted.send("withdrawn.test", Mail::Delivered, &["no-policy-found success 1"]).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_the_word_of_the_standard_and_a_reason_from_a_closed_list() {
    let mut counted = Counted::start("delivery.timeouts.tls = \"2s\"").await;
    let not_tls = |reason: &str| format!("sts validation-failure {reason} 1");
    let not_trusted = |reason: &str| format!("sts certificate-not-trusted {reason} 1");
    let hangs_up = MxBehaviour::valid().rule(Rule::new(Step::Ehlo, testbed::Act::Drop).in_tls());
    let cases = [
        (
            "missing",
            MxBehaviour::stripped(),
            "sts starttls-not-supported starttls-not-offered 1".to_owned(),
        ),
        (
            "refused",
            MxBehaviour::starttls_refused("454 4.7.0 not now"),
            "sts starttls-not-supported starttls-reply-454 1".to_owned(),
        ),
        (
            "expired",
            MxBehaviour::presenting(Certificate::Expired),
            "sts certificate-expired 1".to_owned(),
        ),
        ("future", MxBehaviour::presenting(Certificate::NotYetValid), not_trusted("not-yet-valid")),
        (
            "wrong",
            MxBehaviour::presenting(Certificate::WrongName),
            "sts certificate-host-mismatch 1".to_owned(),
        ),
        (
            "stranger",
            MxBehaviour::presenting(Certificate::OtherAuthority),
            not_trusted("unknown-issuer"),
        ),
        ("purpose", MxBehaviour::presenting(Certificate::ForClients), not_trusted("wrong-purpose")),
        ("alert", MxBehaviour::handshake_alert(40), not_tls("tls-alert-40")),
        ("garbage", MxBehaviour::handshake_garbage(), not_tls("tls-protocol")),
        ("cut", MxBehaviour::handshake_closed(), not_tls("connection-cut")),
        ("injected", MxBehaviour::injected(b"250 injected\r\n"), not_tls("injected-plaintext")),
        ("closed", hangs_up, not_tls("closed-after-handshake")),
        ("old", MxBehaviour::handshake_of_tls10(), not_tls("no-common-version")),
        ("silent", MxBehaviour::handshake_silent(), not_tls("timeout")),
    ];
    for (name, behaviour, row) in cases {
        let domain = format!("{name}.test");
        counted.enforced(&domain, behaviour).await;
        counted.send(&domain, Mail::Waits, &[&row]).await;
    }
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_tls_from_coming_about_is_counted_under_whatever_policy_applies() {
    let mut counted = Counted::start("delivery.timeouts.tls = \"2s\"").await;
    counted.relay.world.names().authenticate("signed.test");
    let hangs_up = MxBehaviour::valid().rule(Rule::new(Step::Ehlo, testbed::Act::Drop).in_tls());
    let not_offered = "starttls-not-supported starttls-not-offered";
    for (name, behaviour, row) in [
        ("missing", MxBehaviour::stripped(), not_offered),
        (
            "refused",
            MxBehaviour::starttls_refused("454 4.7.0 not now"),
            "starttls-not-supported starttls-reply-454",
        ),
        ("alert", MxBehaviour::handshake_alert(40), "validation-failure tls-alert-40"),
        ("garbage", MxBehaviour::handshake_garbage(), "validation-failure tls-protocol"),
        ("cut", MxBehaviour::handshake_closed(), "validation-failure connection-cut"),
        (
            "injected",
            MxBehaviour::injected(b"250 injected\r\n"),
            "validation-failure injected-plaintext",
        ),
        ("closed", hangs_up, "validation-failure closed-after-handshake"),
        ("old", MxBehaviour::handshake_of_tls10(), "validation-failure no-common-version"),
        ("silent", MxBehaviour::handshake_silent(), "validation-failure timeout"),
    ] {
        // Without a policy mail goes in clear, but to whoever puts words into a connection.
        let open = format!("{name}.test");
        counted.domain(&open, behaviour.clone()).await;
        let mail = if name == "injected" { Mail::Waits } else { Mail::Delivered };
        counted.send(&open, mail, &[&format!("no-policy-found {row} 1")]).await;
        let signed = format!("{name}.signed.test");
        let mx = counted.enforced(&signed, behaviour).await;
        counted.relay.world.add_tlsa(mx.name(), (3, 0, 0), &mx.certificate_chain()[0]);
        let rows = [format!("sts {row} 1"), format!("tlsa {row} 1")];
        counted.send(&signed, Mail::Waits, &rows.each_ref().map(String::as_str)).await;
    }
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_not_to_be_had_is_a_failure_of_each_connection_made_without_it() {
    let mut counted = Counted::start("mta_sts.fetch_timeout = \"1s\"").await;
    let cases = [
        ("gone", PolicyBehaviour::status(404), "sts sts-policy-fetch-error http-404 1"),
        (
            "moved",
            PolicyBehaviour::redirect(301, "https://a.test/"),
            "sts sts-policy-fetch-error redirect 1",
        ),
        (
            "markup",
            PolicyBehaviour::serve("<html>").media_type("text/html"),
            "sts sts-policy-fetch-error media-type 1",
        ),
        ("cut", PolicyBehaviour::closing(), "sts sts-policy-fetch-error tls-protocol 1"),
        ("silent", PolicyBehaviour::silent(), "sts sts-policy-fetch-error timeout 1"),
        (
            "invalid",
            PolicyBehaviour::serve("version: STSv1\nmode: on\n"),
            "sts sts-policy-invalid policy-syntax 1",
        ),
        (
            "wrong",
            PolicyBehaviour::from(PolicyText::enforce(["mx.wrong.test"]))
                .with_certificate(Certificate::WrongName),
            "sts sts-webpki-invalid host-mismatch 1",
        ),
    ];
    for (name, policy, row) in cases {
        let domain = format!("{name}.test");
        counted.policy(&domain, MxBehaviour::valid(), policy).await;
        counted.send(&domain, Mail::Delivered, &[row]).await;
    }
    counted.enforced("unknown.test", MxBehaviour::valid()).await;
    counted.relay.world.names().fail("mta-sts.unknown.test", Fault::ServFail);
    let row = "sts sts-policy-fetch-error dns 1";
    counted.send("unknown.test", Mail::Delivered, &[row]).await;
    let kept = counted.stop().await;
    for (domain, expected) in &counted.expected {
        assert_eq!(&kept.rows(domain).await, expected, "{domain}");
    }
    let invalid = kept.tally("invalid.test").await.unwrap();
    let (row, _sessions) = invalid.rows().next().unwrap();
    assert_eq!(row.policy.strings(), ["version: STSv1", "mode: on"], "the text that came");
    assert_eq!(row.failure.as_ref().unwrap().receiving_mx_hostname, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_is_counted_beside_what_the_cached_policy_says_of_connections() {
    let mut counted = Counted::start("").await;
    let text = "version: STSv1\nmode: enforce\nmx: mx.good.test\nfurther: field\nmax_age: 86400\n";
    counted.policy("good.test", MxBehaviour::valid(), PolicyBehaviour::serve(text)).await;
    counted.send("good.test", Mail::Delivered, &[]).await;
    counted.expected.clear();
    counted.relay.world.domain("good.test").sts("2").policy(PolicyBehaviour::status(500)).await;
    counted.relay.clock.advance(Duration::from_secs(3600));
    let rows = ["sts success 2", "sts sts-policy-fetch-error http-500 1"];
    counted.send("good.test", Mail::Delivered, &rows).await;
    let kept = counted.stop().await;
    assert_eq!(kept.rows("good.test").await, counted.expected[0].1);
    let tally = kept.tally("good.test").await.unwrap();
    for (row, _sessions) in tally.rows() {
        let strings: Vec<_> = text.lines().collect();
        assert_eq!(row.policy.strings(), strings, "as it was fetched");
        assert_eq!(row.policy.mx_hosts(), ["mx.good.test"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_lets_mail_go_and_the_domain_learns_what_was_wrong() {
    let exception =
        "exception = [{ domain = \"bad.test\", until = 2030-01-10, reason = \"ticket 4711\" }]";
    let mut counted = Counted::start(exception).await;
    counted.enforced("bad.test", MxBehaviour::presenting(Certificate::WrongName)).await;
    counted.send("bad.test", Mail::Delivered, &["sts certificate-host-mismatch 1"]).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_counts_once_however_many_messages_go_over_it() {
    let mut counted = Counted::start("").await;
    counted.enforced("good.test", MxBehaviour::valid()).await;
    counted.send("good.test", Mail::Delivered, &[]).await;
    counted.send("good.test", Mail::Delivered, &[]).await;
    assert_eq!(counted.relay.world.tap().connections().len(), 1);
    let kept = counted.stop().await;
    assert_eq!(kept.rows("good.test").await, ["sts success 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_nothing_of_tls_is_not_counted() {
    let mut counted = Counted::start("").await;
    let refusing = MxBehaviour::valid().at(Step::Greeting, "554 5.3.2 no");
    counted.enforced("refusing.test", refusing).await;
    counted.send("refusing.test", Mail::Waits, &[]).await;
    counted.enforced("closed.test", MxBehaviour::valid().at(Step::Ehlo, testbed::Act::Drop)).await;
    counted.send("closed.test", Mail::Waits, &[]).await;
    // Whether there is a policy cannot be told, and mail waits for that.
    counted.enforced("undecided.test", MxBehaviour::valid()).await;
    counted.relay.world.names().fail("_mta-sts.undecided.test", Fault::ServFail);
    counted.send("undecided.test", Mail::Waits, &[]).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_goes_while_it_is_undecided_whether_there_is_a_policy_is_not_counted() {
    let mut counted = Counted::start("").await;
    let mx = counted.domain("undecided.test", MxBehaviour::valid()).await;
    counted.relay.world.names().fail("_mta-sts.undecided.test", Fault::ServFail);
    let id = counted.relay.submit(&["<bob@undecided.test>"]).await;
    drop(counted.relay.deferred(id, 1).await);
    counted.relay.pass(UNDECIDED).await;
    counted.relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
    let kept = counted.stop().await;
    assert_eq!(kept.tallies.list(None, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_counts_for_the_smart_host_unless_it_has_a_login() {
    let routes = "[[route]]\nrecipient = \"login.test\"\nnext_hop = \"[smtp.test]\"\n\
                  username = \"ann\"\npassword = \"s3cret\"\n\
                  [[route]]\nrecipient = \"open.test\"\nnext_hop = \"[hub.test]\"\n";
    let mut counted = Counted::start(routes).await;
    let taking = MxBehaviour::valid().with_login(&["PLAIN"], "ann", "s3cret");
    counted.relay.world.mx("smtp.test", taking).await;
    counted.relay.world.mx("hub.test", MxBehaviour::valid()).await;
    for name in ["smtp.test", "hub.test", "login.test", "open.test"] {
        counted.relay.world.domain(name).tls_rpt_record(RECORD);
    }
    counted.send("login.test", Mail::Delivered, &[]).await;
    counted.send("open.test", Mail::Delivered, &[]).await;
    let address = counted.relay.world.mx("literal.test", MxBehaviour::valid()).await.address();
    counted.send(&format!("[{}]", address.ip()), Mail::Delivered, &[]).await;
    let kept = counted.stop().await;
    let all = kept.tallies.list(None, 9).await.unwrap();
    assert_eq!(all, [(kept.day, DomainName::parse("hub.test").unwrap())]);
    assert_eq!(kept.rows("hub.test").await, ["no-policy-found success 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_has_kept_what_is_older_than_five_seconds() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, REPORTS);
    let mx = world.mx("mx.good.test", MxBehaviour::valid()).await;
    world.domain("good.test").mx(10, &mx).tls_rpt_record(RECORD);
    let mut process = Process::start(&config, world.directory().join("log"));
    let mut client = process.connected(listener).await;
    client.ehlo("client.test").await.unwrap();
    submit(&mut client, SENDER, &["<bob@good.test>"], MESSAGE).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    // The time that is promised, and some more for a slow disk.
    tokio::time::sleep(Duration::from_secs(8)).await;
    process.kill();
    let kept = Kept::open_in(&world, Day::of(SystemClock.now()));
    assert_eq!(kept.rows("good.test").await, ["no-policy-found success 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_contact_nothing_is_counted_and_nobody_asked() {
    let mut relay = RelayInWorld::start().await;
    relay.enforcing_domain("good.test", MxBehaviour::valid()).await;
    relay.world.domain("good.test").tls_rpt_record(RECORD);
    let id = relay.submit(&["<bob@good.test>"]).await;
    relay.gone(id).await;
    relay.stop().await;
    assert_eq!(relay.world.names().queries("_smtp._tls.good.test"), 0);
    let kept = Kept::open(&relay);
    assert!(kept.tally("good.test").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_of_mail_and_no_client_is_in_what_is_kept() {
    let mut counted = Counted::start("").await;
    counted.enforced("bad.test", MxBehaviour::presenting(Certificate::Expired)).await;
    counted.send("bad.test", Mail::Waits, &[]).await;
    let kept = counted.stop().await;
    let tally = kept.tally("bad.test").await.unwrap();
    let (row, _sessions) = tally.rows().next().unwrap();
    assert_eq!(row.policy.policy_type(), PolicyType::Sts);
    let failure = row.failure.as_ref().unwrap();
    assert_eq!(failure.receiving_mx_hostname.as_ref().unwrap().as_str(), "mx.bad.test");
    assert_eq!(failure.receiving_mx_helo.as_ref().unwrap().as_str(), "mx.bad.test");
    assert!(failure.receiving_ip.is_some() && failure.sending_mta_ip.is_some());
    let text = serde_json::to_string(&tally).unwrap();
    assert!(!text.contains('@') && !text.contains("bob") && !text.contains("ann"), "{text}");
}
