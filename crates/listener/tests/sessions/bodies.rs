//! Messages are kept byte for byte.

use crate::world::{World, stuffed};

#[tokio::test]
async fn every_message_is_kept_byte_for_byte() {
    let world = World::new().await;
    let mut client = world.client().await;
    let long_line = [b"\r\n", &[b'x'; 998][..], b"\r\n"].concat();
    let dotted_long_line = [b"\r\n.", &[b'x'; 997][..], b"\r\n"].concat();
    let octets = (1..=255).filter(|octet| !matches!(octet, b'\r' | b'\n'));
    let all_octets: Vec<u8> = b"\r\n".iter().copied().chain(octets).chain(*b"\r\n").collect();
    let big = b"\r\n0123456789 abcdefghijklmnopqrstuvwxyz\r\n..\r\n".repeat(30_000);
    let messages: &[&[u8]] = &[
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n.\r\n",
        b"\r\n..\r\n",
        b"\r\n.\r\n.\r\n.\r\n",
        b"\r\n. \r\n.x\r\n x.\r\n",
        b"Subject: x\r\n\r\n",
        b"Subject: x\r\n\r\nbody\r\n\r\n\r\n",
        b"\r\nno header\r\n",
        b"Received: from elsewhere\r\nReturn-Path: <x@y.example>\r\nBcc: z\r\n\r\n",
        b"Subject: \xc3\xbc\xff\r\n\r\n\x80\r\n",
        &long_line,
        &dotted_long_line,
        &all_octets,
        &big,
    ];
    for message in messages {
        client.begin_message().await;
        let answer = client.message(message).await;
        assert!(answer.starts_with("250 2.0.0 "), "{answer:?}: {message:?}");
    }
    let stored = world.stored().await;
    assert_eq!(stored.len(), messages.len());
    for (stored, message) in stored.iter().zip(messages) {
        assert!(stored.as_sent() == *message, "{:?} became {:?}", message, stored.as_sent());
    }
}

#[tokio::test]
async fn how_a_message_is_cut_makes_no_difference() {
    let world = World::new().await;
    let message = b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n";
    let wire = stuffed(message);
    let mut client = world.client().await;
    for cut in 0..wire.len() {
        client.begin_message().await;
        client.send(&wire[..cut]).await;
        // The far end has to see two segments, so the first has to be read before the second.
        tokio::task::yield_now().await;
        client.send(&wire[cut..]).await;
        client.hears("250 2.0.0 ").await;
    }
    let stored = world.stored().await;
    assert_eq!(stored.len(), wire.len());
    assert!(stored.iter().all(|stored| stored.as_sent() == message));
}

#[tokio::test]
async fn long_lines_that_applications_write_are_passed_on_as_they_are() {
    let world = World::new().await;
    let mut client = world.sender().await;
    let message = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(60_000));
    assert!(client.message(message.as_bytes()).await.starts_with("250 2.0.0 "));
    assert_eq!(world.stored().await[0].as_sent(), message.as_bytes());
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused() {
    let world = World::with(|s| s.limits.line_length = 1000).await;
    let mut client = world.client().await;
    for (length, reply) in [(998, "250 2.0.0 "), (999, "554 5.6.0 ")] {
        client.begin_message().await;
        let message = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(length));
        let answer = client.message(message.as_bytes()).await;
        assert!(answer.starts_with(reply), "{length}: {answer}");
    }
    assert_eq!(world.stored().await.len(), 1);
}
