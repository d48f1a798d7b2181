//! What `sts-relay check` says of domains whose zones are signed, and of a relay that cannot tell.

use serde_json::Value;
use testbed::{Certificate, Fault, MxBehaviour, MxHost, PolicyText, World};

use crate::check::{check, check_with, stages};

const DOMAIN: &str = "signed.test";

/// Its only host.
const MX: &str = "mx.signed.test";

/// A world whose one domain is signed, and the domain's host.
async fn signed(behaviour: MxBehaviour) -> (World, MxHost) {
    let world = World::new().await;
    world.names().authenticate(DOMAIN);
    let mx = world.mx(MX, behaviour).await;
    world.domain(DOMAIN).mx(10, &mx);
    (world, mx)
}

/// Publishes a record of the host's own certificate.
fn publish(world: &World, mx: &MxHost) {
    world.add_tlsa(MX, (3, 0, 0), &mx.certificate_chain()[0]);
}

/// The stages of a name, of the domain and then of its hosts.
fn named<'a>(said: &'a Value, state: &str, name: &str) -> Vec<&'a str> {
    let found = stages(said, state).into_iter().filter(|stage| stage["name"] == name);
    found.map(|stage| stage["text"].as_str().unwrap()).collect()
}

/// One step after the other is told: MX records, addresses, TLSA records, and the handshake.
#[tokio::test]
async fn a_host_that_matches_its_records_is_verified_without_a_policy() {
    let (world, mx) = signed(MxBehaviour::presenting(Certificate::SelfSigned)).await;
    publish(&world, &mx);
    let (said, yes) = check(&world, DOMAIN).await;
    assert!(yes, "{said}");
    assert_eq!(said["verdict"], "verified", "{said}");
    assert!(said["summary"].as_str().unwrap().contains("verified by DANE"), "{said}");
    let host = &said["hosts"][0];
    assert_eq!((&host["verdict"], &host["dane"]), (&"verified".into(), &"matched".into()));
    let [mx_records, addresses, tlsa] = &named(&said, "good", "dnssec")[..] else {
        panic!("{said}")
    };
    assert!(mx_records.starts_with("MX lookup secure"), "{said}");
    assert!(addresses.starts_with("A, AAAA mx.signed.test: secure: 1 address"), "{said}");
    assert!(tlsa.ends_with("._tcp.mx.signed.test: secure: 1 record"), "{said}");
    let [dane] = &named(&said, "good", "dane")[..] else { panic!("{said}") };
    assert!(dane.contains("matches the TLSA record 3 0 0 "), "{said}");
    assert!(stages(&said, "wrong").is_empty(), "{said}");
}

#[tokio::test]
async fn a_host_that_matches_no_record_gets_no_mail_and_the_check_says_what_mends_it() {
    let (world, _mx) = signed(MxBehaviour::valid()).await;
    world.add_tlsa(MX, (3, 1, 1), &[7; 32]);
    let (said, yes) = check(&world, DOMAIN).await;
    assert!(!yes, "{said}");
    assert_eq!(
        (&said["verdict"], &said["hosts"][0]["dane"]),
        (&"waiting".into(), &"mismatch".into())
    );
    assert_eq!(said["hosts"][0]["verdict"], "unmatched", "{said}");
    assert!(said["summary"].as_str().unwrap().contains("DANE"), "{said}");
    let [wrong] = &stages(&said, "wrong")[..] else { panic!("{said}") };
    assert_eq!(wrong["name"], "dane", "{said}");
    assert!(wrong["fix"].as_str().unwrap().contains("3 1 1"), "{said}");
}

