//! Mail that asks for proven TLS all its way (RFC 8689): from a client, by one relay, and by two.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock as _;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use settings::{Settings, Source};
use sts_relay::Relay;
use testbed::{Certificate, MxBehaviour, MxHost, PolicyText, Sender, World};

use crate::world::{PATIENCE, RelayInWorld, SENDER, submit};

/// A sender whose message asks for it.
pub(crate) const REQUIRES: &str = "<ann@sender.test> REQUIRETLS";

/// The zone that is signed.
const SIGNED: &str = "signed.test";

const MESSAGE: &[u8] =
    b"Message-ID: <1@sender.test>\r\nSubject: for nobody else\r\n\r\nHow are you?\r\n";

/// A relay with a listener under TLS, in a world with a signed zone.
pub(crate) async fn start(settings: &str) -> RelayInWorld {
    let world = World::new().await;
    world.names().authenticate(SIGNED);
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let (certificate, key) = (world.directory().join("own.pem"), world.directory().join("own.key"));
    // For both relays: it is good at any time, for clocks of tests and of clients.
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["relay.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2400, 1, 1));
    fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    let settings = format!("tls.certificate = {certificate:?}\ntls.key = {key:?}\n{settings}");
    let offers = (listener, "tls = \"starttls\"");
    Box::pin(RelayInWorld::start_as(world, offers, &settings)).await
}

/// The certificate of the relays.
fn own_certificate(relay: &RelayInWorld) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(relay.world.directory().join("own.pem")).unwrap()
}

/// A client of the relay, under TLS.
pub(crate) async fn client(relay: &RelayInWorld) -> Sender {
    let mut roots = RootCertStore::empty();
    roots.add(own_certificate(relay)).unwrap();
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    assert!(!client.ehlo("client.test").await.unwrap().offers("REQUIRETLS"), "in clear");
    let mut client = client.starttls(roots, "relay.test").await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().offers("REQUIRETLS"));
    client
}

/// A host that keeps to it.
fn keeping(behaviour: MxBehaviour) -> MxBehaviour {
    behaviour.with_extension("REQUIRETLS")
}

fn publish(relay: &RelayInWorld, host: &str, certificate: &[u8]) {
    relay.world.add_tlsa(host, (3, 0, 0), certificate);
}

