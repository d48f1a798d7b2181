//! Mail for internationalised domains: however the domain is written, it is one domain, and whatever
//! is looked up, fetched and proved for it goes by its A-labels (RFC 6531 §3.2, RFC 8461 §3.2).

use testbed::{MxBehaviour, MxHost, PolicyText, RecordType, World};

use crate::world::{PATIENCE, RelayInWorld};

/// The domain in U-labels, and once more in another spelling that means the same.
const WRITTEN: [&str; 2] = ["b\u{fc}cher.test", "BU\u{308}CHER.test"];

/// The domain in A-labels.
const DOMAIN: &str = "xn--bcher-kva.test";

/// A sender whose message needs SMTPUTF8.
const INTERNATIONALISED: &str = "<ann@sender.test> SMTPUTF8";

/// The mailbox of this name at the domain, in the spelling with this place.
fn at(name: &str, spelling: usize) -> String {
    format!("<{name}@{}>", WRITTEN[spelling])
}

/// Everything that had to be looked up was looked up by A-labels, and the host proved its name.
fn went_by_a_labels(world: &World, mx: &MxHost) {
    let names = world.names();
    assert!(names.queries_of(&format!("_mta-sts.{DOMAIN}"), RecordType::Txt) > 0);
    assert!(names.queries_of(&format!("mta-sts.{DOMAIN}"), RecordType::A) > 0);
    assert!(names.queries_of(DOMAIN, RecordType::Mx) > 0);
    assert!(names.queries_of(mx.name(), RecordType::A) > 0);
    for message in mx.messages() {
        let tls = message.tls.as_ref().expect("it came over TLS");
        assert_eq!(tls.sni.as_deref(), Some(mx.name()));
    }
    assert_eq!(world.tap().envelope_in_clear(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_an_internationalised_domain_counts_however_the_domain_is_written() {
    for pattern in [format!("mx.{DOMAIN}"), format!("*.{DOMAIN}")] {
        let relay = RelayInWorld::start().await;
        let mx = relay.domain(DOMAIN, MxBehaviour::valid()).await;
        let policy = PolicyText::enforce([pattern]);
        let policy_host = relay.world.domain(DOMAIN).sts("1").policy(policy).await;
        relay.submit_from(INTERNATIONALISED, &[&at("bob", 0)]).await;
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.submit(&[&format!("<eve@{DOMAIN}>")]).await;
        mx.wait_for_messages(2, PATIENCE).await.unwrap();
        relay.submit_from(INTERNATIONALISED, &[&at("b\u{f6}b", 1)]).await;
        let arrived = mx.wait_for_messages(3, PATIENCE).await.unwrap();
        let to: Vec<_> = arrived.iter().flat_map(|one| &one.recipients).collect();
        assert_eq!(
            to,
            ["bob", "eve", "b\u{f6}b"].map(|name| format!("{name}@{DOMAIN}")).each_ref()
        );
        let wants = |place: usize| arrived[place].mail_parameters.contains(&"SMTPUTF8".to_owned());
        assert!(wants(2), "the local part needs it");
        assert!(!wants(1), "nothing needs it");
        let hosts: Vec<_> =
            policy_host.fetches().iter().map(|one| one.header("host").map(str::to_owned)).collect();
        assert_eq!(hosts.len(), 1, "it is one domain, with one policy");
        assert!(
            hosts[0].as_deref().unwrap().starts_with(&format!("mta-sts.{DOMAIN}")),
            "{hosts:?}"
        );
        went_by_a_labels(&relay.world, &mx);
        relay.is_well_behaved();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_of_one_internationalised_domain_go_together_however_it_is_written() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain(DOMAIN, MxBehaviour::valid()).await;
    let plain = format!("<eve@{DOMAIN}>");
    let id = relay.submit_from(INTERNATIONALISED, &[&at("bob", 0), &plain, &at("dan", 1)]).await;
    relay.gone(id).await;
    let [message] = &mx.messages()[..] else { panic!("{:?}", mx.messages()) };
    assert_eq!(message.recipients, ["bob", "eve", "dan"].map(|name| format!("{name}@{DOMAIN}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_an_internationalised_domain_waits_for_a_host_that_its_policy_names() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain(DOMAIN, MxBehaviour::valid()).await;
    let other = PolicyText::enforce([format!("other.{DOMAIN}")]);
    relay.world.domain(DOMAIN).sts("1").policy(other).await;
    let written = relay.submit_from(INTERNATIONALISED, &[&at("bob", 0)]).await;
    let plain = relay.submit(&[&format!("<eve@{DOMAIN}>")]).await;
    for id in [written, plain] {
        let reason = &relay.deferred(id, 1).await[0];
        assert_eq!(reason.enhanced.to_string(), "4.4.8", "{reason:?}");
        assert!(reason.text.contains(&format!("the MTA-STS policy of {DOMAIN} ")), "{reason:?}");
        assert!(reason.policy.is_some(), "{reason:?}");
    }
    assert!(mx.connections().is_empty());
    relay.world.domain(DOMAIN).sts("2").policy(PolicyText::enforce([mx.name()])).await;
    relay.retry().await;
    mx.wait_for_messages(2, PATIENCE).await.unwrap();
    went_by_a_labels(&relay.world, &mx);
}
