//! What TLSA records are worth: every kind of records against every kind of MX host, with a policy
//! beside them and without, with a tap on the wire.
//!
//! [`expected`] says what has to become of a message, by RFC 7672 §2.2 in a few lines that share
//! nothing with the code they judge.

use std::net::SocketAddr;
use std::time::Duration;

use queue::QueueId;
use testbed::{
    Certificate, Channel, Connection, Fault, Handshake, MxBehaviour, MxHost, PolicyText,
    RecordType, Sender, World,
};

use crate::metrics::ask;
use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// The zone that is signed; what is not in it is not.
const SIGNED: &str = "signed.test";

/// What is published of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tlsa {
    Absent,
    /// A record of the host's own certificate.
    Matching,
    /// A record of another certificate.
    Other,
    /// The one and the other, as while a certificate is exchanged.
    Both,
    /// None that can be used, by its usage.
    Unusable,
    /// The lookup fails.
    Fails,
}

/// What the policy of the domain asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    None,
    Testing,
    Enforce,
}

/// What the domain's only host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mx {
    Valid,
    SelfSigned,
    Expired,
    WrongName,
    StarttlsNotOffered,
    StarttlsStripped,
    HandshakeClosed,
}

/// What has to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is at the host, in clear or not.
    Taken,
    /// It is at the host, and came under TLS.
    TakenUnderTls,
    /// It is in the queue.
    Held,
}

const TLSA: [Tlsa; 6] =
    [Tlsa::Absent, Tlsa::Matching, Tlsa::Other, Tlsa::Both, Tlsa::Unusable, Tlsa::Fails];

const MX: [Mx; 7] = [
    Mx::Valid,
    Mx::SelfSigned,
    Mx::Expired,
    Mx::WrongName,
    Mx::StarttlsNotOffered,
    Mx::StarttlsStripped,
    Mx::HandshakeClosed,
];

/// RFC 7672 §2.2 beside RFC 8461 §5, in a few lines.
fn expected(tlsa: Tlsa, policy: Policy, mx: Mx) -> Expected {
    let is_enforced = policy == Policy::Enforce;
    let has_tls = matches!(mx, Mx::Valid | Mx::SelfSigned | Mx::Expired | Mx::WrongName);
    let by_dane = match tlsa {
        Tlsa::Absent => true,
        Tlsa::Matching | Tlsa::Both | Tlsa::Unusable => has_tls,
        Tlsa::Other | Tlsa::Fails => false,
    };
    let by_policy = !is_enforced || mx == Mx::Valid;
    match by_dane && by_policy {
        true if tlsa == Tlsa::Absent && !is_enforced => Expected::Taken,
        true => Expected::TakenUnderTls,
        false => Expected::Held,
    }
}

impl Mx {
    fn behaviour(self) -> MxBehaviour {
        match self {
            Self::Valid => MxBehaviour::valid(),
            Self::SelfSigned => MxBehaviour::presenting(Certificate::SelfSigned),
            Self::Expired => MxBehaviour::presenting(Certificate::Expired),
            Self::WrongName => MxBehaviour::presenting(Certificate::WrongName),
            Self::StarttlsNotOffered => MxBehaviour::starttls_not_offered(),
            Self::StarttlsStripped => MxBehaviour::stripped(),
            Self::HandshakeClosed => MxBehaviour::handshake_closed(),
        }
    }
}

/// A relay in a world with a signed zone, which its resolver vouches for from the start.
async fn start(settings: &str) -> RelayInWorld {
    let world = World::new().await;
    world.names().authenticate(SIGNED);
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    Box::pin(RelayInWorld::start_in(world, listener, settings)).await
}

/// Publishes that the host has this certificate.
fn publish(relay: &RelayInWorld, host: &str, certificate: &[u8]) {
    relay.world.add_tlsa(host, (3, 0, 0), certificate);
}

/// The first certificate of a host.
fn leaf(host: &MxHost) -> Vec<u8> {
    host.certificate_chain().remove(0)
}

/// One combination, with a domain of its own.
#[derive(Debug)]
struct Cell {
    tlsa: Tlsa,
    mx: Mx,
    domain: String,
    host: MxHost,
}

