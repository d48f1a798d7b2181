//! Clients that are not admitted: however many there are and wherever they stop, those who are
//! admitted are served.

use std::time::Duration;

use listener::{AuthMode, ProxyMode, Service, TlsMode};

use crate::certificate::client_hello;
use crate::world::{Client, World};

const IMPLICIT: Service = Service {
    tls: TlsMode::Implicit,
    auth: AuthMode::Optional,
    proxy: ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};
const STARTTLS: Service = Service { tls: TlsMode::StartTls, ..IMPLICIT };
const NO_LOGIN: Service = Service {
    tls: TlsMode::Off,
    auth: AuthMode::Off,
    proxy: ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};

const SHORT: Duration = Duration::from_millis(300);

/// Long enough that a client which has to wait for another one's end fails its test.
const FOREVER: Duration = Duration::from_secs(3600);

/// Where a stranger stops in its handshake.
const STOPS: [&str; 4] = ["nothing", "half a hello", "a hello", "a long hello"];

/// Has a stranger stop in its handshake.
async fn stop_in_handshake(stranger: &mut Client, at: &str) {
    let hello = client_hello();
    let bytes = match at {
        "nothing" => Vec::new(),
        "half a hello" => hello[..hello.len() / 2].to_vec(),
        "a hello" => hello,
        // A handshake message of 64 KiB, in records of 16 KiB, of which one never comes.
        _ => {
            let record = [&b"\x16\x03\x01\x40\x00"[..], &[0; 1 << 14]].concat();
            let mut bytes = record.repeat(3);
            bytes[5..9].copy_from_slice(b"\x01\x00\xff\xff");
            bytes
        }
    };
    // Sent, or refused already: a stranger does not care.
    stranger.try_send(&bytes).await.ok();
}

#[tokio::test]
async fn a_stranger_that_stops_anywhere_in_its_handshake_delays_no_other_handshake() {
    for service in [IMPLICIT, STARTTLS] {
        let world = World::offering(service, |s| {
            s.limits.tls_handshakes = 1;
            s.timeouts.unadmitted = FOREVER;
            s.timeouts.handshake = FOREVER;
        })
        .await;
        let mut strangers = Vec::new();
        for number in 0..40 {
            let mut stranger = world.connect_from(&format!("127.0.0.{}", 2 + number % 5)).await;
            if service == STARTTLS {
                stranger.hears("220 ").await;
                stranger.expect("STARTTLS", "220 ").await;
            }
            stop_in_handshake(&mut stranger, STOPS[number % STOPS.len()]).await;
            strangers.push(stranger);
        }
        // From a listed network, and from one of the strangers' own addresses.
        for address in ["127.0.0.1", "127.0.0.2"] {
            let mut client = world.connect_from(address).await;
            if service == STARTTLS {
                client.hears("220 ").await;
                client.expect("STARTTLS", "220 ").await;
            }
            let mut client = client.under_tls().await;
            if service == IMPLICIT {
                client.hears("220 ").await;
            }
            client.expect("EHLO client.example", "250-").await;
        }
    }
}

#[tokio::test]
async fn idle_strangers_from_five_addresses_keep_no_admitted_client_out() {
    for service in [NO_LOGIN, STARTTLS] {
        let world = World::offering(service, |s| {
            s.limits.connections = 60;
            s.limits.connections_per_client = 50;
            s.timeouts.unadmitted = FOREVER;
        })
        .await;
        let (mut strangers, mut greeted) = (Vec::new(), 0);
        for number in 0..100 {
            let mut stranger = world.connect_from(&format!("127.0.0.{}", 2 + number % 5)).await;
            let answer = stranger.reply().await;
            greeted += usize::from(answer.starts_with("220 "));
            strangers.push(stranger);
        }
        assert_eq!(greeted, 25, "five for each of five addresses");
        let mut admitted = Vec::new();
        for _ in 0..35 {
            let mut client = world.client().await;
            client.begin_message().await;
            admitted.push(client);
        }
    }
}

#[tokio::test]
async fn a_user_that_logs_in_leaves_its_place_to_the_next() {
    let world = World::offering(STARTTLS, |s| s.limits.connections_per_client = 10).await;
    let mut users = Vec::new();
    for _ in 0..3 {
        let mut client = world.connect_from("127.0.0.2").await;
        client.hears("220 ").await;
        let mut second = world.connect_from("127.0.0.2").await;
        second.hears("421 4.7.0 ").await;
        client.expect("STARTTLS", "220 ").await;
        let mut client = client.under_tls().await;
        client.expect("EHLO client.example", "250-").await;
        client.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ").await;
        users.push(client);
    }
    for client in &mut users {
        client.begin_message().await;
    }
}

