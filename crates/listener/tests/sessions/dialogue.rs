//! Dialogues that end well.

use crate::world::{World, open, stored};

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello.\r\n";

#[tokio::test]
async fn a_full_dialogue_puts_one_message_into_the_queue() {
    let world = World::new().await;
    let mut client = world.greeted().await;
    let ehlo = client.say("EHLO client.example").await;
    let announced: Vec<&str> = ehlo.lines().skip(1).filter_map(|line| line.get(4..)).collect();
    assert_eq!(
        announced,
        [
            "SIZE 52428800",
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
            "CHUNKING",
            "DSN",
            "LIMITS MAILMAX=1000 RCPTMAX=1000",
        ]
    );
    client.expect("NOOP", "250 2.0.0 ").await;
    client.expect("VRFY b@far.example", "252 2.0.0 ").await;
    client.expect("HELP", "214 2.0.0 ").await;
    client.expect("EXPN list", "502 5.5.1 ").await;
    client.expect("MAIL FROM:<a@client.example> SIZE=30", "250 2.1.0 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
    client.expect("RCPT TO:<c@far.example>", "250 2.1.5 ").await;
    client.expect("DATA", "354 ").await;
    let accepted = client.message(MESSAGE).await;
    client.expect("QUIT", "221 2.0.0 relay.example ").await;
    assert_eq!(client.rest().await, "");

    let stored = world.stored().await;
    let [message] = &stored[..] else { panic!("{stored:?}") };
    assert_eq!(accepted, format!("250 2.0.0 queued as {}\r\n", message.id));
    assert_eq!(message.from, "<a@client.example>");
    assert_eq!(message.recipients, ["b@far.example", "c@far.example"]);
    let text = String::from_utf8(message.bytes.clone()).unwrap();
    let trace = format!(
        "Received: from client.example ([127.0.0.1])\r\n\
         \tby relay.example with ESMTP id {};\r\n\t",
        message.id
    );
    assert!(text.starts_with(&trace), "{text}");
    assert_eq!(message.as_sent(), MESSAGE);
}

#[tokio::test]
async fn a_dialogue_in_one_segment_is_answered_in_order() {
    let world = World::new().await;
    let mut client = world.greeted().await;
    client
        .send(
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@far.example>\r\nRCPT TO:<nobody>\r\nDATA\r\n\
              Subject: x\r\n\r\n..\r\n.\r\nMAIL FROM:<a@client.example>\r\nRSET\r\nNOOP\r\nQUIT\r\n",
        )
        .await;
    let answer = client.rest().await;
    let codes: Vec<&str> = answer.lines().filter_map(|line| line.get(..4)).collect();
    assert_eq!(
        codes,
        [
            "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250 ", "250 ", "250 ",
            "501 ", "354 ", "250 ", "250 ", "250 ", "250 ", "221 "
        ],
        "{answer}"
    );
    let stored = world.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].as_sent(), b"Subject: x\r\n\r\n.\r\n");
    assert_eq!(stored[0].from, "<>");
}

#[tokio::test]
async fn one_connection_brings_many_messages() {
    let world = World::new().await;
    let mut client = world.client().await;
    for number in 0..5 {
        client.begin_message().await;
        let message = format!("Subject: {number}\r\n\r\n");
        assert!(client.message(message.as_bytes()).await.starts_with("250 2.0.0 queued as "));
    }
    let stored = world.stored().await;
    let sent: Vec<_> = stored.iter().map(|m| String::from_utf8_lossy(m.as_sent())).collect();
    assert_eq!(sent.len(), 5);
    for (number, sent) in sent.iter().enumerate() {
        assert_eq!(*sent, format!("Subject: {number}\r\n\r\n"));
    }
}

#[tokio::test]
async fn the_protocol_in_the_received_field_is_the_one_spoken() {
    let world = World::new().await;
    for (hello, mail, with) in [
        ("HELO [192.0.2.9]", "MAIL FROM:<a@client.example>", "from [192.0.2.9] ([127.0.0.1])"),
        ("HELO x", "MAIL FROM:<a@client.example>", " with SMTP id "),
        ("EHLO x", "MAIL FROM:<a@client.example>", " with ESMTP id "),
        ("EHLO x", "MAIL FROM:<a@client.example> SMTPUTF8", " with UTF8SMTP id "),
    ] {
        let mut client = world.greeted().await;
        client.expect(hello, "250").await;
        client.expect(mail, "250 2.1.0 ").await;
        client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
        client.expect("DATA", "354 ").await;
        assert!(client.message(MESSAGE).await.starts_with("250 "));
        let stored = world.stored().await;
        let text = String::from_utf8(stored.last().unwrap().bytes.clone()).unwrap();
        assert!(text.contains(with), "{hello}, {mail}: {text}");
    }
}

#[tokio::test]
async fn an_accepted_message_outlives_a_restart() {
    let mut world = World::new().await;
    let mut client = world.sender().await;
    let accepted = client.message(MESSAGE).await;
    assert!(accepted.starts_with("250 "));
    world.stop();
    world.stopped().await;
    world.queue.close().await;
    let World { dir, queue, .. } = world;
    drop(queue);
    let stored = stored(&open(dir.path()).await).await;
    assert_eq!(stored.len(), 1);
    assert!(accepted.contains(&stored[0].id));
    assert_eq!(stored[0].as_sent(), MESSAGE);
}

#[tokio::test]
async fn a_message_that_is_cut_off_leaves_nothing() {
    let world = World::new().await;
    let mut client = world.sender().await;
    client.send(b"Subject: x\r\n\r\nhalf a mess").await;
    drop(client);
    // The next connection is served after the first has been read to its end.
    let mut client = world.sender().await;
    assert!(client.message(MESSAGE).await.starts_with("250 "));
    let stored = world.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].as_sent(), MESSAGE);
}
