//! Names that are aliases: of domains, of MX hosts, of records; and aliases that lead nowhere.
//!
//! An alias is followed to what is looked up (RFC 5321 §5.1), and never changes whose policy counts
//! or which name a host has to prove (RFC 8461 §3.4, §4.2).

use std::time::Duration;

use testbed::{Certificate, Fault, MxBehaviour, PolicyText, RecordType};

use crate::world::{PATIENCE, RelayInWorld};

/// Makes `name` an alias, whatever it was before.
fn alias(relay: &RelayInWorld, name: &str, target: &str) {
    relay.world.names().remove_all(name);
    relay.world.names().add_cname(name, target);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_an_alias_goes_to_the_hosts_of_the_name_it_stands_for() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain("real.test", MxBehaviour::valid()).await;
    alias(&relay, "other.test", "between.test");
    alias(&relay, "between.test", "real.test");
    let id = relay.submit(&["<bob@other.test>"]).await;
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(arrived[0].recipients, ["bob@other.test"], "the address stays what it was");
    relay.gone(id).await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_without_mx_records_at_its_end_is_its_own_host() {
    let relay = RelayInWorld::start().await;
    let mx = relay.world.mx_without_address_record("other.test", MxBehaviour::valid()).await;
    relay.world.names().add_address("real.test", mx.address().ip());
    alias(&relay, "other.test", "real.test");
    relay.world.domain("other.test").sts("1").policy(PolicyText::enforce(["other.test"])).await;
    let id = relay.submit(&["<bob@other.test>"]).await;
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let tls = arrived[0].tls.as_ref().expect("it came over TLS");
    assert_eq!(tls.sni.as_deref(), Some("other.test"));
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_for_mail_to_an_alias_is_that_of_the_alias_alone() {
    let relay = RelayInWorld::start().await;
    // What it stands for enforces a policy, and it does not.
    let open = relay.enforcing_domain("strict.test", MxBehaviour::starttls_not_offered()).await;
    alias(&relay, "open.test", "strict.test");
    let sent = relay.submit(&["<bob@open.test>"]).await;
    open.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(sent).await;
    assert_eq!(relay.world.names().queries("_mta-sts.strict.test"), 0);

    // It enforces a policy, and what it stands for does not.
    let mx = relay.domain("real.test", MxBehaviour::starttls_not_offered()).await;
    alias(&relay, "careful.test", "real.test");
    let policy = || PolicyText::enforce(["mx.real.test"]);
    relay.world.domain("careful.test").sts("1").policy(policy()).await;
    let held = relay.submit(&["<bob@careful.test>"]).await;
    let reason = &relay.deferred(held, 1).await[0];
    assert_eq!(reason.enhanced.to_string(), "4.7.10", "{reason:?}");
    assert!(reason.text.contains("the MTA-STS policy of careful.test "), "{reason:?}");
    assert_eq!(relay.world.names().queries("_mta-sts.real.test"), 0);
    mx.behave(MxBehaviour::valid());
    relay.retry().await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_host_that_is_an_alias_proves_the_name_of_the_mx_record() {
    let relay = RelayInWorld::start().await;
    let names = relay.world.names();
    let real = || Certificate::Names(vec!["host.hoster.test".to_owned()]);
    for (domain, behaviour, named, status) in [
        ("good.test", MxBehaviour::valid(), "mx.good.test", None),
        ("named.test", MxBehaviour::valid(), "host.hoster.test", Some("4.4.8")),
        ("wrong.test", MxBehaviour::presenting(real()), "mx.wrong.test", Some("4.7.5")),
    ] {
        let name = format!("mx.{domain}");
        let mx = relay.world.mx_without_address_record(&name, behaviour).await;
        relay.world.domain(domain).mx(10, &mx).sts("1").policy(PolicyText::enforce([named])).await;
        names.remove_all("host.hoster.test");
        names.add_address("host.hoster.test", mx.address().ip());
        names.add_cname(&name, "host.hoster.test");
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        match status {
            None => {
                let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
                let tls = arrived[0].tls.as_ref().expect("it came over TLS");
                assert_eq!(tls.sni.as_deref(), Some(name.as_str()));
                relay.gone(id).await;
            }
            Some(status) => {
                let reason = &relay.deferred(id, 1).await[0];
                assert_eq!(reason.enhanced.to_string(), status, "{reason:?}");
                assert_eq!(mx.messages(), []);
            }
        }
    }
    assert_eq!(relay.world.tap().envelope_in_clear(), []);
}

/// Makes two names aliases of each other. A recursive resolver says SERVFAIL; one that follows no
/// aliases tells of one at a time.
fn endless(relay: &RelayInWorld, name: &str, told: Option<Fault>) {
    let back = format!("back.{name}");
    alias(relay, name, &back);
    alias(relay, &back, name);
    for name in [name, &back] {
        if let Some(fault) = told {
            relay.world.names().fail(name, fault);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_a_domain_whose_aliases_have_no_end_waits_with_the_reason() {
    let relay = RelayInWorld::start().await;
    let servfail = format!("resolver {} answered SERVFAIL", relay.world.dns_address());
    for (domain, told, why) in [
        ("loop.test", None, servfail.as_str()),
        ("ring.test", Some(Fault::AliasAlone), "the CNAME records form a loop"),
    ] {
        endless(&relay, domain, told);
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        let reason = &relay.deferred(id, 1).await[0];
        assert_eq!(reason.enhanced.to_string(), "4.4.3", "{reason:?}");
        let text = format!("MX lookup for {domain} failed: ");
        assert!(reason.text.starts_with(&text) && reason.text.contains(why), "{reason:?}");
        assert!(relay.world.names().queries(domain) < 20, "it is not asked again and again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_host_whose_aliases_have_no_end_is_passed_over() {
    let relay = RelayInWorld::start().await;
    for told in [None, Some(Fault::AliasAlone)] {
        let domain = if told.is_none() { "loop.test" } else { "ring.test" };
        let (first, second) = (format!("mx1.{domain}"), format!("mx2.{domain}"));
        endless(&relay, &first, told);
        let policy = PolicyText::enforce([first.clone(), second.clone()]);
        let setup = relay.world.domain(domain).mx_named(10, &first).mx_named(20, &second);
        setup.sts("1").policy(policy).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        let reason = &relay.deferred(id, 1).await[0];
        assert!(reason.text.contains(&format!("{first}: no address: ")), "{reason:?}");
        let mx = relay.world.mx(&second, MxBehaviour::valid()).await;
        relay.retry().await;
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_aliases_have_no_end_cannot_be_told_and_weakens_nothing() {
    for told in [None, Some(Fault::AliasAlone)] {
        // A session that is open is as good as it was; each message here is to have its own.
        let relay = RelayInWorld::start_with("delivery.messages_per_connection = 1").await;
        // Nothing is cached: mail waits until the grace is over.
        let mx = relay.domain("new.test", MxBehaviour::valid()).await;
        endless(&relay, "_mta-sts.new.test", told);
        let id = relay.submit(&["<bob@new.test>"]).await;
        let reason = &relay.deferred(id, 1).await[0];
        assert_eq!(reason.enhanced.to_string(), "4.4.3", "{reason:?}");
        assert!(reason.text.contains("new.test"), "{reason:?}");
        assert_eq!(mx.messages(), []);
        relay.pass(Duration::from_hours(1)).await;
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;

        // What is cached goes on to be enforced.
        let strict = relay.enforcing_domain("known.test", MxBehaviour::valid()).await;
        relay.submit(&["<bob@known.test>"]).await;
        strict.wait_for_messages(1, PATIENCE).await.unwrap();
        endless(&relay, "_mta-sts.known.test", told);
        strict.behave(MxBehaviour::starttls_not_offered());
        let held = relay.submit(&["<bob@known.test>"]).await;
        let reason = &relay.deferred(held, 1).await[0];
        assert!(reason.policy.is_some(), "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_follows_no_aliases_leaves_that_to_the_relay() {
    let relay = RelayInWorld::start().await;
    let names = relay.world.names();
    let mx = relay.world.mx_without_address_record("mx.real.test", MxBehaviour::valid()).await;
    names.add_address("host.hoster.test", mx.address().ip());
    relay.world.domain("real.test").mx(10, &mx);
    relay.world.domain("other.test").policy(PolicyText::enforce([mx.name()])).await;
    names.add_txt("records.hoster.test", "v=STSv1; id=1;");
    for (name, target) in [
        ("other.test", "real.test"),
        ("mx.real.test", "host.hoster.test"),
        ("_mta-sts.other.test", "records.hoster.test"),
    ] {
        alias(&relay, name, target);
        names.fail(name, Fault::AliasAlone);
    }
    let id = relay.submit(&["<bob@other.test>"]).await;
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let tls = arrived[0].tls.as_ref().expect("it came over TLS");
    assert_eq!(tls.sni.as_deref(), Some("mx.real.test"));
    relay.gone(id).await;
    assert!(names.queries_of("records.hoster.test", RecordType::Txt) > 0);
    assert_eq!(relay.world.tap().envelope_in_clear(), []);
}