impl Cell {
    async fn new(relay: &RelayInWorld, policy: Policy, tlsa: Tlsa, mx: Mx, other: &[u8]) -> Self {
        let domain = format!("{tlsa:?}-{mx:?}.{SIGNED}").to_lowercase();
        let host = relay.domain(&domain, mx.behaviour()).await;
        let name = host.name();
        let own = host.certificate_chain().into_iter().next();
        let own = own.unwrap_or_else(|| other.to_vec());
        match tlsa {
            Tlsa::Absent => {}
            Tlsa::Matching => publish(relay, name, &own),
            Tlsa::Other => publish(relay, name, other),
            Tlsa::Both => {
                publish(relay, name, other);
                publish(relay, name, &own);
            }
            Tlsa::Unusable => relay.world.add_tlsa(name, (1, 0, 0), &own),
            Tlsa::Fails => relay.world.names().fail(&relay.world.tlsa_name(name), Fault::ServFail),
        }
        let setup = || relay.world.domain(&domain).sts("1");
        match policy {
            Policy::None => {}
            Policy::Testing => drop(setup().policy(PolicyText::testing([name])).await),
            Policy::Enforce => drop(setup().policy(PolicyText::enforce([name])).await),
        }
        Self { tlsa, mx, domain, host }
    }
}

/// Sends a message to each cell, and holds what becomes of it against [`expected`].
async fn judge(policy: Policy) {
    let relay = start("").await;
    let stranger = relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    let other = leaf(&stranger);
    let mut cells = Vec::new();
    for tlsa in TLSA {
        for mx in MX {
            cells.push(Cell::new(&relay, policy, tlsa, mx, &other).await);
        }
    }
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    let mut sent = Vec::new();
    for cell in &cells {
        let recipient = format!("<now@{}>", cell.domain);
        sent.push(submit(&mut client, SENDER, &[&recipient], MESSAGE).await);
    }
    for (cell, id) in cells.iter().zip(sent) {
        let expected = expected(cell.tlsa, policy, cell.mx);
        match expected {
            Expected::Held => held(&relay, policy, cell, id).await,
            Expected::Taken | Expected::TakenUnderTls => {
                relay.gone(id).await;
                assert_eq!(cell.host.messages().len(), 1, "{cell:?}\n{}", relay.story());
            }
        }
        for connection in cell.host.connections() {
            nothing_went_unproved(cell, expected, &connection);
        }
    }
    relay.is_well_behaved();
}

/// The message waits, and the reason names who has to act.
async fn held(relay: &RelayInWorld, policy: Policy, cell: &Cell, id: QueueId) {
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(cell.host.messages(), [], "{cell:?}");
    let [reason] = &reasons[..] else { panic!("{cell:?}: {reasons:?}") };
    assert!(reason.text.contains(&cell.domain), "the domain is not named: {reason:?}");
    let by_dane = expected(cell.tlsa, Policy::None, cell.mx) == Expected::Held;
    let by_policy = policy == Policy::Enforce && cell.mx != Mx::Valid;
    let class = reason.class.word();
    match (by_dane, by_policy) {
        (true, false) => {
            assert_eq!(class, "dane", "{cell:?} {reason:?}");
            let code = if cell.tlsa == Tlsa::Fails { "4.4.3" } else { "4.7.5" };
            assert_eq!(reason.enhanced.to_string(), code, "{cell:?} {reason:?}");
        }
        (false, true) => assert_eq!(class, "policy", "{cell:?} {reason:?}"),
        (true, true) => assert!(["dane", "policy"].contains(&class), "{cell:?} {reason:?}"),
        (false, false) => panic!("{cell:?} is held for nothing: {reason:?}"),
    }
}