/// One handshake, two verdicts: each is told, and both have to hold.
#[tokio::test]
async fn an_enforced_policy_and_records_are_both_checked() {
    for (behaviour, is_published, verdict, wrong) in [
        (MxBehaviour::valid(), true, "verified", None),
        (MxBehaviour::valid(), false, "waiting", Some("dane")),
        (MxBehaviour::presenting(Certificate::Expired), true, "waiting", Some("certificate")),
        (MxBehaviour::starttls_not_offered(), false, "waiting", Some("starttls")),
    ] {
        let (world, mx) = signed(behaviour).await;
        let policy = PolicyText::enforce([mx.name()]);
        world.domain(DOMAIN).sts("1").policy(policy).await;
        if is_published {
            publish(&world, &mx);
        } else {
            world.add_tlsa(MX, (3, 1, 1), &[7; 32]);
        }
        let (said, _) = check(&world, DOMAIN).await;
        assert_eq!(said["verdict"], verdict, "{said}");
        let found: Vec<_> = stages(&said, "wrong").iter().map(|one| &one["name"]).collect();
        assert_eq!(found, wrong.into_iter().collect::<Vec<_>>(), "{said}");
    }
}

/// What binds nobody is told, and is no fault; what cannot be told is one.
#[tokio::test]
async fn records_that_are_of_no_use_are_absent_or_cannot_be_told_are_told_apart() {
    for (usage, fault, dane, verdict) in [
        (Some(1), None, "unusable", "no-policy"),
        (None, None, "none", "no-policy"),
        (None, Some(Fault::ServFail), "failed", "waiting"),
        (None, Some(Fault::Bogus), "failed", "waiting"),
    ] {
        let (world, _mx) = signed(MxBehaviour::valid()).await;
        if let Some(usage) = usage {
            world.add_tlsa(MX, (usage, 1, 1), &[7; 32]);
        }
        if let Some(fault) = fault {
            world.names().fail(&world.tlsa_name(MX), fault);
        }
        let (said, _) = check(&world, DOMAIN).await;
        assert_eq!((&said["hosts"][0]["dane"], &said["verdict"]), (&dane.into(), &verdict.into()));
    }
}

/// Our resolver is at fault and not theirs, and the check says so, with what mends it on the relay.
#[tokio::test]
async fn a_relay_whose_resolver_does_not_validate_says_that_it_is_the_one() {
    let (world, _mx) = signed(MxBehaviour::valid()).await;
    world.add_tlsa(MX, (3, 1, 1), &[7; 32]);
    world.names().leave_unsigned(".");
    let (said, yes) = check(&world, DOMAIN).await;
    assert!(yes, "nothing waits for it: {said}");
    let [why] = &named(&said, "warning", "dnssec")[..] else { panic!("{said}") };
    assert!(why.starts_with("it is the relay that cannot tell"), "{said}");
    let warning = stages(&said, "warning")[0];
    assert!(warning["fix"].as_str().unwrap().contains("apt-get install unbound"), "{said}");
    assert_eq!(world.names().queries(&world.tlsa_name(MX)), 0, "{said}");
    let output = check_with(&world, DOMAIN, "dane.mode = \"required\"", &["--json"]).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["verdict"], output.status.code()), (&"waiting".into(), Some(2)), "{said}");
}

/// A domain that is not signed is as it was: nothing is asked, and nothing is wrong.
#[tokio::test]
async fn an_unsigned_domain_is_asked_for_no_record_unless_they_are_required() {
    let world = World::new().await;
    let mx = world.mx("mx.plain.test", MxBehaviour::valid()).await;
    world.domain("plain.test").mx(10, &mx);
    let (said, yes) = check(&world, "plain.test").await;
    assert!(yes && said["hosts"][0].get("dane").is_none(), "{said}");
    let [none] = &named(&said, "none", "dnssec")[..] else { panic!("{said}") };
    assert!(none.starts_with("MX lookup insecure"), "{said}");
    let tlsa = world.tlsa_name("mx.plain.test");
    assert_eq!(world.names().queries(&tlsa), 0);
    let required = "dane.require = [\"plain.test\"]";
    let output = check_with(&world, "plain.test", required, &["--json"]).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["verdict"], "waiting", "{said}");
}
