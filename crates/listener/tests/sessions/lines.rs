//! What is no command line is never taken for one.

use crate::world::World;

#[tokio::test]
async fn what_is_no_line_gets_one_500_and_none_of_it_is_obeyed() {
    let long = "x".repeat(5000);
    let lines = [
        "NOOP\nMAIL FROM:<a@client.example>\r\n".to_owned(),
        "\nMAIL FROM:<a@client.example>\r\n".to_owned(),
        "NOOP\rMAIL FROM:<a@client.example>\r\n".to_owned(),
        "NOOP\r\rMAIL FROM:<a@client.example>\r\r\n".to_owned(),
        "MAIL FROM:<a@client.example>\0\r\n".to_owned(),
        "\0MAIL FROM:<a@client.example>\r\n".to_owned(),
        format!("NOOP {long}\r\n"),
        format!("{long}MAIL FROM:<a@client.example>\r\n"),
        format!("{long}\nMAIL FROM:<a@client.example>\r\n"),
        format!("{long}\rMAIL FROM:<a@client.example>\n\r\n"),
        format!("MAIL FROM:<a@client.example> {long}\r\n"),
    ];
    for line in lines {
        let world = World::new().await;
        let mut client = world.client().await;
        client.send(&line).await;
        client.hears("500 5.5.2 ").await;
        // The next reply is RCPT's, and there is no transaction.
        client.expect("RCPT TO:<b@far.example>", "503 5.5.1 ").await;
    }
}

#[tokio::test]
async fn a_line_may_come_in_pieces() {
    let world = World::new().await;
    let mut client = world.greeted().await;
    for piece in [&b"EH"[..], b"LO client.exam", b"ple", b"\r", b"\nNO", b"OP\r\n"] {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    client.hears("250-relay.example\r\n").await;
    client.hears("250 2.0.0 ").await;
}

#[tokio::test]
async fn a_long_line_within_the_limit_is_obeyed() {
    let world = World::new().await;
    let mut client = world.client().await;
    let noop = format!("NOOP {}", "x".repeat(2048 - "NOOP \r\n".len()));
    client.expect(&noop, "250 2.0.0 ").await;
    client.expect(&format!("{noop}x"), "500 5.5.2 ").await;
}

#[tokio::test]
async fn bytes_beyond_text_are_no_command() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.send(b"MAIL FROM:<\xff@client.example> SMTPUTF8\r\n").await;
    client.hears("500 5.5.2 ").await;
    client.send(b"\x16\x03\x01\x02\x05\x01\r\n").await;
    client.hears("500 5.5.2 ").await;
}