/// No MAIL, RCPT or DATA was sent to a host that does not match, or in clear to one with records.
fn nothing_went_unproved(cell: &Cell, expected: Expected, connection: &Connection) {
    let envelope = connection.envelope();
    match expected {
        Expected::Held => assert!(envelope.is_empty(), "{cell:?}: {connection}"),
        Expected::Taken => {}
        Expected::TakenUnderTls => {
            assert!(envelope.iter().all(|command| command.channel == Channel::Tls));
            assert_eq!(connection.envelope_in_clear(), Vec::<String>::new(), "{cell:?}");
        }
    }
    assert!(cell.tlsa != Tlsa::Fails, "a host without its records was called: {connection}");
    if let Handshake::Completed(tls) = &connection.handshake {
        assert_eq!(tls.sni.as_deref(), Some(connection.host.as_str()));
        assert!(!tls.resumed, "{connection}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_tlsa_records_hold_by_themselves() {
    judge(Policy::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_in_testing_excuses_no_tlsa_record() {
    judge(Policy::Testing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforced_policy_and_tlsa_records_hold_both() {
    judge(Policy::Enforce).await;
}

/// The records are exchanged with the certificate: what was remembered of them is asked for again
/// before the host is given up, in the same attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollover_holds_no_mail() {
    let relay = start("").await;
    relay.world.names().keep_for(Duration::from_secs(86_400));
    let domain = format!("rollover.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::valid()).await;
    publish(&relay, host.name(), &leaf(&host));
    let first = relay.submit(&[&format!("<a@{domain}>")]).await;
    relay.gone(first).await;
    // Another certificate, and its record in the place of the first.
    host.behave(MxBehaviour::presenting(Certificate::SelfSigned));
    let name = relay.world.tlsa_name(host.name());
    relay.world.names().remove(&name, RecordType::Tlsa);
    publish(&relay, host.name(), &leaf(&host));
    let asked = relay.world.names().queries(&name);
    // Not over the connection that is left from the first.
    relay.clock.advance(Duration::from_secs(60));
    let second = relay.submit(&[&format!("<b@{domain}>")]).await;
    relay.gone(second).await;
    assert_eq!(host.messages().len(), 2, "{}", relay.story());
    assert_eq!(relay.world.names().queries(&name), asked + 1, "once, past what is remembered");
}

/// With the old record left in place, mail waits; with the new one it leaves at the next attempt.
#[tokio::test(flavor = "multi_thread")]
async fn mail_leaves_once_the_record_is_mended_and_not_before() {
    let relay = start("").await;
    let domain = format!("late.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::valid()).await;
    let stranger = relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    publish(&relay, host.name(), &leaf(&stranger));
    let id = relay.submit(&[&format!("<a@{domain}>")]).await;
    let reasons = relay.deferred(id, 1).await;
    let text = &reasons[0].text;
    for part in [host.name(), "records: 3 0 0 ", "shown: 3 1 1 "] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert_eq!(host.messages(), []);
    publish(&relay, host.name(), &leaf(&host));
    relay.pass(Duration::from_secs(3600)).await;
    relay.gone(id).await;
    host.wait_for_messages(1, PATIENCE).await.unwrap();
}

/// When its lifetime ends, what DANE holds bounces with a status that says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_dane_holds_to_the_end_bounces_with_the_reason() {
    let relay = start("").await;
    let back = relay.domain("sender.test", MxBehaviour::valid()).await;
    let domain = format!("never.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::starttls_not_offered()).await;
    publish(&relay, host.name(), &leaf(&back));
    let id = relay.submit(&[&format!("<a@{domain}>")]).await;
    relay.deferred(id, 1).await;
    relay.pass(Duration::from_secs(6 * 86_400)).await;
    relay.gone(id).await;
    back.wait_for_messages(1, PATIENCE).await.unwrap();
    let notice = back.messages()[0].text();
    assert!(notice.contains("Status: 5.7.5"), "{notice}");
    assert!(notice.contains(host.name()), "{notice}");
    assert_eq!(host.messages(), []);
}

/// Where the MX records are not signed nothing is asked for, and nothing is held.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_domain_is_asked_for_no_tlsa_record() {
    let relay = start("").await;
    let host = relay.domain("unsigned.test", MxBehaviour::valid()).await;
    let stranger = relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    publish(&relay, host.name(), &leaf(&stranger));
    let id = relay.submit(&["<a@unsigned.test>"]).await;
    relay.gone(id).await;
    assert_eq!(host.messages().len(), 1, "{}", relay.story());
    assert_eq!(relay.world.names().queries(&relay.world.tlsa_name(host.name())), 0);
}

/// What an unsigned domain costs is the same with DANE and without: no question more is asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_domain_costs_no_question_more_than_without_dane() {
    let mut asked = Vec::new();
    for settings in ["", "dane.mode = \"off\""] {
        let relay = start(settings).await;
        let host = relay.domain("unsigned.test", MxBehaviour::valid()).await;
        let id = relay.submit(&["<a@unsigned.test>"]).await;
        relay.gone(id).await;
        assert_eq!(host.messages().len(), 1, "{}", relay.story());
        asked.push(relay.world.names().questions_below("unsigned.test"));
    }
    assert_eq!(asked[0], asked[1]);
    assert!(asked[0] >= 3, "MX, A and AAAA records were not asked for: {asked:?}");
}

/// Preferences come first: TLSA records do not put a worse MX before a better one without
/// (RFC 7672 §2.2.1).
#[tokio::test(flavor = "multi_thread")]
async fn a_worse_mx_with_tlsa_records_does_not_go_before_a_better_one_without() {
    let relay = start("").await;
    let domain = format!("preferred.{SIGNED}");
    let host = |name: &str| format!("{name}.{domain}");
    let better = relay.world.mx(&host("better"), MxBehaviour::valid()).await;
    let worse = relay.world.mx(&host("worse"), MxBehaviour::valid()).await;
    relay.world.domain(&domain).mx(10, &better).mx(20, &worse);
    publish(&relay, worse.name(), &leaf(&worse));
    let id = relay.submit(&[&format!("<a@{domain}>")]).await;
    relay.gone(id).await;
    assert_eq!(better.messages().len(), 1, "{}", relay.story());
    assert!(worse.connections().is_empty(), "{}", relay.story());
}

/// A connection that matched goes on for further mail, and not once the records are others.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_goes_on_under_the_same_records_alone() {
    let relay = start("").await;
    let domain = format!("again.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::valid()).await;
    publish(&relay, host.name(), &leaf(&host));
    let to = format!("<a@{domain}>");
    for _ in 0..2 {
        let id = relay.submit(&[&to]).await;
        relay.gone(id).await;
    }
    assert_eq!(host.connections().len(), 1, "{}", relay.story());
    let stranger = relay.world.mx("stranger.test", MxBehaviour::valid()).await;
    publish(&relay, host.name(), &leaf(&stranger));
    let id = relay.submit(&[&to]).await;
    relay.gone(id).await;
    assert_eq!(host.connections().len(), 2, "{}", relay.story());
}

/// An exception is for what it says: the records, the policy, or both.
#[tokio::test(flavor = "multi_thread")]
async fn an_exception_sets_aside_what_it_says_and_nothing_else() {
    for (what, lifts_records, lifts_policy) in [
        ("", false, true),
        ("what = [\"mta-sts\"]", false, true),
        ("what = [\"dane\"]", true, false),
        ("what = [\"mta-sts\", \"dane\"]", true, true),
    ] {
        let table = |domain: &str| {
            format!(
                "[[exception]]\ndomain = \"{domain}.{SIGNED}\"\nuntil = 2030-01-20\n\
                 reason = \"agreed\"\n{what}\n"
            )
        };
        let settings = [table("records"), table("policy")].concat();
        let relay = start(&settings).await;
        let stranger = relay.world.mx("stranger.test", MxBehaviour::valid()).await;
        // Its certificate is good, and is not that of its record.
        let unmatched = relay.domain(&format!("records.{SIGNED}"), MxBehaviour::valid()).await;
        publish(&relay, unmatched.name(), &leaf(&stranger));
        // It matches, and its certificate is not good.
        let behaviour = MxBehaviour::presenting(Certificate::SelfSigned);
        let unproved = relay.enforcing_domain(&format!("policy.{SIGNED}"), behaviour).await;
        publish(&relay, unproved.name(), &leaf(&unproved));
        for (domain, is_lifted) in [("records", lifts_records), ("policy", lifts_policy)] {
            let id = relay.submit(&[&format!("<a@{domain}.{SIGNED}>")]).await;
            if is_lifted {
                relay.gone(id).await;
            } else {
                drop(relay.deferred(id, 1).await);
            }
        }
        let taken = |host: &MxHost| host.messages().len() == 1;
        assert_eq!((taken(&unmatched), taken(&unproved)), (lifts_records, lifts_policy), "{what}");
    }
}

/// Without a resolver that validates: by default mail flows as without DANE, and where DANE is required
/// the relay is not ready, and mail waits (RFC 7672 §2.1).
#[tokio::test(flavor = "multi_thread")]
async fn where_dane_is_required_nothing_leaves_and_nothing_is_ready_without_a_resolver_that_validates()
 {
    for (mode, is_ready) in [("auto", true), ("required", false)] {
        let world = World::new().await;
        world.names().leave_unsigned(".");
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        let settings = format!("dane.mode = {mode:?}\nadmin.address = \"127.0.0.1:0\"");
        let relay = Box::pin(RelayInWorld::start_in(world, listener, &settings)).await;
        let host = relay.domain("to.test", MxBehaviour::valid()).await;
        let id = relay.submit(&["<a@to.test>"]).await;
        let answer = ask(relay.monitors(), "GET", "/readyz").await;
        let why = "none validates DNSSEC, and dane.mode is \\\"required\\\"";
        assert_eq!((answer.status == 200, answer.body.contains(why)), (is_ready, !is_ready));
        if is_ready {
            relay.gone(id).await;
        } else {
            let reasons = relay.deferred(id, 1).await;
            assert!(reasons[0].text.contains("no resolver validates"), "{}", reasons[0].text);
            assert_eq!(host.messages(), []);
        }
    }
}