#[tokio::test]
async fn a_silent_stranger_is_sent_away_long_before_an_admitted_client() {
    for service in [NO_LOGIN, STARTTLS] {
        let world = World::offering(service, |s| s.timeouts.unadmitted = SHORT).await;
        let mut admitted = world.client().await;
        let mut stranger = world.connect_from("127.0.0.2").await;
        stranger.hears("220 ").await;
        stranger.hears("421 4.4.2 relay.example timed out waiting for the client").await;
        admitted.expect("NOOP", "250 ").await;
    }
}

#[tokio::test]
async fn a_stranger_that_keeps_talking_is_sent_away_too() {
    let world = World::offering(NO_LOGIN, |s| {
        s.timeouts.unadmitted = SHORT;
        s.limits.commands_per_connection = usize::MAX;
    })
    .await;
    let mut stranger = world.connect_from("127.0.0.2").await;
    stranger.hears("220 ").await;
    let mut answer = String::from("250 ");
    while answer.starts_with("250 ") {
        answer = stranger.say("NOOP").await;
    }
    assert_eq!(answer, "421 4.4.2 relay.example connection open for too long\r\n");
}

#[tokio::test]
async fn a_stranger_silent_in_its_handshake_is_cut_off_long_before_an_admitted_client() {
    let world = World::offering(IMPLICIT, |s| {
        s.timeouts.unadmitted = SHORT;
        s.timeouts.handshake = FOREVER;
    })
    .await;
    let admitted = world.connect().await;
    let mut stranger = world.connect_from("127.0.0.2").await;
    assert!(stranger.rest_of_bytes().await.is_empty());
    let refused = world.logged("connection refused");
    assert!(refused[0].contains("peer=127.0.0.2 reason=\"tls-timed-out\""), "{refused:?}");
    admitted.under_tls().await.hears("220 ").await;
}

#[tokio::test]
async fn the_octets_of_a_strangers_chunk_are_not_waited_for() {
    let world = World::offering(NO_LOGIN, |s| s.timeouts.unadmitted = FOREVER).await;
    let mut stranger = world.connect_from("127.0.0.2").await;
    stranger.hears("220 ").await;
    stranger.expect("EHLO client.example", "250-").await;
    stranger.expect("MAIL FROM:<a@client.example>", "550 5.7.1 ").await;
    stranger.send(b"BDAT 1000000 LAST\r\nRSET\r\n").await;
    stranger.hears("503 5.5.1 ").await;
    assert_eq!(stranger.rest().await, "");
}

#[tokio::test]
async fn silent_proxies_keep_neither_clients_nor_descriptors() {
    let proxied = Service { proxy: ProxyMode::Required, ..NO_LOGIN };
    let world = World::offering(proxied, |s| {
        s.limits.connections = 40;
        s.timeouts.handshake = FOREVER;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(world.connect_from("127.0.0.9").await);
    }
    let mut one_more = world.connect_from("127.0.0.9").await;
    one_more.hears("421 4.7.0 relay.example too many connections").await;
    // The proxy is waited for less long than a handshake, and some of them get a reply.
    for proxy in &mut silent {
        let answer = proxy.rest().await;
        assert!(answer.is_empty() || answer.starts_with("554 5.7.1 "), "{answer}");
    }
    let mut proxy = world.connect_from("127.0.0.9").await;
    proxy.send(b"PROXY TCP4 127.0.0.1 127.0.0.9 40000 25\r\n").await;
    proxy.hears("220 ").await;
}

#[tokio::test]
async fn passwords_sent_at_once_do_not_pass_the_limit() {
    let world = World::offering(IMPLICIT, |s| {
        s.rates.auth_failures = 4;
        s.limits.connections_per_client = 200;
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = world.connect_from("127.0.0.2").await.under_tls().await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        clients.push(client);
    }
    // All are past the question whether they may try before the first password is looked at.
    for client in &mut clients {
        client.expect("AUTH PLAIN", "334 ").await;
    }
    for client in &mut clients {
        client.send(b"AGFubgB3cm9uZw==\r\n").await;
    }
    let mut looked_at = 0;
    for client in &mut clients {
        let answer = client.reply().await;
        assert!(answer.starts_with("535 5.7.8 ") || answer.starts_with("421 4.7.0 "), "{answer}");
        looked_at += usize::from(answer.starts_with("535 "));
    }
    assert_eq!(looked_at, 4);
    // Right passwords are none of the wrong ones: any number may log in at once.
    let mut users = Vec::new();
    for _ in 0..6 {
        let mut client = world.connect_from("127.0.0.3").await.under_tls().await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        users.push(client);
    }
    for client in &mut users {
        client.send(b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
    }
    for client in &mut users {
        client.hears("235 ").await;
    }
}
