//! Names and addresses that lead back to the relay itself (RFC 5321 §6.3).

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use testbed::{MxBehaviour, MxHost, World};

use crate::world::{PATIENCE, RelayInWorld};

/// A port that is free at `ip`: above those of worlds, below those that the system gives out.
fn free_port(ip: IpAddr) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 2_500).unwrap();
    let numbers = (0..2_500).map(|_| start + NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = numbers.map(|number| 30_000 + number % 2_500);
    ports.find(|port| TcpListener::bind((ip, *port)).is_ok()).expect("a free port")
}

/// A relay that listens at `ip`, and the host that takes mail for `sender.test`, at a port of its own:
/// a smart host on this machine is nothing to be afraid of.
async fn relay_at(ip: &str) -> (RelayInWorld, MxHost) {
    let ip: IpAddr = ip.parse().unwrap();
    let world = World::new().await;
    let listener = SocketAddr::new(ip, free_port(ip));
    let smart_host = SocketAddr::new(world.address(), world.smtp_port());
    let route = format!(
        "[[route]]\nrecipient = \"sender.test\"\nnext_hop = \"{smart_host}\"\ntls = \"opportunistic\"\n"
    );
    let relay = RelayInWorld::start_in(world, listener, &route).await;
    let sender = relay.world.mx_at("mx.sender.test", smart_host, MxBehaviour::valid()).await;
    (relay, sender.unwrap())
}

/// Sends mail to `recipient`, and waits for it to come back because it would have come back.
async fn is_never_dialled((relay, sender): &(RelayInWorld, MxHost), recipient: &str) {
    let id = relay.submit(&[&format!("<{recipient}>")]).await;
    let told = sender.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
    let text = told[0].text();
    assert!(text.contains("Status: 5.4.6"), "{recipient}: {text}");
    // It was taken in once, by hand, and has not come round.
    let hops = text.matches("\nReceived: from client.test").count();
    let rounds = text.matches("\nReceived: ").count();
    assert_eq!((hops, rounds), (1, 1), "{recipient}: {text}");
    sender.forget_messages();
}

/// Each of these as the MX host of a domain.
async fn no_mx_host_is_dialled(listener: &str, addresses: &[&str]) {
    let world = relay_at(listener).await;
    for (number, address) in addresses.iter().enumerate() {
        let (domain, mx) = (format!("d{number}.test"), format!("mx{number}.test"));
        world.0.world.domain(&domain).mx_named(10, &mx);
        world.0.world.names().add_address(&mx, address.parse().unwrap());
        is_never_dialled(&world, &format!("bob@{domain}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_host_that_leads_to_a_listener_on_all_ipv4_addresses_is_never_dialled() {
    let addresses =
        ["127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "::", "::ffff:127.0.0.1"];
    no_mx_host_is_dialled("0.0.0.0", &addresses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_host_that_leads_to_a_listener_on_all_addresses_is_never_dialled() {
    let addresses = ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::", "::ffff:127.3.2.1"];
    no_mx_host_is_dialled("::", &addresses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_host_that_leads_to_a_listener_on_a_loopback_address_is_never_dialled() {
    let addresses = ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0"];
    no_mx_host_is_dialled("127.0.0.1", &addresses).await;
    no_mx_host_is_dialled("::1", &["::1", "::", "0.0.0.0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_literal_that_leads_to_a_listener_is_never_dialled() {
    for (listener, literals) in [
        ("0.0.0.0", &["127.0.0.2", "0.0.0.0", "IPv6:::", "IPv6:::ffff:127.0.0.1"][..]),
        ("127.0.0.1", &["127.0.0.1", "0.0.0.0", "IPv6:::", "IPv6:::ffff:127.0.0.1"]),
        ("::", &["127.0.0.1", "127.0.0.2", "IPv6:::1", "IPv6:::ffff:127.0.0.1"]),
    ] {
        let world = relay_at(listener).await;
        for literal in literals {
            is_never_dialled(&world, &format!("bob@[{literal}]")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_behind_ourselves_are_not_tried_in_any_attempt_and_those_before_are() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let relay = RelayInWorld::start_in(world, listener, "").await;
    let better = relay.world.mx("better.test", MxBehaviour::valid()).await;
    let worse = relay.world.mx("worse.test", MxBehaviour::valid()).await;
    relay.world.names().add_address("ours.test", listener.ip());
    let domain = relay.world.domain("example.test");
    domain.mx(10, &better).mx_named(20, "ours.test").mx(30, &worse);
    better.close().await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.retry().await;
    relay.deferred(id, 2).await;
    assert!(worse.connections().is_empty(), "it would only bring the mail back");
    better.open().await.unwrap();
    relay.retry().await;
    better.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
    assert!(worse.connections().is_empty());
}
