//! Whom a message is from, rewritten before it is kept.

use listener::{
    AddedField, AuthMode, ListenerSettings, OriginatorField, Replacement, RewriteRule, Rewriting,
    Service, TlsMode,
};
use smtp::AddressPattern;

use crate::world::World;

/// Rewrites addresses of `client.example` everywhere.
fn into(to: &str) -> impl FnOnce(&mut ListenerSettings) {
    let rule = RewriteRule {
        sender: Vec::new(),
        from: vec![AddressPattern::parse("@client.example").unwrap()],
        to: Replacement::parse(to).unwrap(),
        fields: vec![OriginatorField::Envelope, OriginatorField::From, OriginatorField::ReplyTo],
    };
    move |settings| settings.rewriting = Rewriting::new(vec![rule])
}

#[tokio::test]
async fn a_message_is_rewritten_however_it_is_cut_and_the_log_names_both_senders() {
    let message = "Subject: x\r\nFrom: A <a@client.example>\r\n\r\nFrom: a@client.example\r\n";
    let expected = "Subject: x\r\nFrom: A <a@own.example>\r\n\r\nFrom: a@client.example\r\n";
    let world = World::with(into("@own.example")).await;
    let mut client = world.client().await;
    for cut in 1..message.len() {
        client.expect("MAIL FROM:<a@client.example>", "250 ").await;
        client.expect("RCPT TO:<b@far.example>", "250 ").await;
        let answer = client.message_in_chunks(message, cut).await;
        assert!(answer.starts_with("250 "), "{answer}");
    }
    let stored = world.stored().await;
    assert_eq!(stored.len(), message.len() - 1);
    for stored in stored {
        assert_eq!(stored.from, "<a@own.example>");
        assert_eq!(String::from_utf8_lossy(stored.as_sent()), expected);
    }
    for logged in world.logged("message accepted") {
        assert!(logged.contains(" from=<a@own.example>"), "{logged}");
        assert!(logged.contains(" rewritten_from=<a@client.example>"), "{logged}");
    }
}

#[tokio::test]
async fn a_header_that_becomes_too_large_is_refused_as_one_that_comes_so() {
    let world = World::with(|settings| {
        into(&format!("{}@own.example", "x".repeat(200)))(settings);
        settings.limits.header_size = 1000;
    })
    .await;
    let mut client = world.sender().await;
    let few = format!("From: {}\r\n\r\nbody\r\n", "a@client.example,".repeat(4));
    assert!(client.message(few.as_bytes()).await.starts_with("250 "));
    for rest in ["\r\nbody\r\n", ""] {
        client.begin_message().await;
        let many = format!("From: {}\r\n{rest}", "a@client.example,".repeat(5));
        let answer = client.message(many.as_bytes()).await;
        assert!(answer.starts_with("552 5.3.4 header section larger than 1000 bytes"), "{answer}");
    }
    assert_eq!(world.stored().await.len(), 1);
    let refused = world.logged("message refused");
    assert!(refused[0].contains("from=<a@client.example>"), "{refused:?}");
}

#[tokio::test]
async fn what_from_lacks_is_added_and_then_rewritten() {
    let service =
        Service { tls: TlsMode::Implicit, auth: AuthMode::Optional, ..Service::default() };
    for (add, message, expected) in [
        (vec![AddedField::From], "Subject: x\r\n\r\n", "From: a@own.example\r\nSubject: x\r\n\r\n"),
        (Vec::new(), "Subject: x\r\n\r\n", "Subject: x\r\n\r\n"),
        (Vec::new(), "no header\r\n", "\r\nno header\r\n"),
        (Vec::new(), "", ""),
    ] {
        let world = World::for_user(service, "a@client.example", |settings| {
            into("@own.example")(settings);
            settings.submission.add = add;
        })
        .await;
        let mut client = world.connect_under_tls().await;
        client.hears("220 ").await;
        client.expect("EHLO client.example", "250-").await;
        client.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ").await;
        client.begin_message().await;
        assert!(client.message(message.as_bytes()).await.starts_with("250 "));
        let stored = world.stored().await;
        assert_eq!(String::from_utf8_lossy(stored[0].as_sent()), expected);
    }
}