/// Whether the one message that a host has got came with the keyword.
fn was_asked(host: &MxHost) -> bool {
    let messages = host.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].tls.is_some(), "it came in clear");
    messages[0].mail_parameters.contains(&"REQUIRETLS".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_asks_for_tls_goes_to_hosts_that_are_secured_prove_themselves_and_keep_to_it() {
    let relay = start("").await;
    let domain = |name: &str| format!("{name}.{SIGNED}");
    // Named by secure MX records, with a certificate that public authorities vouch for.
    let webpki = relay.domain(&domain("webpki"), keeping(MxBehaviour::valid())).await;
    // With one that its TLSA record vouches for.
    let behaviour = keeping(MxBehaviour::presenting(Certificate::SelfSigned));
    let dane = relay.domain(&domain("dane"), behaviour).await;
    publish(&relay, dane.name(), &dane.certificate_chain()[0]);
    // Named by policies, the one in testing and the other enforced.
    let testing = relay.domain("testing.test", keeping(MxBehaviour::valid())).await;
    let policy = PolicyText::testing([testing.name()]);
    relay.world.domain("testing.test").sts("1").policy(policy).await;
    let enforced = relay.enforcing_domain("enforced.test", keeping(MxBehaviour::valid())).await;
    let mut client = client(&relay).await;
    let to = [&domain("webpki"), &domain("dane"), "testing.test", "enforced.test"];
    for (to, host) in to.iter().zip([&webpki, &dane, &testing, &enforced]) {
        let id = submit(&mut client, REQUIRES, &[&format!("<b@{to}>")], MESSAGE).await;
        relay.gone(id).await;
        assert!(was_asked(host), "{}", relay.story());
    }
    // Other mail goes on over the same connections, and is asked for nothing.
    let id = submit(&mut client, SENDER, &[&format!("<b@{}>", domain("webpki"))], MESSAGE).await;
    relay.gone(id).await;
    let messages = webpki.messages();
    assert!(!messages[1].mail_parameters.contains(&"REQUIRETLS".to_owned()));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_no_host_can_take_is_returned_at_once_and_says_why_without_what_is_in_it() {
    let relay = start("").await;
    let back = relay.domain("sender.test", MxBehaviour::valid()).await;
    let domain = |name: &str| format!("{name}.{SIGNED}");
    let mut client = client(&relay).await;
    for (domain, behaviour, status) in [
        (domain("silent"), MxBehaviour::valid(), "5.7.30"),
        ("unsecured.test".to_owned(), keeping(MxBehaviour::valid()), "5.7.30"),
        (domain("unproved"), keeping(MxBehaviour::presenting(Certificate::SelfSigned)), "5.7.10"),
        (domain("clear"), keeping(MxBehaviour::starttls_not_offered()), "5.7.10"),
    ] {
        let host = relay.domain(&domain, behaviour).await;
        let id = submit(&mut client, REQUIRES, &[&format!("<b@{domain}>")], MESSAGE).await;
        relay.gone(id).await;
        back.wait_for_messages(1, PATIENCE).await.unwrap();
        let notice = back.forget_messages().remove(0);
        let text = notice.text();
        assert!(text.contains(&format!("Status: {status}")), "{domain}: {text}");
        assert!(text.contains("<1@sender.test>"), "which message it was is not told: {text}");
        assert!(!text.contains("for nobody else"), "what is in the message is told: {text}");
        assert_eq!(host.messages(), [], "{domain}");
        assert!(host.connections().iter().all(|one| one.envelope().is_empty()), "{domain}");
    }
}

/// As if RET=HDRS had been asked for, whatever was (RFC 8689 §5).
#[tokio::test(flavor = "multi_thread")]
async fn a_notification_returns_the_header_to_hosts_that_keep_to_it_and_its_sender_alone() {
    let relay = start("").await;
    let domain = |name: &str| format!("{name}.{SIGNED}");
    let back = relay.domain(&domain("back"), keeping(MxBehaviour::valid())).await;
    let host = relay.domain(&domain("silent"), MxBehaviour::valid()).await;
    let mut client = client(&relay).await;
    let sender = format!("<ann@{}> REQUIRETLS RET=FULL", domain("back"));
    let to = format!("<b@{}>", domain("silent"));
    let id = submit(&mut client, &sender, &[&to], MESSAGE).await;
    relay.gone(id).await;
    back.wait_for_messages(1, PATIENCE).await.unwrap();
    assert!(was_asked(&back), "{}", relay.story());
    let text = back.messages()[0].text();
    assert!(text.contains("Subject: for nobody else\r\n"), "{text}");
    assert!(!text.contains("How are you?"), "{text}");
    assert_eq!(host.messages(), []);
    relay.empty().await;
    relay.is_well_behaved();
}

/// While the way back cannot be reached, nothing is taken out of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_notification_waits_for_hosts_that_cannot_be_reached_and_goes_redacted_at_its_end() {
    let relay = start("").await;
    let back = relay.domain(&format!("back.{SIGNED}"), MxBehaviour::valid()).await;
    back.close().await;
    let host = relay.domain("unsecured.test", keeping(MxBehaviour::valid())).await;
    let mut client = client(&relay).await;
    let sender = format!("<ann@back.{SIGNED}> REQUIRETLS");
    let id = submit(&mut client, &sender, &["<b@unsecured.test>"], MESSAGE).await;
    relay.gone(id).await;
    let notice = relay.only().await;
    drop(relay.deferred(notice, 1).await);
    relay.pass(Duration::from_secs(6 * 86_400)).await;
    relay.gone(notice).await;
    back.open().await.unwrap();
    relay.pass(Duration::from_secs(3600)).await;
    back.wait_for_messages(1, PATIENCE).await.unwrap();
    let text = back.messages()[0].text();
    assert!(text.contains("<1@sender.test>") && !text.contains("for nobody else"), "{text}");
    assert_eq!(host.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_hosts_that_cannot_be_reached() {
    let relay = start("").await;
    let domain = format!("later.{SIGNED}");
    let host = relay.domain(&domain, keeping(MxBehaviour::valid())).await;
    host.close().await;
    let mut client = client(&relay).await;
    let id = submit(&mut client, REQUIRES, &[&format!("<b@{domain}>")], MESSAGE).await;
    drop(relay.deferred(id, 1).await);
    host.open().await.unwrap();
    relay.pass(Duration::from_secs(3600)).await;
    relay.gone(id).await;
    assert!(was_asked(&host), "the tag goes with every attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lacks_it_lets_the_next_one_be_asked() {
    let relay = start("").await;
    let domain = format!("two.{SIGNED}");
    let first = relay.world.mx(&format!("a.{domain}"), MxBehaviour::valid()).await;
    let second = relay.world.mx(&format!("b.{domain}"), keeping(MxBehaviour::valid())).await;
    relay.world.domain(&domain).mx(10, &first).mx(20, &second);
    let mut client = client(&relay).await;
    let id = submit(&mut client, REQUIRES, &[&format!("<b@{domain}>")], MESSAGE).await;
    relay.gone(id).await;
    assert_eq!(first.messages(), []);
    assert!(was_asked(&second));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_wished_for_is_sent_as_all_mail_where_no_host_keeps_to_it() {
    let relay = start("requiretls.deliver = \"opportunistic\"").await;
    let domain = format!("wished.{SIGNED}");
    let host = relay.domain(&domain, MxBehaviour::valid()).await;
    let mut client = client(&relay).await;
    let id = submit(&mut client, REQUIRES, &[&format!("<b@{domain}>")], MESSAGE).await;
    relay.gone(id).await;
    assert!(!was_asked(&host));
}

/// A notification of somebody else's: nobody could be told of it.
#[tokio::test(flavor = "multi_thread")]
async fn mail_with_a_null_return_path_is_not_held_for_hosts_that_keep_to_it() {
    let relay = start("").await;
    let host = relay.domain("to.test", MxBehaviour::valid()).await;
    let mut client = client(&relay).await;
    let id = submit(&mut client, "<> REQUIRETLS", &["<b@to.test>"], MESSAGE).await;
    relay.gone(id).await;
    assert!(!was_asked(&host));
}

/// The second relay is the MX host that the first finds: it offers REQUIRETLS, is asked for it, and
/// asks the last host in turn.
#[tokio::test(flavor = "multi_thread")]
async fn the_tag_goes_through_two_relays() {
    let relay = start("").await;
    let last = relay.domain(&format!("last.{SIGNED}"), keeping(MxBehaviour::valid())).await;
    // A place for the second relay.
    let name = format!("mx.middle.{SIGNED}");
    let place = relay.world.mx(&name, MxBehaviour::valid()).await;
    let address = place.address();
    place.close().await;
    let second = second_relay(&relay, &name, address, &last).await;
    relay.world.domain(&format!("middle.{SIGNED}")).mx(10, &place);
    publish(&relay, &name, &own_certificate(&relay));
    let mut client = client(&relay).await;
    let to = format!("<b@middle.{SIGNED}>");
    let id = submit(&mut client, REQUIRES, &[&to], MESSAGE).await;
    relay.gone(id).await;
    last.wait_for_messages(1, PATIENCE).await.unwrap();
    assert!(was_asked(&last), "{}", relay.story());
    second.stop().await;
}

/// A relay that sends everything on to one host.
async fn second_relay(relay: &RelayInWorld, name: &str, address: SocketAddr, to: &MxHost) -> Relay {
    let directory = relay.world.directory();
    let text = fs::read_to_string(directory.join("sts-relay.toml")).unwrap();
    let first = relay.listener().to_string();
    let text = text
        .replace("hostname = \"relay.test\"", &format!("hostname = {name:?}"))
        .replace(&first, &address.to_string())
        .replace("/data\"", "/second\"");
    let route = format!(
        "[[route]]\nrecipient = \"*\"\nnext_hop = \"[{}]:{}\"\n",
        to.name(),
        to.address().port()
    );
    let file = directory.join("second.toml");
    fs::write(&file, text + &route).unwrap();
    let source = Source::read(Some(&file), []).unwrap();
    let settings = Settings::check(&source, relay.clock.now()).unwrap();
    let clock = Arc::clone(&relay.clock);
    Box::pin(Relay::start(settings, clock)).await.unwrap()
}
