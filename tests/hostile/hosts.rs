//! Hosts that are of no use, in front of one that is: every host and every address gets its turn.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use queue::EntryDetails;
use testbed::{Act, MxBehaviour, MxHost, RecordType, Step};

use crate::world::{PATIENCE, RelayInWorld};

/// A host that takes the connection and has no greeting for anybody.
fn silent() -> MxBehaviour {
    MxBehaviour::valid().at(Step::Greeting, Act::Silence)
}

/// A host that says at once that it takes no mail.
fn unwilling() -> MxBehaviour {
    MxBehaviour::valid().at(Step::Greeting, "554 5.3.2 not today")
}

/// Hosts `mx0` and so on of a domain, each of a preference of its own, the last one good.
async fn domain_of(relay: &RelayInWorld, bad: &[MxBehaviour]) -> Vec<MxHost> {
    let mut hosts = Vec::new();
    let good = MxBehaviour::valid();
    for (number, behaviour) in bad.iter().chain([&good]).enumerate() {
        let mx = relay.world.mx(&format!("mx{number}.example.test"), behaviour.clone()).await;
        let preference = u16::try_from(number).unwrap();
        relay.world.domain("example.test").mx(preference, &mx);
        hosts.push(mx);
    }
    hosts
}

/// Has the message tried until the host has it; which attempt it was, the first being 1.
async fn attempts_until_taken(relay: &RelayInWorld, mx: &MxHost, most: u32) -> u32 {
    let id = relay.submit(&["<bob@example.test>"]).await;
    for attempt in 1..=most {
        let done = || match relay.show(id) {
            None => Some(true),
            // The last entry goes a moment before the message does.
            Some(details) => {
                let tried = |entry: &EntryDetails| entry.attempts >= attempt;
                details.entries.first().is_some_and(tried).then_some(false)
            }
        };
        if relay.until(&format!("attempt {attempt}"), done).await {
            mx.wait_for_messages(1, PATIENCE).await.unwrap();
            return attempt;
        }
        relay.retry().await;
    }
    panic!("not in {most} attempts\n{}", relay.story());
}

