//! TLS, asked for and from the first byte on.

use listener::{ServerTls, Service, TlsMode};

use crate::world::World;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello.\r\n";
const STARTTLS: Service = Service {
    tls: TlsMode::StartTls,
    auth: listener::AuthMode::Off,
    proxy: listener::ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};
const IMPLICIT: Service = Service { tls: TlsMode::Implicit, ..STARTTLS };

#[tokio::test]
async fn mail_comes_under_tls_and_its_received_field_says_so() {
    let world = World::offering(STARTTLS, |_| {}).await;
    let mut client = world.client_under_tls().await;
    client.begin_message().await;
    assert!(client.message(MESSAGE).await.starts_with("250 2.0.0 "));
    client.expect("QUIT", "221 ").await;
    let stored = world.stored().await;
    let text = String::from_utf8(stored[0].bytes.clone()).unwrap();
    assert!(text.contains("\r\n\t(using TLSv1.3 with cipher TLS_"), "{text}");
    assert!(text.contains(" with ESMTPS id "), "{text}");
    assert_eq!(stored[0].as_sent(), MESSAGE);
    let accepted = world.logged("message accepted");
    assert!(accepted[0].contains("tls=\"TLSv1.3\""), "{accepted:?}");
}

#[tokio::test]
async fn starttls_is_announced_in_clear_and_refused_under_tls() {
    let world = World::offering(STARTTLS, |_| {}).await;
    let mut client = world.greeted().await;
    let ehlo = client.say("EHLO x").await;
    assert!(ehlo.contains("250 STARTTLS\r\n"), "{ehlo}");
    client.expect("STARTTLS now", "501 5.5.4 ").await;
    client.expect("STARTTLS", "220 2.0.0 ").await;
    let mut client = client.under_tls().await;
    let ehlo = client.say("EHLO x").await;
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
    client.expect("STARTTLS", "502 5.5.1 ").await;
}

#[tokio::test]
async fn what_was_said_before_tls_does_not_count_after_it() {
    let world = World::offering(STARTTLS, |_| {}).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<evil@client.example>", "250 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 ").await;
    client.expect("STARTTLS", "220 ").await;
    let mut client = client.under_tls().await;
    client.expect("DATA", "503 5.5.1 ").await;
    client.expect("MAIL FROM:<a@client.example>", "503 5.5.1 send EHLO first").await;
}

#[tokio::test]
async fn commands_behind_starttls_are_never_obeyed() {
    let world = World::offering(STARTTLS, |_| {}).await;
    let mut client = world.client().await;
    client.send(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@client.example>\r\n").await;
    assert_eq!(client.rest().await, "421 4.5.0 relay.example commands sent after STARTTLS\r\n");
    let refused = world.logged("command refused");
    assert!(refused[0].contains("reason=\"starttls-injection\""), "{refused:?}");
}

#[tokio::test]
async fn commands_in_clear_after_the_go_ahead_are_no_tls() {
    let world = World::offering(STARTTLS, |_| {}).await;
    let mut client = world.client().await;
    client.expect("STARTTLS", "220 ").await;
    client.send(b"EHLO evil\r\nMAIL FROM:<evil@client.example>\r\n").await;
    let rest = client.rest_of_bytes().await;
    assert!(!rest.windows(3).any(|three| three == b"250"), "{rest:?}");
    let refused = world.logged("connection refused");
    assert!(refused[0].contains("reason=\"tls\""), "{refused:?}");
}

#[tokio::test]
async fn under_implicit_tls_the_greeting_comes_encrypted() {
    let world = World::offering(IMPLICIT, |_| {}).await;
    let mut client = world.connect_under_tls().await;
    client.hears("220 relay.example ESMTP").await;
    let ehlo = client.say("EHLO x").await;
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
    client.begin_message().await;
    assert!(client.message(MESSAGE).await.starts_with("250 2.0.0 "));
}

#[tokio::test]
async fn what_is_no_tls_is_cut_off() {
    let world = World::offering(IMPLICIT, |_| {}).await;
    for garbage in [
        &b"EHLO client.example\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01garbage",
        &[0; 4096],
    ] {
        let mut client = world.connect().await;
        client.send(garbage).await;
        let rest = client.rest_of_bytes().await;
        assert!(!rest.starts_with(b"220"), "{rest:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let short = std::time::Duration::from_millis(50);
    for service in [IMPLICIT, STARTTLS] {
        let world = World::offering(service, |s| s.timeouts.handshake = short).await;
        let mut client = world.connect().await;
        if service == STARTTLS {
            client.hears("220 ").await;
            client.expect("EHLO x", "250-").await;
            client.expect("STARTTLS", "220 ").await;
        }
        assert_eq!(client.rest_of_bytes().await, b"");
        let refused = world.logged("connection refused");
        assert!(refused[0].contains("reason=\"tls-timed-out\""), "{refused:?}");
    }
}

#[tokio::test]
async fn handshakes_that_come_too_often_are_told_to_come_later() {
    let world = World::offering(STARTTLS, |s| s.rates.tls_handshakes = 1).await;
    let _first = world.client_under_tls().await;
    let mut second = world.client().await;
    second.expect("STARTTLS", "454 4.7.0 ").await;
    second.begin_message().await;
}

#[tokio::test]
async fn without_a_certificate_tls_is_not_offered() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.expect("STARTTLS", "502 5.5.1 ").await;
}

#[tokio::test]
async fn a_certificate_is_exchanged_and_a_bad_one_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let tls = crate::certificate::make(dir.path(), "relay.example");
    crate::certificate::write(dir.path(), "other.example");
    tls.reload().unwrap();
    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    let refused = tls.reload().unwrap_err();
    assert!(refused.to_string().ends_with("key.pem: no private key in PEM form"), "{refused}");
    crate::certificate::write(dir.path(), "third.example");
    let third = std::fs::read(dir.path().join("key.pem")).unwrap();
    crate::certificate::write(dir.path(), "fourth.example");
    std::fs::write(dir.path().join("key.pem"), third).unwrap();
    let refused = tls.reload().unwrap_err().to_string();
    assert!(refused.contains("are not a certificate and its key"), "{refused}");
    let [certificate, key] = tls.files();
    assert!(ServerTls::load(certificate, key).is_err());
}
