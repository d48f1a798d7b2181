//! Messages in chunks (RFC 3030), and what can be tried with counts.

use listener::{BinaryMode, Service};

use crate::world::{Client, World};

/// What a socket offers that takes binary messages.
const BINARY: Service = Service {
    tls: listener::TlsMode::Off,
    auth: listener::AuthMode::Off,
    proxy: listener::ProxyMode::Direct,
    binary: BinaryMode::Offered,
};

async fn begin(client: &mut Client) {
    client.expect("MAIL FROM:<a@client.example>", "250 2.1.0 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
}

#[tokio::test]
async fn chunks_make_one_message_byte_for_byte() {
    let world = World::new().await;
    let mut client = world.client().await;
    begin(&mut client).await;
    client.send(b"BDAT 12\r\nSubject: x\r\n").await;
    client.hears("250 2.0.0 12 octets received").await;
    // What would end a message after DATA is nothing but octets here.
    client.send(b"BDAT 13 LAST\r\n\r\n.\r\nQUIT\r\n..").await;
    client.hears("250 2.0.0 queued as ").await;
    client.expect("NOOP", "250 2.0.0 nothing done").await;
    let stored = world.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].as_sent(), b"Subject: x\r\n\r\n.\r\nQUIT\r\n..");
}

#[tokio::test]
async fn chunks_may_be_pipelined_and_empty() {
    let world = World::new().await;
    let mut client = world.client().await;
    client
        .send(
            b"MAIL FROM:<>\r\nRCPT TO:<b@far.example>\r\nBDAT 3\r\nA: BDAT 0\r\nBDAT 5\r\nb\r\n\r\n\
              BDAT 0 LAST\r\nMAIL FROM:<>\r\nRCPT TO:<c@far.example>\r\nBDAT 6 LAST\r\nC: d\r\nQUIT\r\n",
        )
        .await;
    let answer = client.rest().await;
    let codes: Vec<&str> = answer.lines().filter_map(|line| line.get(..3)).collect();
    let expected = ["250", "250", "250", "250", "250", "250", "250", "250", "250", "221"];
    assert_eq!(codes, expected, "{answer}");
    let stored = world.stored().await;
    let sent: Vec<_> = stored.iter().map(|stored| stored.as_sent().to_vec()).collect();
    assert_eq!(sent, [b"A: b\r\n\r\n".to_vec(), b"C: d\r\n".to_vec()]);
}

#[tokio::test]
async fn the_octets_of_a_refused_chunk_are_no_commands() {
    let world = World::new().await;
    let mut client = world.client().await;
    let evil = b"MAIL FROM:<evil@client.example>\r\n";
    for before in [&b""[..], b"MAIL FROM:<a@client.example>\r\nRCPT TO:<nobody>\r\n"] {
        client.send(before).await;
        if !before.is_empty() {
            client.hears("250 ").await;
            client.hears("501 ").await;
        }
        client.send(format!("BDAT {} LAST\r\n", evil.len())).await;
        client.send(evil).await;
        let answer = client.reply().await;
        assert!(answer.starts_with("503 5.5.1 ") || answer.starts_with("554 5.5.1 "), "{answer}");
        client.expect("RSET", "250 2.0.0 reset").await;
    }
}

