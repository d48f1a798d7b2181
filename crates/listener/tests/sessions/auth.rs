//! Logging in.

use listener::{AuthMode, ProxyMode, Service, TlsMode};

use crate::world::World;

const OPTIONAL: Service = Service {
    tls: TlsMode::StartTls,
    auth: AuthMode::Optional,
    proxy: ProxyMode::Direct,
    binary: listener::BinaryMode::Withheld,
};
const REQUIRED: Service = Service { auth: AuthMode::Required, ..OPTIONAL };

/// ann, secret
const RIGHT: &str = "AGFubgBzZWNyZXQ=";
/// ann, wrong
const WRONG: &str = "AGFubgB3cm9uZw==";
/// bob, secret
const STRANGER: &str = "AGJvYgBzZWNyZXQ=";

#[tokio::test]
async fn a_user_logs_in_by_plain_and_by_login() {
    let world = World::offering(REQUIRED, |_| {}).await;
    let dialogues: [&[(&str, &str)]; 4] = [
        (&[("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 2.7.0 ")]),
        (&[("AUTH PLAIN", "334 \r\n"), (RIGHT, "235 2.7.0 ")]),
        (&[
            ("auth login", "334 VXNlcm5hbWU6\r\n"),
            ("YW5u", "334 UGFzc3dvcmQ6\r\n"),
            ("c2VjcmV0", "235 2.7.0 "),
        ]),
        (&[("AUTH LOGIN YW5u", "334 UGFzc3dvcmQ6\r\n"), ("c2VjcmV0", "235 2.7.0 ")]),
    ];
    for dialogue in dialogues {
        let mut client = world.client_under_tls().await;
        for (line, reply) in dialogue {
            client.expect(line, reply).await;
        }
        client.expect("AUTH PLAIN", "503 5.5.1 ").await;
        client.begin_message().await;
        assert!(client.message(b"Subject: x\r\n\r\n").await.starts_with("250 2.0.0 "));
    }
    let stored = world.stored().await;
    assert_eq!(stored.len(), dialogues.len());
    let text = String::from_utf8(stored[0].bytes.clone()).unwrap();
    assert!(text.contains(" with ESMTPSA id "), "{text}");
    assert!(!text.contains("ann"), "{text}");
    let accepted = world.logged("message accepted");
    assert!(accepted[0].contains("user=\"ann\""), "{accepted:?}");
}

#[tokio::test]
async fn auth_is_offered_under_tls_alone() {
    let world = World::offering(OPTIONAL, |_| {}).await;
    let mut client = world.greeted().await;
    let ehlo = client.say("EHLO x").await;
    assert!(ehlo.contains("STARTTLS") && !ehlo.contains("AUTH"), "{ehlo}");
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11 ").await;
    client.expect("STARTTLS", "220 ").await;
    let mut client = client.under_tls().await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "503 5.5.1 ").await;
    let ehlo = client.say("EHLO x").await;
    assert!(ehlo.contains("AUTH PLAIN LOGIN\r\n"), "{ehlo}");
    client.expect("MAIL FROM:<a@client.example> AUTH=<>", "250 ").await;
    client.expect("AUTH PLAIN", "503 5.5.1 ").await;
}

#[tokio::test]
async fn what_is_no_proof_is_refused() {
    let world = World::offering(OPTIONAL, |s| {
        s.limits.auth_failures_per_connection = 99;
    })
    .await;
    let mut client = world.client_under_tls().await;
    client.expect(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8 ").await;
    client.expect(&format!("AUTH PLAIN {STRANGER}"), "535 5.7.8 ").await;
    client.expect("AUTH PLAIN AGFubgBzZWNyZXR=", "501 5.5.2 ").await;
    client.expect("AUTH PLAIN =", "501 5.5.2 ").await;
    client.expect("AUTH CRAM-MD5", "504 5.5.4 ").await;
    client.expect("AUTH", "501 5.5.4 ").await;
    client.expect("AUTH LOGIN", "334 ").await;
    client.expect("*", "501 5.7.0 ").await;
    client.expect("AUTH PLAIN", "334 ").await;
    // A command within the dialogue is an answer, and none.
    client.expect("NOOP", "501 5.5.2 ").await;
    client.expect("NOOP", "250 2.0.0 ").await;
}

#[tokio::test]
async fn where_login_is_required_a_network_is_not_enough() {
    let world = World::offering(REQUIRED, |_| {}).await;
    let mut client = world.client().await;
    let answer = client.say("MAIL FROM:<a@client.example>").await;
    assert_eq!(answer, "530 5.7.0 authentication required; send STARTTLS first\r\n");
    let mut client = world.client_under_tls().await;
    let answer = client.say("MAIL FROM:<a@client.example>").await;
    assert_eq!(answer, "530 5.7.0 authentication required\r\n");
}

#[tokio::test]
async fn where_login_is_optional_a_listed_network_is_enough() {
    let world = World::offering(OPTIONAL, |_| {}).await;
    world.client().await.begin_message().await;
    let mut stranger = world.connect_from("127.0.0.2").await;
    stranger.hears("220 ").await;
    stranger.expect("EHLO x", "250-").await;
    stranger.expect("MAIL FROM:<a@client.example>", "530 5.7.0 ").await;
    stranger.expect("STARTTLS", "220 ").await;
    let mut stranger = stranger.under_tls().await;
    stranger.expect("EHLO x", "250-").await;
    stranger.expect(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
    stranger.begin_message().await;
}

#[tokio::test]
async fn a_user_sends_from_listed_addresses_alone() {
    let world = World::offering(REQUIRED, |_| {}).await;
    let mut client = world.client_under_tls().await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
    client.expect("MAIL FROM:<a@elsewhere.example>", "550 5.7.1 ann may not send").await;
    client.expect("MAIL FROM:<>", "250 ").await;
    client.expect("RSET", "250 ").await;
    client.begin_message().await;
}

#[tokio::test]
async fn guessing_passwords_comes_to_an_end_on_each_connection_and_for_each_client() {
    let world = World::offering(OPTIONAL, |s| {
        s.limits.auth_failures_per_connection = 2;
        s.rates.auth_failures = 3;
    })
    .await;
    let wrong = format!("AUTH PLAIN {WRONG}");
    let mut client = world.client_under_tls().await;
    client.expect(&wrong, "535 5.7.8 ").await;
    client.expect(&wrong, "535 5.7.8 ").await;
    client.expect(&wrong, "421 4.7.0 relay.example too many failed authentications").await;
    let mut client = world.client_under_tls().await;
    client.expect(&wrong, "535 5.7.8 ").await;
    // From now on not even the right one is looked at.
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "421 4.7.0 ").await;
    let failed = world.logged("authentication failed peer=127.0.0.1 user=\"ann\"");
    assert_eq!(failed.len(), 3, "{failed:?}");
    assert!(world.logged("wrong").is_empty());
}

#[tokio::test]
async fn failures_before_starttls_count_after_it() {
    let world = World::offering(OPTIONAL, |s| s.limits.errors_per_connection = 2).await;
    let mut client = world.client().await;
    client.expect("A", "500 ").await;
    client.expect("B", "500 ").await;
    assert_eq!(client.say("NOOP").await, "421 4.7.0 relay.example too many errors\r\n");
    let mut client = world.client().await;
    client.expect("A", "500 ").await;
    client.expect("STARTTLS", "220 ").await;
    let mut client = client.under_tls().await;
    client.expect("B", "500 ").await;
    assert_eq!(client.say("NOOP").await, "421 4.7.0 relay.example too many errors\r\n");
}
