//! Clients that are none, or that count on being misunderstood.

use listener::{AuthMode, ProxyMode, Service, TlsMode};

use crate::world::World;

#[tokio::test]
async fn a_request_of_http_ends_the_connection_at_its_first_line() {
    let world = World::new().await;
    for request in [
        "POST / HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 60\r\n\r\n\
         EHLO x\r\nMAIL FROM:<evil@client.example>\r\n",
        "GET /?EHLO HTTP/1.1\r\nMAIL FROM:<evil@client.example>\r\n\r\n",
        "CONNECT relay.example:25 HTTP/1.1\r\n\r\nEHLO x\r\n",
        "put / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = world.greeted().await;
        client.send(request).await;
        assert_eq!(client.rest().await, "554 5.5.1 this is not HTTP\r\n", "{request}");
    }
}

#[tokio::test]
async fn a_tls_hello_in_clear_is_no_command() {
    let world = World::new().await;
    let mut client = world.greeted().await;
    let hello = [&b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"[..], &[7; 194], b"\r\n"].concat();
    client.send(hello).await;
    client.hears("500 5.5.2 ").await;
    client.expect("NOOP", "250 2.0.0 nothing done").await;
}

#[tokio::test]
async fn a_declared_size_is_a_wish_and_the_real_one_counts() {
    let world = World::with(|s| s.limits.message_size = 100).await;
    let mut client = world.client().await;
    for (size, reply) in [
        ("0", "250 2.1.0 "),
        ("100", "250 2.1.0 "),
        ("101", "552 5.3.4 "),
        ("00000000000000000101", "552 5.3.4 "),
        ("18446744073709551616", "501 5.5.4 "),
        ("1e2", "501 5.5.4 "),
        ("-5", "501 5.5.4 "),
    ] {
        client.expect(&format!("MAIL FROM:<a@client.example> SIZE={size}"), reply).await;
        client.expect("RSET", "250 ").await;
    }
    client.expect("MAIL FROM:<a@client.example> SIZE=1", "250 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 ").await;
    client.expect("DATA", "354 ").await;
    assert!(client.message(&b"0123456\r\n".repeat(12)).await.starts_with("552 5.3.4 "));
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn an_answer_of_auth_is_never_taken_for_a_command() {
    let service = Service {
        tls: TlsMode::StartTls,
        auth: AuthMode::Optional,
        proxy: ProxyMode::Direct,
        binary: listener::BinaryMode::Withheld,
    };
    let world = World::offering(service, |_| {}).await;
    let mut client = world.client_under_tls().await;
    client.send(b"AUTH LOGIN\r\nMAIL FROM:<evil@client.example>\r\nNOOP\r\n").await;
    client.hears("334 ").await;
    client.hears("501 5.5.2 ").await;
    client.hears("250 2.0.0 nothing done").await;
    // What is no line is no answer, and no command follows from it.
    client.send(b"AUTH PLAIN\r\nAGFubg\nMAIL FROM:<evil@client.example>\r\n").await;
    client.hears("334 ").await;
    client.hears("501 5.5.2 ").await;
    client.expect("RCPT TO:<b@far.example>", "503 5.5.1 ").await;
}

#[tokio::test]
async fn a_connection_that_comes_too_often_is_told_to_come_later() {
    let world = World::with(|s| s.rates.connections = 2).await;
    let _first = world.greeted().await;
    let _second = world.greeted().await;
    let mut third = world.connect().await;
    let answer = third.rest().await;
    let expected =
        "421 4.7.0 relay.example too many connections in a short time; come back later\r\n";
    assert_eq!(answer, expected);
    world.connect_from("127.0.0.2").await.hears("220 ").await;
}

#[tokio::test]
async fn a_message_that_comes_drop_by_drop_is_given_up() {
    let world = World::with(|s| {
        s.limits.data_rate = 1 << 20;
        s.timeouts.data_grace = std::time::Duration::from_millis(100);
    })
    .await;
    let mut client = world.sender().await;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
    while client.try_send(b"x\r\n").await.is_ok() {
        pace.tick().await;
    }
    let refused = world.logged("message refused");
    assert!(refused[0].contains("reason=\"too-slow\""), "{refused:?}");
    assert_eq!(world.queue.totals().messages, 0);
}
