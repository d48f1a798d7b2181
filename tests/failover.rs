//! Which host is tried, whose policy counts, and what becomes of mail that no host may have.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use testbed::{Act, Certificate, Message, MxBehaviour, MxHost, PolicyText, Step, TlsVersions};

use crate::world::{PATIENCE, RelayInWorld};

/// Waits for the one message that a host takes.
async fn only_message(mx: &MxHost) -> Arc<Message> {
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(messages.len(), 1);
    Arc::clone(&messages[0])
}

/// Whether no mail was so much as begun with a host.
fn got_no_envelope(mx: &MxHost) -> bool {
    mx.connections().iter().all(|connection| connection.envelope().is_empty())
}

/// A host at the IPv6 loopback address.
async fn mx_over_ipv6(relay: &RelayInWorld, name: &str) -> MxHost {
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), relay.world.smtp_port());
    let mx = relay.world.mx_at(name, address, MxBehaviour::valid()).await;
    mx.expect("this test needs the IPv6 loopback address")
}

/// A domain with these MX hosts in order, each of a preference of its own.
async fn domain_of(
    relay: &RelayInWorld,
    domain: &str,
    hosts: [(&str, MxBehaviour); 2],
) -> [MxHost; 2] {
    let [(first, first_does), (second, second_does)] = hosts;
    let world = &relay.world;
    let [first, second] = [world.mx(first, first_does).await, world.mx(second, second_does).await];
    world.domain(domain).mx(10, &first).mx(20, &second);
    [first, second]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_host_is_tried_where_the_first_does_not_prove_its_name() {
    let relay = RelayInWorld::start().await;
    let broken = [
        ("a", MxBehaviour::presenting(Certificate::WrongName)),
        ("b", MxBehaviour::starttls_not_offered()),
        ("c", MxBehaviour::handshake_garbage()),
        ("d", MxBehaviour::valid().at(Step::Greeting, "554 5.3.2 go away")),
        ("e", MxBehaviour::valid().at(Step::Greeting, Act::Drop)),
    ];
    for (name, behaviour) in broken {
        let domain = format!("{name}.test");
        let [one, two] = [format!("one.{name}.test"), format!("two.{name}.test")];
        let hosts = [(one.as_str(), behaviour), (two.as_str(), MxBehaviour::valid())];
        let [first, second] = domain_of(&relay, &domain, hosts).await;
        let policy = PolicyText::enforce([one, two]);
        relay.world.domain(&domain).sts("1").policy(policy).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;

        let message = only_message(&second).await;
        assert_eq!(message.tls.as_ref().unwrap().sni.as_deref(), Some(second.name()));
        relay.gone(id).await;
        assert!(!first.connections().is_empty(), "{domain}: the first host was not tried");
        assert!(got_no_envelope(&first), "{domain}");
    }
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_exist_is_passed_over() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce(["*.example.test"]);
    relay.world.domain("example.test").mx_named(5, "gone.example.test").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&mx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_named_is_passed_over_for_one_that_is() {
    let relay = RelayInWorld::start().await;
    let hosts = [("evil.test", MxBehaviour::valid()), ("mx.example.test", MxBehaviour::valid())];
    let [evil, named] = domain_of(&relay, "example.test", hosts).await;
    let policy = PolicyText::enforce(["mx.example.test"]);
    relay.world.domain("example.test").sts("1").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&named).await;
    assert!(evil.connections().is_empty(), "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_names_hosts_one_label_below_it_and_no_others() {
    let relay = RelayInWorld::start().await;
    let hosts =
        [("a.b.example.test", MxBehaviour::valid()), ("b.example.test", MxBehaviour::valid())];
    let [two_labels, one_label] = domain_of(&relay, "example.test", hosts).await;
    let policy = PolicyText::enforce(["*.example.test"]);
    relay.world.domain("example.test").sts("1").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&one_label).await;
    assert!(two_labels.connections().is_empty(), "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_a_wildcard_proves_names_one_label_below_it_and_no_others() {
    let relay = RelayInWorld::start().await;
    let wildcard =
        || MxBehaviour::presenting(Certificate::Names(vec!["*.example.test".to_owned()]));
    let hosts = [("a.b.example.test", wildcard()), ("b.example.test", wildcard())];
    let [two_labels, one_label] = domain_of(&relay, "example.test", hosts).await;
    let policy = PolicyText::enforce(["a.b.example.test", "b.example.test"]);
    relay.world.domain("example.test").sts("1").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&one_label).await;
    assert!(!two_labels.connections().is_empty() && got_no_envelope(&two_labels));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_will_do_each_by_itself() {
    let relay = RelayInWorld::start().await;
    for (domain, versions, version) in
        [("old.test", TlsVersions::Tls12, "TLSv1_2"), ("new.test", TlsVersions::Tls13, "TLSv1_3")]
    {
        let behaviour = MxBehaviour::valid().with_versions(versions);
        let mx = relay.enforcing_domain(domain, behaviour).await;
        relay.submit(&[&format!("<bob@{domain}>")]).await;
        assert_eq!(only_message(&mx).await.tls.as_ref().unwrap().version, version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_silent_after_starttls_costs_no_more_than_its_turn() {
    let relay = RelayInWorld::start_with("delivery.timeouts.tls = \"1s\"").await;
    let hosts = [
        ("silent.example.test", MxBehaviour::handshake_silent()),
        ("mx.example.test", MxBehaviour::valid()),
    ];
    let [silent, mx] = domain_of(&relay, "example.test", hosts).await;
    let policy = PolicyText::enforce(["*.example.test"]);
    relay.world.domain("example.test").sts("1").policy(policy).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&mx).await;
    assert!(!silent.connections().is_empty() && got_no_envelope(&silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_mx_records_is_its_own_host_and_its_policy_names_it() {
    let relay = RelayInWorld::start().await;
    let named = relay.world.mx("named.test", MxBehaviour::valid()).await;
    relay.world.domain("named.test").sts("1").policy(PolicyText::enforce(["named.test"])).await;
    let other = relay.world.mx("other.test", MxBehaviour::valid()).await;
    relay.world.domain("other.test").sts("1").policy(PolicyText::enforce(["mx.other.test"])).await;

    relay.submit(&["<bob@named.test>"]).await;
    let held = relay.submit(&["<bob@other.test>"]).await;
    only_message(&named).await;
    let reasons = relay.deferred(held, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.4.8", "{reasons:?}");
    assert!(other.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_no_host_may_have_is_held_with_what_is_wrong_with_each() {
    let relay = RelayInWorld::start().await;
    let hosts = [
        ("plain.example.test", MxBehaviour::starttls_not_offered()),
        ("forged.example.test", MxBehaviour::presenting(Certificate::SelfSigned)),
    ];
    let [plain, forged] = domain_of(&relay, "example.test", hosts).await;
    let evil = relay.world.mx("evil.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce(["*.example.test"]);
    relay.world.domain("example.test").mx(30, &evil).sts("20300101").policy(policy).await;

    let id = relay.submit(&["<bob@example.test>", "<eve@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons.len(), 2, "one for each recipient: {reasons:?}");
    for reason in &reasons {
        for word in
            ["example.test", "20300101", "plain.example.test", "forged.example.test", "evil.test"]
        {
            assert!(reason.text.contains(word), "{word} is not in {:?}", reason.text);
        }
        assert!(reason.policy.as_ref().is_some_and(|policy| policy.contains("20300101")));
    }
    for host in [&plain, &forged, &evil] {
        assert!(got_no_envelope(host), "{}", relay.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_domains_that_share_a_host_do_not_share_a_policy() {
    let relay = RelayInWorld::start().await;
    let shared = relay.world.mx("mx.hoster.test", MxBehaviour::starttls_not_offered()).await;
    let policy = || PolicyText::enforce(["mx.hoster.test"]);
    relay.world.domain("enforcing.test").mx(10, &shared).sts("1").policy(policy()).await;
    relay.world.domain("open.test").mx(10, &shared);
    // The host's own domain has a policy too, which is nobody else's.
    relay.world.domain("hoster.test").mx(10, &shared).sts("1").policy(policy()).await;

    let held = relay.submit(&["<bob@enforcing.test>"]).await;
    relay.submit(&["<bob@open.test>"]).await;
    assert_eq!(only_message(&shared).await.recipients, ["bob@open.test"]);
    relay.deferred(held, 1).await;

    // And not once it is in the cache, either way round.
    relay.submit(&["<eve@open.test>"]).await;
    shared.wait_for_messages(2, PATIENCE).await.unwrap();
    relay.retry().await;
    relay.deferred(held, 2).await;
    assert_eq!(shared.messages().len(), 2, "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_neither_inherited_from_a_parent_nor_from_a_subdomain() {
    let relay = RelayInWorld::start().await;
    let plain = MxBehaviour::starttls_not_offered;
    let parent = relay.enforcing_domain("parent.test", plain()).await;
    let sub = relay.domain("sub.parent.test", plain()).await;
    let open = relay.domain("open.test", plain()).await;
    let strict = relay.enforcing_domain("strict.open.test", plain()).await;

    let held = [
        relay.submit(&["<bob@parent.test>"]).await,
        relay.submit(&["<bob@strict.open.test>"]).await,
    ];
    relay.submit(&["<bob@sub.parent.test>"]).await;
    relay.submit(&["<bob@open.test>"]).await;
    only_message(&sub).await;
    only_message(&open).await;
    for id in held {
        relay.deferred(id, 1).await;
    }
    assert!(got_no_envelope(&parent) && got_no_envelope(&strict));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipients_of_one_message_are_judged_by_the_policy_of_their_own_domain() {
    let relay = RelayInWorld::start().await;
    let strict = relay.enforcing_domain("strict.test", MxBehaviour::stripped()).await;
    let open = relay.domain("open.test", MxBehaviour::stripped()).await;
    let good = relay.enforcing_domain("good.test", MxBehaviour::valid()).await;
    let id = relay
        .submit(&["<a@strict.test>", "<b@open.test>", "<c@good.test>", "<d@strict.test>"])
        .await;

    assert_eq!(only_message(&open).await.recipients, ["b@open.test"]);
    assert_eq!(only_message(&good).await.recipients, ["c@good.test"]);
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons.len(), 2, "{}", relay.story());
    assert!(got_no_envelope(&strict));

    strict.behave(MxBehaviour::valid());
    relay.retry().await;
    assert_eq!(only_message(&strict).await.recipients, ["a@strict.test", "d@strict.test"]);
    relay.gone(id).await;
    assert_eq!([open.messages().len(), good.messages().len()], [1, 1], "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_two_domains_with_one_host_goes_in_two_transactions() {
    let relay = RelayInWorld::start().await;
    let mx = relay.world.mx("mx.hoster.test", MxBehaviour::valid()).await;
    for domain in ["one.test", "two.test"] {
        let policy = PolicyText::enforce(["mx.hoster.test"]);
        relay.world.domain(domain).mx(10, &mx).sts("1").policy(policy).await;
    }
    relay.submit(&["<a@one.test>", "<b@two.test>", "<c@one.test>"]).await;
    let messages = mx.wait_for_messages(2, PATIENCE).await.unwrap();
    let mut recipients: Vec<_> = messages.iter().map(|message| &message.recipients).collect();
    recipients.sort();
    assert_eq!(recipients, [&vec!["a@one.test", "c@one.test"], &vec!["b@two.test"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_an_address_literal_has_no_policy() {
    let relay = RelayInWorld::start().await;
    let mx = relay.world.mx_without_address_record("nameless", MxBehaviour::valid()).await;
    relay.submit(&[&format!("<bob@[{}]>", mx.address().ip())]).await;
    only_message(&mx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_an_ipv6_address_literal_goes_to_that_address() {
    let relay = RelayInWorld::start_with("delivery.source_address6 = \"::1\"").await;
    let mx = mx_over_ipv6(&relay, "nameless").await;
    let id = relay.submit(&["<bob@[IPv6:::1]>"]).await;
    let message = only_message(&mx).await;
    assert_eq!(message.recipients, ["bob@[IPv6:::1]"]);
    assert_eq!(message.peer.ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
    relay.gone(id).await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_family_that_is_preferred_is_asked_first() {
    for (preference, over_ipv6) in [("ipv6", true), ("ipv4", false)] {
        let relay =
            RelayInWorld::start_with(&format!("delivery.ip_preference = \"{preference}\"")).await;
        let over4 = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
        let over6 = mx_over_ipv6(&relay, over4.name()).await;
        relay.world.names().add_address(over4.name(), over6.address().ip());
        let id = relay.submit(&["<bob@example.test>"]).await;
        let (asked, other) = if over_ipv6 { (&over6, &over4) } else { (&over4, &over6) };
        only_message(asked).await;
        relay.gone(id).await;
        assert!(other.connections().is_empty(), "{preference}: {}", relay.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_other_family_is_tried_where_nobody_listens_at_the_first() {
    for preference in ["ipv6", "ipv4"] {
        let relay =
            RelayInWorld::start_with(&format!("delivery.ip_preference = \"{preference}\"")).await;
        let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
        relay.world.names().add_address(mx.name(), Ipv6Addr::LOCALHOST.into());
        let id = relay.submit(&["<bob@example.test>"]).await;
        assert_eq!(only_message(&mx).await.address, mx.address());
        relay.gone(id).await;
        assert_eq!(mx.connections().len(), 1, "{preference}: {}", relay.story());

        // When the other does not answer either, that is told of the one that came last.
        mx.close().await;
        let id = relay.submit(&["<bob@example.test>"]).await;
        let reason = &relay.deferred(id, 1).await[0];
        let text = &reason.text;
        let both = text.matches(mx.name()).count() == 2 || text.contains("(2 times)");
        assert!(both, "{reason:?}");
        let last =
            if preference == "ipv6" { mx.address().ip() } else { Ipv6Addr::LOCALHOST.into() };
        let last = SocketAddr::new(last, relay.world.smtp_port());
        assert_eq!(reason.addr, Some(last), "{preference}: {reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_address_of_a_host_is_tried_where_the_first_refuses() {
    // Addresses of one family come in no particular order, so each of them refuses once.
    for refusing in [0, 1] {
        for closed in [true, false] {
            let relay = RelayInWorld::start().await;
            let first = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
            let second = relay.world.mx(first.name(), MxBehaviour::valid()).await;
            let hosts = [first, second];
            if closed {
                hosts[refusing].close().await;
            } else {
                let refusal = MxBehaviour::valid().at(Step::Greeting, "421 4.3.2 busy");
                hosts[refusing].behave(refusal);
            }
            let id = relay.submit(&["<bob@example.test>"]).await;
            let message = only_message(&hosts[1 - refusing]).await;
            assert_eq!(message.address, hosts[1 - refusing].address());
            relay.gone(id).await;
            assert_eq!(hosts[refusing].messages(), []);
            relay.is_well_behaved();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_breaks_off_after_the_envelope_costs_no_mail() {
    let relay = RelayInWorld::start().await;
    let breaks_off = MxBehaviour::valid().first(1, Step::Message, Act::Drop);
    let mx = relay.enforcing_domain("example.test", breaks_off).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    assert_eq!(mx.messages(), []);
    relay.retry().await;
    only_message(&mx).await;
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_message_goes_at_the_next_attempt() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::greylisting()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].reply.as_ref().is_some_and(|reply| reply.contains("greylisted")));
    relay.clock.advance(Duration::from_secs(10 * 60));
    only_message(&mx).await;
    relay.gone(id).await;
}