/// Addresses of the world at which nobody listens.
fn dead_addresses(relay: &RelayInWorld, count: usize) -> Vec<IpAddr> {
    (0..count).map(|_| relay.world.address()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_host_gets_its_turn_where_five_refuse_the_connection() {
    let relay = RelayInWorld::start().await;
    let hosts = domain_of(&relay, &vec![MxBehaviour::valid(); 5]).await;
    for host in &hosts[..5] {
        host.close().await;
    }
    assert_eq!(attempts_until_taken(&relay, &hosts[5], 1).await, 1);
    // And where the others are only remembered as dead.
    hosts[5].forget_messages();
    assert_eq!(attempts_until_taken(&relay, &hosts[5], 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_host_gets_its_turn_where_five_have_no_address() {
    let relay = RelayInWorld::start().await;
    for number in 0..5 {
        relay.world.domain("example.test").mx_named(number, &format!("gone{number}.test"));
    }
    let mx = relay.world.mx("mx.example.test", MxBehaviour::valid()).await;
    relay.world.domain("example.test").mx(100, &mx);
    assert_eq!(attempts_until_taken(&relay, &mx, 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_attempts_go_on_where_the_last_one_ended() {
    for (behaviour, settings) in
        [(unwilling(), ""), (silent(), "delivery.timeouts.greeting = \"1s\"")]
    {
        let relay = RelayInWorld::start_with(settings).await;
        let hosts = domain_of(&relay, &vec![behaviour; 11]).await;
        assert_eq!(attempts_until_taken(&relay, &hosts[11], 3).await, 3);
        for host in &hosts {
            assert!(!host.connections().is_empty(), "{} was never tried", host.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_put_mail_off_do_not_keep_it_from_a_third() {
    let relay = RelayInWorld::start_with("delivery.messages_per_connection = 1").await;
    let busy = MxBehaviour::valid().at(Step::RcptTo, "450 4.2.1 busy");
    let hosts = domain_of(&relay, &[busy.clone(), busy]).await;
    assert_eq!(attempts_until_taken(&relay, &hosts[2], 2).await, 2);
    assert_eq!(hosts[0].connections().len(), 2, "the best one is asked first each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_attempt_keeps_the_order_of_preference_whatever_failed_before() {
    let relay = RelayInWorld::start().await;
    let hosts = domain_of(&relay, &[unwilling()]).await;
    assert_eq!(attempts_until_taken(&relay, &hosts[1], 1).await, 1);
    hosts[0].behave(MxBehaviour::valid());
    relay.clock.advance(Duration::from_secs(600));
    let id = relay.submit(&["<eve@example.test>"]).await;
    hosts[0].wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_other_family_is_reached_behind_many_that_are_of_no_use() {
    // No connection leaves from an address that this machine does not have.
    let no_ipv6 = "delivery.ip_preference = \"ipv6\"\ndelivery.source_address6 = \"2001:db8::9\"";
    let relay = RelayInWorld::start_with(no_ipv6).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    for number in 1..=8 {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number);
        relay.world.names().add_address(mx.name(), address.into());
    }
    assert_eq!(attempts_until_taken(&relay, &mx, 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_attempt_goes_through_32_addresses_of_a_host_and_begins_40_connections() {
    let relay = RelayInWorld::start().await;
    let names = relay.world.names();
    for (number, address) in dead_addresses(&relay, 90).into_iter().enumerate() {
        names.add_address(&format!("mx{}.example.test", number % 2), address);
    }
    for address in dead_addresses(&relay, 90) {
        names.add_address("mx.single.test", address);
    }
    let example = relay.world.domain("example.test");
    example.mx_named(10, "mx0.example.test").mx_named(20, "mx1.example.test");
    relay.world.domain("single.test").mx_named(10, "mx.single.test");
    for (domain, times) in
        [("example.test", &["(32 times)", "(8 times)"][..]), ("single.test", &["(32 times)"])]
    {
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        let reasons = relay.deferred(id, 1).await;
        for times in times {
            assert_eq!(reasons[0].text.matches(times).count(), 1, "{reasons:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_address_is_reached_behind_many_silent_ones_of_the_preferred_family() {
    let settings = "delivery.ip_preference = \"ipv4\"\ndelivery.timeouts.greeting = \"1s\"";
    let relay = RelayInWorld::start_with(settings).await;
    for _ in 0..6 {
        relay.world.mx("mx.example.test", silent()).await;
    }
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), relay.world.smtp_port());
    let mx = relay.world.mx_at("mx.example.test", address, MxBehaviour::valid()).await.unwrap();
    relay.world.names().add_address("mx.example.test", address.ip());
    relay.world.domain("example.test").mx(10, &mx);
    assert_eq!(attempts_until_taken(&relay, &mx, 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_hop_is_reached_at_its_fifth_address() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = \"[smtp.test]\"\n";
    let relay = RelayInWorld::start_with(route).await;
    for address in dead_addresses(&relay, 4) {
        relay.world.names().add_address("smtp.test", address);
    }
    let mx = relay.world.mx("smtp.test", MxBehaviour::valid()).await;
    assert_eq!(attempts_until_taken(&relay, &mx, 1).await, 1);

    let relay =
        RelayInWorld::start_with(&format!("delivery.timeouts.greeting = \"1s\"\n{route}")).await;
    for _ in 0..4 {
        relay.world.mx("smtp.test", silent()).await;
    }
    let mx = relay.world.mx("smtp.test", MxBehaviour::valid()).await;
    assert!(attempts_until_taken(&relay, &mx, 2).await <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_of_a_thousand_hosts_with_many_addresses_costs_a_bounded_number_of_questions() {
    let relay = RelayInWorld::start().await;
    let dead = dead_addresses(&relay, 20);
    let names: Vec<String> = (0..1000).map(|number| format!("mx{number}.test")).collect();
    for (number, name) in names.iter().enumerate() {
        relay.world.domain("example.test").mx_named(u16::try_from(number).unwrap(), name);
        for address in &dead {
            relay.world.names().add_address(name, *address);
        }
    }
    let asked = || {
        let queries = |name: &String| relay.world.names().queries_of(name, RecordType::A);
        names.iter().filter(|name| queries(name) > 0).count()
    };
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    let first = asked();
    assert!((1..=20).contains(&first), "{first} hosts were looked up");
    relay.retry().await;
    relay.deferred(id, 2).await;
    let second = asked();
    assert!(second > first && second <= 40, "{second} hosts were looked up");
}
