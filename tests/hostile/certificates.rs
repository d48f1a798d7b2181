//! Certificates as hosts show them: odd, old, self-made; and TLS that does not come about.

use std::fs::OpenOptions;
use std::io::Write as _;

use smtp::to_base64;
use testbed::{Act, Certificate, MxBehaviour, MxHost, Odd, PolicyText, Rule, Step, TlsVersions};

use crate::metrics::counted;
use crate::world::{PATIENCE, RelayInWorld};

/// Mail without a policy to a host like this leaves encrypted, in one connection.
async fn leaves_encrypted(relay: &RelayInWorld, domain: &str, behaviour: MxBehaviour) {
    let mx = relay.domain(domain, behaviour).await;
    relay.submit(&[&format!("<bob@{domain}>")]).await;
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert!(messages[0].tls.is_some(), "{domain}: sent in clear\n{}", relay.story());
    assert_eq!(mx.connections().len(), 1, "{domain}: {}", relay.story());
}

/// Mail under an enforced policy to a host like this waits, for a reason in these words.
async fn waits(relay: &RelayInWorld, domain: &str, behaviour: MxBehaviour) -> String {
    relay.enforcing_domain(domain, behaviour).await;
    let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
    let text = relay.deferred(id, 1).await[0].text.clone();
    assert!(relay.world.tap().envelope().is_empty(), "{}", relay.story());
    let words = ["UnknownIssuer", "DnsName", "Context", "(os error", "UNIX", "::", "_"];
    assert!(!words.iter().any(|word| text.contains(word)), "{text}");
    assert!(text.is_ascii() && text.len() < 800, "{text}");
    text
}

