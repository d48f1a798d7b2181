//! Everything has a limit, and whoever comes to it gets a reply that says so.

use std::time::Duration;

use crate::world::World;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_message_that_grows_too_large_is_read_to_its_end_and_refused() {
    let world = World::with(|s| s.limits.message_size = 1000).await;
    let mut client = world.client().await;
    let exact = [b"Subject: x\r\n\r\n", &b"0123456\r\n".repeat(109)[..], b"12\r\n"].concat();
    assert_eq!(exact.len(), 999);
    for (more, reply) in [("", "250 2.0.0 "), ("x", "250 2.0.0 "), ("xy", "552 5.3.4 ")] {
        client.begin_message().await;
        let message = [more.as_bytes(), &exact].concat();
        let answer = client.message(&message).await;
        assert!(answer.starts_with(reply), "{}: {answer}", message.len());
    }
    client.begin_message().await;
    let huge = b"MAIL FROM:<a@client.example>\r\n".repeat(100_000);
    assert_eq!(client.message(&huge).await, "552 5.3.4 message larger than 1000 bytes\r\n");
    client.begin_message().await;
    assert!(client.message(b"").await.starts_with("250 2.0.0 "));
    assert_eq!(world.stored().await.len(), 3);
}

#[tokio::test]
async fn added_dots_do_not_count_as_size() {
    let world = World::with(|s| s.limits.message_size = 300).await;
    let mut client = world.sender().await;
    assert!(client.message(&b".\r\n".repeat(100)).await.starts_with("250 2.0.0 "));
}

#[tokio::test]
async fn a_header_section_that_is_too_large_is_refused_and_a_large_body_is_not() {
    let world = World::with(|s| s.limits.header_size = 1000).await;
    let mut client = world.client().await;
    let lines = b"X-Field: value\r\n".repeat(100);
    for (message, reply) in [
        (lines.clone(), "552 5.3.4 header section larger than 1000 bytes"),
        ([b"Subject: x\r\n\r\n", &lines[..]].concat(), "250 2.0.0 "),
        ([b"no header\r\n", &lines[..]].concat(), "250 2.0.0 "),
    ] {
        client.begin_message().await;
        let answer = client.message(&message).await;
        assert!(answer.starts_with(reply), "{answer}");
    }
}

#[tokio::test]
async fn a_message_that_has_passed_too_many_hosts_is_in_a_loop() {
    let world = World::with(|s| s.limits.received_fields = 5).await;
    let mut client = world.client().await;
    for (fields, reply) in [(4, "250 2.0.0 "), (5, "554 5.4.6 ")] {
        client.begin_message().await;
        let message = "Received: from x by y; z\r\n".repeat(fields);
        let answer = client.message(message.as_bytes()).await;
        assert!(answer.starts_with(reply), "{fields}: {answer}");
    }
    assert_eq!(world.stored().await.len(), 1);
}

#[tokio::test]
async fn there_is_a_place_for_so_many_connections_and_no_more() {
    let world = World::with(|s| s.limits.connections = 2).await;
    let first = world.greeted().await;
    let _second = world.greeted().await;
    let mut third = world.connect().await;
    assert_eq!(third.rest().await, "421 4.7.0 relay.example too many connections\r\n");
    drop(first);
    // The place is given back once the listener has seen the end of the connection.
    loop {
        let mut next = world.connect().await;
        let answer = next.reply().await;
        if answer.starts_with("220 ") {
            break;
        }
        assert!(answer.starts_with("421 4.7.0 "), "{answer}");
    }
}

#[tokio::test]
async fn one_client_does_not_take_the_places_of_the_others() {
    let world = World::with(|s| s.limits.connections_per_client = 1).await;
    let _first = world.greeted().await;
    let mut second = world.connect().await;
    let answer = second.rest().await;
    assert_eq!(answer, "421 4.7.0 relay.example too many connections from your address\r\n");
    world.connect_from("127.0.0.2").await.hears("220 ").await;
}

#[tokio::test]
async fn recipients_beyond_the_limit_are_told_to_come_later() {
    let world = World::with(|s| s.limits.recipients = 100).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<a@client.example>", "250 ").await;
    let all: String = (0..150).map(|n| format!("RCPT TO:<r{n}@far.example>\r\n")).collect();
    client.send(all).await;
    for number in 0..150 {
        client.hears(if number < 100 { "250 2.1.5 " } else { "452 4.5.3 " }).await;
    }
    client.expect("DATA", "354 ").await;
    assert!(client.message(b"Subject: x\r\n\r\n").await.starts_with("250 2.0.0 "));
    let stored = world.stored().await;
    assert_eq!(stored.iter().map(|stored| stored.recipients.len()).sum::<usize>(), 100);
}

#[tokio::test]
async fn errors_commands_and_messages_are_counted_to_an_end() {
    let world = World::with(|s| s.limits.errors_per_connection = 2).await;
    let mut client = world.client().await;
    client.send(b"A\r\nB\r\nC\r\nD\r\n").await;
    client.hears("500 5.5.2 ").await;
    client.hears("500 5.5.2 ").await;
    assert_eq!(client.rest().await, "421 4.7.0 relay.example too many errors\r\n");

    let world = World::with(|s| s.limits.commands_per_connection = 2).await;
    let mut client = world.client().await;
    client.expect("NOOP", "250 ").await;
    client.expect("NOOP", "421 4.7.0 relay.example too many commands").await;
    assert_eq!(client.rest().await, "");

    let world = World::with(|s| s.limits.messages_per_connection = 1).await;
    let mut client = world.sender().await;
    assert!(client.message(b"").await.starts_with("250 "));
    client
        .expect("MAIL FROM:<a@client.example>", "421 4.7.0 relay.example too many messages")
        .await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_sent_away() {
    let world = World::with(|s| s.timeouts.command = SHORT).await;
    let mut client = world.client().await;
    let answer = client.rest().await;
    assert_eq!(answer, "421 4.4.2 relay.example timed out waiting for the client\r\n");
}

#[tokio::test]
async fn a_client_that_stops_within_a_message_is_sent_away() {
    let world = World::with(|s| s.timeouts.data = SHORT).await;
    let mut client = world.sender().await;
    client.send(b"Subject: x\r\n").await;
    assert!(client.rest().await.starts_with("421 4.4.2 "));
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn a_client_that_trickles_a_message_is_sent_away() {
    let world = World::with(|s| s.timeouts.message = SHORT * 4).await;
    let mut client = world.sender().await;
    let mut pace = tokio::time::interval(SHORT / 10);
    while client.try_send(b"x\r\n").await.is_ok() {
        pace.tick().await;
    }
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn a_connection_has_an_end() {
    let world = World::with(|s| s.timeouts.connection = SHORT * 4).await;
    let mut client = world.client().await;
    let mut answer = String::new();
    while answer.is_empty() || answer.starts_with("250 ") {
        answer = client.say("NOOP").await;
    }
    assert_eq!(answer, "421 4.4.2 relay.example connection open for too long\r\n");
}
