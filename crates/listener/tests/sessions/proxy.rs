//! Connections that come through a proxy.

use listener::{ProxyMode, Service};

use crate::world::World;

const PROXIED: Service = Service {
    tls: listener::TlsMode::Off,
    auth: listener::AuthMode::Off,
    proxy: ProxyMode::Required,
    binary: listener::BinaryMode::Withheld,
};

#[tokio::test]
async fn a_listed_proxy_says_who_the_client_is() {
    let world = World::offering(PROXIED, |_| {}).await;
    for (client, reply) in [("127.0.0.1", "250 2.1.0 "), ("192.0.2.7", "550 5.7.1 192.0.2.7 ")] {
        let mut proxy = world.connect_from("127.0.0.9").await;
        proxy.send(format!("PROXY TCP4 {client} 127.0.0.9 40000 25\r\n")).await;
        proxy.hears("220 ").await;
        proxy.expect("EHLO x", "250-").await;
        proxy.expect("MAIL FROM:<a@client.example>", reply).await;
    }
    let refused = world.logged("command refused");
    assert!(refused[0].contains("peer=192.0.2.7"), "{refused:?}");
}

#[tokio::test]
async fn version_2_is_understood_too() {
    let world = World::offering(PROXIED, |_| {}).await;
    let mut proxy = world.connect_from("127.0.0.9").await;
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x09\x9c\x40\0\x19";
    proxy.send(header).await;
    proxy.hears("220 ").await;
    proxy.expect("EHLO x", "250-").await;
    proxy.expect("MAIL FROM:<a@client.example>", "250 2.1.0 ").await;
}

#[tokio::test]
async fn a_proxy_that_does_not_say_for_whom_submits_nothing() {
    let world = World::offering(PROXIED, |_| {}).await;
    let mut proxy = world.connect_from("127.0.0.9").await;
    proxy.send(b"PROXY UNKNOWN\r\n").await;
    proxy.hears("220 ").await;
    proxy.expect("EHLO x", "250-").await;
    proxy.expect("MAIL FROM:<a@client.example>", "550 5.7.1 ").await;
}

#[tokio::test]
async fn nobody_else_takes_on_an_address() {
    let world = World::offering(PROXIED, |_| {}).await;
    let mut stranger = world.connect_from("127.0.0.2").await;
    stranger.send(b"PROXY TCP4 127.0.0.1 127.0.0.9 40000 25\r\n").await;
    assert!(stranger.rest().await.starts_with("554 5.7.1 "));
    let mut silent = world.connect_from("127.0.0.9").await;
    silent.send(b"EHLO client.example\r\nMAIL FROM:<>\r\n").await;
    assert!(silent.rest().await.starts_with("554 5.7.1 "));
    // Where no proxy is expected, its header is nothing but a client that does not wait.
    let world = World::new().await;
    let mut client = world.greeted().await;
    client.expect("PROXY TCP4 127.0.0.1 127.0.0.9 40000 25", "500 5.5.2 ").await;
}