#[tokio::test]
async fn a_fault_in_a_chunk_refuses_the_message_and_what_is_pipelined_behind_it() {
    let world = World::with(|s| s.limits.errors_per_connection = 99).await;
    for faulty in [&b"x\ny"[..], b"x\ry", b"x\0y", b"\r\n\n.\n\r\n"] {
        let mut client = world.client().await;
        begin(&mut client).await;
        client.send(format!("BDAT {}\r\n", faulty.len())).await;
        client.send(faulty).await;
        client.send(b"BDAT 4 LAST\r\nNOOP").await;
        client.hears("554 5.6.0 ").await;
        client.hears("503 5.5.1 ").await;
        client.expect("NOOP", "250 2.0.0 nothing done").await;
    }
    let mut client = world.client().await;
    begin(&mut client).await;
    client.send(b"BDAT 2 LAST\r\nx\r").await;
    client.hears("554 5.6.0 message has a bare CR").await;
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn a_count_that_cannot_be_meant_ends_the_connection() {
    let world = World::new().await;
    for (line, reply) in [
        ("BDAT 99999999999999999999999 LAST", "501 5.5.4 "),
        ("BDAT 18446744073709551616", "501 5.5.4 "),
        ("BDAT 18446744073709551615 LAST", "552 5.3.4 "),
        ("BDAT 52428801", "552 5.3.4 "),
        ("BDAT -1 LAST", "501 5.5.4 "),
        ("BDAT 0x10 LAST", "501 5.5.4 "),
        ("BDAT", "501 5.5.4 "),
        ("bdat 5 LASTLY", "501 5.5.4 "),
    ] {
        let mut client = world.client().await;
        begin(&mut client).await;
        client.send(format!("{line}\r\nMAIL FROM:<evil@client.example>\r\nNOOP\r\n")).await;
        let answer = client.rest().await;
        assert!(answer.starts_with(reply) && answer.lines().count() == 1, "{line}: {answer}");
    }
}

#[tokio::test]
async fn chunks_together_may_not_be_larger_than_a_message() {
    let world = World::with(|s| s.limits.message_size = 100).await;
    let mut client = world.client().await;
    begin(&mut client).await;
    let chunk = b"1234567\r\n".repeat(7);
    client.send(format!("BDAT {}\r\n", chunk.len())).await;
    client.send(&chunk).await;
    client.hears("250 2.0.0 63 octets received").await;
    client.send(format!("BDAT {} LAST\r\n", chunk.len())).await;
    client.send(&chunk).await;
    client.hears("552 5.3.4 ").await;
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn reset_forgets_the_chunks_that_came() {
    let world = World::new().await;
    let mut client = world.client().await;
    begin(&mut client).await;
    client.send(b"BDAT 5\r\nfirst").await;
    client.hears("250 ").await;
    client.expect("DATA", "503 5.5.1 ").await;
    client.expect("RSET", "250 ").await;
    client.begin_message().await;
    assert!(client.message(b"Subject: second\r\n\r\n").await.starts_with("250 "));
    let stored = world.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].as_sent(), b"Subject: second\r\n\r\n");
}

#[tokio::test]
async fn binary_messages_are_taken_where_that_is_offered_and_nowhere_else() {
    let withheld = World::new().await;
    let mut client = withheld.greeted().await;
    let ehlo = client.say("EHLO client.example").await;
    assert!(ehlo.contains("250-CHUNKING\r\n") && !ehlo.contains("BINARYMIME"), "{ehlo}");
    client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "555 5.5.4 ").await;
    client.expect("MAIL FROM:<a@client.example> BODY=8BITMIME", "250 2.1.0 ").await;

    let offered = World::offering(BINARY, |_| {}).await;
    let mut client = offered.greeted().await;
    let ehlo = client.say("EHLO client.example").await;
    assert!(ehlo.contains("250-BINARYMIME\r\n"), "{ehlo}");
    client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "250 2.1.0 ").await;
    client.expect("RSET", "250 ").await;
    client.expect("HELO client.example", "250 ").await;
    client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "555 5.5.4 ").await;
}

#[tokio::test]
async fn the_octets_of_a_binary_message_are_kept_as_they_are() {
    let world = World::offering(BINARY, |_| {}).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "250 2.1.0 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
    // Nothing of the body has lines, and one chunk ends within what would be a line's end.
    let message = b"Subject: x\r\n\r\n\x00\n.\n\r\r\n.\r\n\xff";
    let (first, last) = message.split_at(12);
    client.send(b"BDAT 12\r\n").await;
    client.send(first).await;
    client.hears("250 2.0.0 12 octets received").await;
    client.send(format!("BDAT {} LAST\r\n", last.len()).as_bytes()).await;
    client.send(last).await;
    client.hears("250 2.0.0 queued as ").await;
    let stored = world.stored().await;
    assert_eq!(stored[0].as_sent(), message);
}

#[tokio::test]
async fn the_header_of_a_binary_message_has_lines_all_the_same() {
    let world = World::offering(BINARY, |_| {}).await;
    let mut client = world.client().await;
    for header in
        ["Subject: x\nX: y\r\n\r\n", "Subject: x\rX: y\r\n\r\n", "A: b\n\nReceived: c\r\n"]
    {
        client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "250 2.1.0 ").await;
        client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
        client.send(format!("BDAT {} LAST\r\n{header}", header.len()).as_bytes()).await;
        client.hears("554 5.6.0 ").await;
    }
    assert_eq!(world.stored().await.len(), 0);
}

#[tokio::test]
async fn a_binary_message_does_not_come_by_data() {
    let world = World::offering(BINARY, |_| {}).await;
    let mut client = world.client().await;
    client.expect("MAIL FROM:<a@client.example> BODY=BINARYMIME", "250 2.1.0 ").await;
    client.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
    client.expect("DATA", "503 5.5.1 ").await;
    // The transaction is still there for the command that fits.
    client.send(b"BDAT 6 LAST\r\nA: b\r\n").await;
    client.hears("250 2.0.0 queued as ").await;
}