const ODD: [Odd; 5] = [Odd::CriticalExtension, Odd::Md5, Odd::Rsa1024, Odd::Sha1, Odd::VersionOne];

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_any_certificate_encrypts() {
    let relay = RelayInWorld::start().await;
    let certificates = ODD.map(Certificate::Odd).into_iter().chain([
        Certificate::Expired,
        Certificate::NotYetValid,
        Certificate::CommonNameOnly,
        Certificate::WrongName,
        Certificate::SelfSigned,
        Certificate::SelfSignedAuthority,
        Certificate::OtherAuthority,
        Certificate::DirectoryConstrained,
        Certificate::Names(vec!["not a name!".to_owned(), "*".to_owned()]),
    ]);
    for (number, certificate) in certificates.enumerate() {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let behaviour = MxBehaviour::presenting(certificate.clone()).with_versions(versions);
            let version = if versions == TlsVersions::Tls12 { 12 } else { 13 };
            leaves_encrypted(&relay, &format!("odd{number}-{version}.test"), behaviour).await;
        }
    }
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_certificates_that_may_all_have_signed_each_other_prove_nothing_and_are_given_up()
{
    let relay = RelayInWorld::start().await;
    let crowd = || MxBehaviour::presenting(Certificate::Crowd);
    let text = waits(&relay, "example.test", crowd()).await;
    assert!(text.contains("certificate verification failed"), "{text}");
    leaves_encrypted(&relay, "open.test", crowd()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_policy_no_odd_certificate_proves_a_name_and_the_reason_is_in_words() {
    let relay = RelayInWorld::start().await;
    for (number, odd) in ODD.into_iter().enumerate() {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let behaviour = MxBehaviour::presenting(Certificate::Odd(odd)).with_versions(versions);
            let version = if versions == TlsVersions::Tls12 { 12 } else { 13 };
            waits(&relay, &format!("odd{number}-{version}.test"), behaviour).await;
        }
    }
    for (name, certificate, words) in [
        ("expired", Certificate::Expired, "certificate expired on 2001-01-01"),
        ("early", Certificate::NotYetValid, "certificate is not valid before 2200-01-01"),
        ("self", Certificate::SelfSigned, "certificate is self-signed"),
        ("selfca", Certificate::SelfSignedAuthority, "certificate is"),
        ("other", Certificate::OtherAuthority, "issuer unknown: CN=nobody's authority"),
        (
            "wrong",
            Certificate::WrongName,
            "certificate is not valid for mx.wrong.test; it names elsewhere.invalid",
        ),
        (
            "common",
            Certificate::CommonNameOnly,
            "certificate is not valid for mx.common.test; it names no host",
        ),
        ("limited", Certificate::DirectoryConstrained, "directoryName constraints"),
    ] {
        let behaviour = MxBehaviour::presenting(certificate);
        let text = waits(&relay, &format!("{name}.test"), behaviour).await;
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_certificate_are_cut_and_cannot_write_lines() {
    let relay = RelayInWorld::start().await;
    let many: Vec<String> = (0..500).map(|n| format!("h{n}.{}.test", "x".repeat(60))).collect();
    let text = waits(&relay, "many.test", MxBehaviour::presenting(Certificate::Names(many))).await;
    assert!(text.contains(" and 495 more"), "{text}");
    let forged = vec!["a.test\r\n2030-01-01 INFO delivered\u{1b}[2J".to_owned()];
    let text =
        waits(&relay, "forged.test", MxBehaviour::presenting(Certificate::Names(forged))).await;
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Adds the certificate that a host shows to the authorities that the relay trusts.
async fn trust(relay: &mut RelayInWorld, mx: &MxHost) {
    let der = mx.certificate_chain().remove(0);
    let pem =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", to_base64(&der));
    let mut file = OpenOptions::new().append(true).open(relay.world.ca_file()).unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    relay.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_own_certificate_counts_once_the_operator_names_it() {
    for (number, certificate) in
        [Certificate::SelfSigned, Certificate::SelfSignedAuthority, Certificate::OtherAuthority]
            .into_iter()
            .enumerate()
    {
        let mut relay = RelayInWorld::start().await;
        let domain = format!("named{number}.test");
        let mx = relay.enforcing_domain(&domain, MxBehaviour::presenting(certificate)).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        relay.deferred(id, 1).await;
        trust(&mut relay, &mx).await;
        relay.retry().await;
        let messages = mx.wait_for_messages(1, PATIENCE).await;
        let messages = messages.unwrap_or_else(|error| panic!("{error}\n{}", relay.story()));
        assert!(messages[0].tls.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_certificate_still_has_to_name_the_host_and_be_in_date() {
    let mut relay = RelayInWorld::start().await;
    let behaviour = MxBehaviour::presenting(Certificate::SelfSignedAuthority);
    let mx = relay.domain("one.test", behaviour).await;
    trust(&mut relay, &mx).await;
    // The same host under a name that its certificate does not have.
    relay.world.domain("two.test").mx_named(10, "alias.two.test");
    relay.world.names().add_address("alias.two.test", mx.address().ip());
    let policy = PolicyText::enforce(["alias.two.test"]);
    relay.world.domain("two.test").sts("1").policy(policy).await;
    let id = relay.submit(&["<bob@two.test>"]).await;
    let text = relay.deferred(id, 1).await[0].text.clone();
    assert!(text.contains("not valid for alias.two.test; it names mx.one.test"), "{text}");

    let behaviour = MxBehaviour::presenting(Certificate::Expired);
    let mx = relay.enforcing_domain("old.test", behaviour).await;
    trust(&mut relay, &mx).await;
    let id = relay.submit(&["<bob@old.test>"]).await;
    let text = relay.deferred(id, 1).await[0].text.clone();
    assert!(text.contains("certificate expired on 2001-01-01"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_compatible_gets_mail_in_clear_once_and_the_log_and_metrics_say_so() {
    let settings = "admin.address = \"127.0.0.1:0\"\n";
    let relay = RelayInWorld::start_with(settings).await;
    // 40: handshake_failure; 70: protocol_version.
    for (number, alert) in [40, 70].into_iter().enumerate() {
        let domain = format!("old{number}.test");
        let mx = relay.domain(&domain, MxBehaviour::handshake_alert(alert)).await;
        relay.submit(&[&format!("<bob@{domain}>")]).await;
        let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
        assert!(messages[0].tls.is_none());
        assert_eq!(mx.connections().len(), 2, "{}", relay.story());
    }
    relay.empty().await;
    counted(&relay, "tls_failures_total{reason=\"alert\"}", 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_under_tls_gets_mail_in_clear_where_no_policy_forbids_it() {
    let relay = RelayInWorld::start().await;
    for (name, act) in [
        ("drop", Act::Drop),
        ("later", Act::from("421 4.3.2 not now")),
        ("refused", Act::from("554 5.7.1 no")),
        ("garbage", Act::Raw(b"what?\r\n".to_vec())),
    ] {
        let behaviour = || {
            let helo = Rule::new(Step::Helo, act.clone()).in_tls();
            MxBehaviour::valid().rule(Rule::new(Step::Ehlo, act.clone()).in_tls()).rule(helo)
        };
        let domain = format!("{name}.test");
        let mx = relay.domain(&domain, behaviour()).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        let messages = mx.wait_for_messages(1, PATIENCE).await;
        let messages = messages.unwrap_or_else(|error| panic!("{error}\n{}", relay.story()));
        assert!(messages[0].tls.is_none());
        relay.gone(id).await;
        assert_eq!(mx.connections().len(), 2, "{name}: {}", relay.story());

        let domain = format!("enforced-{name}.test");
        let mx = relay.enforcing_domain(&domain, behaviour()).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        relay.deferred(id, 1).await;
        assert_eq!(mx.messages().len(), 0, "{name}: {}", relay.story());
    }
}
