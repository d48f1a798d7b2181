//! Policies and mail as time goes by: what is mended, withdrawn, renewed, restarted or undecided.

use std::time::Duration;

use testbed::{Certificate, Fault, MxBehaviour, PolicyBehaviour, PolicyText, RecordType};

use crate::world::{PATIENCE, RelayInWorld};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What is mended, so that mail which was held may go.
#[derive(Clone, Copy, Debug)]
enum Mended {
    Host,
    PolicyNamesHost,
    PolicyIsNone,
    PolicyIsTesting,
}

/// Mail is held, something is mended, and the next attempt, which nobody calls for, takes it away.
async fn held_mail_leaves_once(mended: Mended) {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::stripped()).await;
    if matches!(mended, Mended::PolicyNamesHost) {
        mx.behave(MxBehaviour::valid());
        let policy = PolicyText::enforce(["old.example.test"]);
        relay.world.domain("example.test").policy(policy).await;
    }
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.clock.advance(10 * MINUTE);
    relay.deferred(id, 2).await;
    assert_eq!(mx.messages(), []);

    let domain = relay.world.domain("example.test");
    match mended {
        Mended::Host => mx.behave(MxBehaviour::valid()),
        Mended::PolicyNamesHost => {
            drop(domain.sts("2").policy(PolicyText::enforce([mx.name()])).await);
        }
        Mended::PolicyIsNone => drop(domain.sts("2").policy(PolicyText::none()).await),
        Mended::PolicyIsTesting => {
            drop(domain.sts("2").policy(PolicyText::testing([mx.name()])).await);
        }
    }
    relay.clock.advance(20 * MINUTE);
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_leaves_at_the_next_attempt_once_the_host_is_mended() {
    held_mail_leaves_once(Mended::Host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_leaves_at_the_next_attempt_once_the_policy_names_the_host() {
    held_mail_leaves_once(Mended::PolicyNamesHost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_leaves_at_the_next_attempt_once_the_policy_is_withdrawn() {
    held_mail_leaves_once(Mended::PolicyIsNone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_leaves_at_the_next_attempt_once_the_policy_is_in_testing() {
    held_mail_leaves_once(Mended::PolicyIsTesting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_leaves_once_its_policy_has_expired_and_cannot_be_had_again() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::stripped()).await;
    let policy = PolicyText::enforce([mx.name()]).max_age(2 * DAY.as_secs());
    let policy_host = relay.world.domain("example.test").sts("1").policy(policy).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    policy_host.behave(PolicyBehaviour::status(404));
    relay.pass(2 * DAY - MINUTE).await;
    relay.deferred(id, 2).await;
    assert_eq!(mx.messages(), []);
    relay.pass(2 * MINUTE).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_id_does_not_make_a_policy_last_longer() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([mx.name()]).max_age(DAY.as_secs());
    let policy_host = relay.world.domain("example.test").sts("1").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    relay.empty().await;
    policy_host.behave(PolicyBehaviour::status(404));
    mx.behave(MxBehaviour::stripped());

    // The id is looked at, and is the same, shortly before the end.
    relay.clock.advance(DAY - MINUTE);
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.pass(2 * MINUTE).await;
    mx.wait_for_messages(2, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_fetched_once_for_an_id() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([mx.name()]);
    let policy_host = relay.world.domain("example.test").policy(policy).await;
    for count in 1..=3 {
        relay.submit(&["<bob@example.test>"]).await;
        mx.wait_for_messages(count, PATIENCE).await.unwrap();
    }
    let fetches = policy_host.fetches();
    assert_eq!(fetches.len(), 1, "{fetches:?}");
    assert_eq!(fetches[0].path(), "/.well-known/mta-sts.txt");
    assert!(relay.world.names().queries("_mta-sts.example.test") >= 3, "the id is looked at");
    relay.world.domain("example.test").sts("2");
    relay.submit(&["<bob@example.test>"]).await;
    mx.wait_for_messages(4, PATIENCE).await.unwrap();
    assert_eq!(policy_host.fetches().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_is_taken_from_a_cache_of_http() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::stripped()).await;
    let kept = |policy: PolicyText| {
        PolicyBehaviour::from(policy)
            .header("Cache-Control", "public, max-age=31536000, immutable")
            .header("ETag", "\"one\"")
    };
    let enforce = kept(PolicyText::enforce([mx.name()]));
    let policy_host = relay.world.domain("example.test").sts("1").policy(enforce).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.world.domain("example.test").sts("2").policy(kept(PolicyText::none())).await;
    relay.retry().await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let fetches = policy_host.fetches();
    assert_eq!(fetches.len(), 2, "{fetches:?}");
    for conditional in ["If-None-Match", "If-Modified-Since"] {
        assert!(fetches.iter().all(|fetch| fetch.header(conditional).is_none()), "{fetches:?}");
    }
}

/// Nothing is cached, and the DNS does not say whether there is a policy: mail waits, and goes
/// when the grace is over.
async fn undecided(fault: Fault, settings: &str) {
    let settings = format!("mta_sts.undecided_grace = \"30m\"\n{settings}");
    let relay = RelayInWorld::start_with(&settings).await;
    let mx = relay.domain("example.test", MxBehaviour::starttls_not_offered()).await;
    relay.world.names().fail("_mta-sts.example.test", fault);
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].text.contains("example.test"), "{reasons:?}");
    relay.pass(29 * MINUTE).await;
    relay.deferred(id, 2).await;
    assert!(mx.connections().is_empty(), "{}", relay.story());
    relay.pass(2 * MINUTE).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_while_the_record_cannot_be_told_and_goes_when_the_grace_is_over() {
    undecided(Fault::ServFail, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_answered_for_is_a_record_that_cannot_be_told() {
    undecided(Fault::Silence, "dns.timeout = \"500ms\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_be_told_again_within_the_grace_is_obeyed() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::stripped()).await;
    relay.world.names().fail("_mta-sts.example.test", Fault::ServFail);
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.world.names().mend("_mta-sts.example.test");
    relay.pass(40 * MINUTE).await;
    let reasons = relay.deferred(id, 2).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    assert_eq!(mx.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_whose_hosts_cannot_be_looked_up_waits() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    relay.world.names().fail_type("example.test", RecordType::Mx, Fault::ServFail);
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.4.3", "{reasons:?}");
    relay.world.names().mend("example.test");
    relay.retry().await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_policy_and_the_queue() {
    let mut relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::stripped()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let before = relay.deferred(id, 1).await;
    // From here on only what was kept can tell that there is a policy.
    let gone = PolicyBehaviour::status(404);
    relay.world.domain("example.test").without_sts_record().policy(gone).await;
    relay.restart().await;

    assert_eq!(relay.deferred(id, 1).await, before, "the reason is kept as well");
    relay.retry().await;
    let reasons = relay.deferred(id, 2).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    assert_eq!(mx.messages(), []);

    mx.behave(MxBehaviour::valid());
    relay.restart().await;
    relay.retry().await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
    assert_eq!(relay.world.tap().envelope_in_clear(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_host_may_be_an_alias_and_proves_the_domains_name_all_the_same() {
    let relay = RelayInWorld::start().await;
    for (domain, certificate) in [
        ("hosted.test", Certificate::Valid),
        // Names the alias, which is not what was asked for.
        ("careless.test", Certificate::Names(vec!["policies.hoster.test".to_owned()])),
    ] {
        let mx = relay.domain(domain, MxBehaviour::stripped()).await;
        let policy = PolicyBehaviour::from(PolicyText::enforce([mx.name()]));
        let policy = policy.with_certificate(certificate);
        let policy_host = relay.world.domain(domain).sts("1").policy(policy).await;
        let names = relay.world.names();
        names.remove_all(&format!("mta-sts.{domain}"));
        names.add_cname(&format!("mta-sts.{domain}"), &format!("{domain}.policies.hoster.test"));
        names.add_address(&format!("{domain}.policies.hoster.test"), policy_host.address().ip());
    }
    let held = relay.submit(&["<bob@hosted.test>"]).await;
    let sent = relay.submit(&["<bob@careless.test>"]).await;
    let reasons = relay.deferred(held, 1).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    relay.gone(sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_an_alias() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::stripped()).await;
    let names = relay.world.names();
    names.remove_all("_mta-sts.example.test");
    names.add_cname("_mta-sts.example.test", "records.hoster.test");
    names.add_txt("records.hoster.test", "v=STSv1; id=1;");
    let id = relay.submit(&["<bob@example.test>"]).await;
    assert!(relay.deferred(id, 1).await[0].policy.is_some());
    assert_eq!(mx.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_cannot_be_fetched_as_they_must_are_none() {
    let relay = RelayInWorld::start().await;
    let policy = |domain: &str| PolicyText::enforce([format!("mx.{domain}")]);
    let good = |domain: &str| PolicyBehaviour::from(policy(domain));
    let elsewhere = "https://mta-sts.good.test/.well-known/mta-sts.txt";
    for (domain, behaviour) in [
        ("moved.test", PolicyBehaviour::redirect(301, elsewhere)),
        ("found.test", PolicyBehaviour::redirect(302, elsewhere)),
        ("missing.test", PolicyBehaviour::status(404)),
        ("created.test", PolicyBehaviour::status(201)),
        ("html.test", good("html.test").media_type("text/html")),
        ("untyped.test", good("untyped.test").without_media_type()),
        ("huge.test", PolicyBehaviour::oversize(&policy("huge.test"), 70_000)),
        ("cut.test", good("cut.test").truncated()),
        ("selfsigned.test", good("selfsigned.test").with_certificate(Certificate::SelfSigned)),
        ("expired.test", good("expired.test").with_certificate(Certificate::Expired)),
        ("wrong.test", good("wrong.test").with_certificate(Certificate::WrongName)),
        ("cn.test", good("cn.test").with_certificate(Certificate::CommonNameOnly)),
        ("garbled.test", PolicyBehaviour::from("version: STSv1\nmode: enforced\n")),
        ("closed.test", PolicyBehaviour::closing()),
    ] {
        let mx = relay.domain(domain, MxBehaviour::starttls_not_offered()).await;
        relay.world.domain(domain).sts("1").policy(behaviour).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
    }
    let good = relay.enforcing_domain("good.test", MxBehaviour::valid()).await;
    relay.submit(&["<bob@good.test>"]).await;
    good.wait_for_messages(1, PATIENCE).await.unwrap();
}
