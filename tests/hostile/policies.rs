//! Policies and records that a strict reader would refuse, and what a domain can cost by its record.
//!
//! Where a policy is refused, mail goes unprotected: what RFC 8461 calls valid has to be valid here,
//! and what it leaves open must not cost the domain its protection.

use std::process::Command;

use testbed::{MxBehaviour, MxHost, PolicyBehaviour, World};

use crate::world::{PATIENCE, RelayInWorld, write_settings};

/// A policy with these lines after the usual ones.
fn policy(mx: &str, more: &str) -> String {
    format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 604800\n{more}")
}

/// A domain with this record and policy, whose host is named so.
async fn domain(
    relay: &RelayInWorld,
    (domain, host): (&str, &str),
    (record, policy): (&str, &str),
    behaviour: MxBehaviour,
) -> MxHost {
    let mx = relay.world.mx(host, behaviour).await;
    let names = relay.world.domain(domain).mx(10, &mx).sts_record(record);
    names.policy(PolicyBehaviour::serve(policy)).await;
    mx
}

const RECORD: &str = "v=STSv1; id=1;";

/// RFC 8461 §3.1 and §3.2: all but the first of a repeated field are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_field_takes_no_protection_away_whatever_the_later_one_says() {
    let relay = RelayInWorld::start().await;
    for (number, (record, more)) in [
        (RECORD, "mode: bogus\n"),
        (RECORD, "mode: none\n"),
        (RECORD, "version: STSv2\n"),
        (RECORD, "max_age: soon\nmax_age:\n"),
        (RECORD, "mode:\nversion:\n"),
        ("v=STSv1; id=1; id=", ""),
        ("v=STSv1; id=1; id=not-an-id; v=STSv2;", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let (name, host) = (format!("d{number}.test"), format!("mx.d{number}.test"));
        let policy = policy(&host, more);
        let names = (name.as_str(), host.as_str());
        let behaviour = MxBehaviour::starttls_not_offered();
        let mx = domain(&relay, names, (record, &policy), behaviour).await;
        let id = relay.submit(&[&format!("<bob@{name}>")]).await;
        let reasons = relay.deferred(id, 1).await;
        assert!(reasons[0].policy.is_some(), "{record} {more}: {reasons:?}");
        assert_eq!(mx.messages(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_names_hosts_with_an_underscore_protects_them() {
    let relay = RelayInWorld::start().await;
    let names = ("good.test", "mx_1.good.test");
    let text = policy(names.1, "");
    let mx = domain(&relay, names, (RECORD, &text), MxBehaviour::valid()).await;
    let id = relay.submit(&["<bob@good.test>"]).await;
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let sni = messages[0].tls.as_ref().and_then(|tls| tls.sni.as_deref());
    assert_eq!(sni, Some("mx_1.good.test"));
    relay.gone(id).await;

    let names = ("bad.test", "mx_1.bad.test");
    let text = policy(names.1, "");
    let mx = domain(&relay, names, (RECORD, &text), MxBehaviour::starttls_not_offered()).await;
    let id = relay.submit(&["<bob@bad.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    assert_eq!(mx.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_changes_with_each_message_does_not_have_each_fetch_the_policy() {
    let relay = RelayInWorld::start().await;
    let names = ("restless.test", "mx.restless.test");
    let text = policy(names.1, "");
    let mx = domain(&relay, names, (RECORD, &text), MxBehaviour::valid()).await;
    let host = relay.world.policy_host(names.0, PolicyBehaviour::serve(text.as_str())).await;
    for number in 1..=30 {
        drop(relay.world.domain(names.0).sts(&number.to_string()));
        relay.submit(&["<bob@restless.test>"]).await;
        mx.wait_for_messages(number, PATIENCE).await.unwrap();
    }
    assert_eq!(host.fetches().len(), mta_sts::FETCHES_MAX);
    assert!(mx.messages().iter().all(|message| message.tls.is_some()));
}

#[tokio::test]
async fn a_policy_in_a_coding_that_was_not_asked_for_is_explained_by_its_name() {
    let world = World::new().await;
    let mx = world.mx("mx.coded.test", MxBehaviour::valid()).await;
    let coded = PolicyBehaviour::serve(policy(mx.name(), "")).header("Content-Encoding", "gzip");
    let host = world.domain("coded.test").mx(10, &mx).sts("1").policy(coded).await;
    let config = write_settings(&world, (world.address(), world.smtp_port()).into(), "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(["check", "coded.test", "--config"]).arg(config).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("gzip") && said.contains("Content-Encoding"), "{said}");
    assert_eq!(host.fetches()[0].header("accept-encoding"), Some("identity"));
}
