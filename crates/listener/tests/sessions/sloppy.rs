//! Clients that keep to no standard and mean well: printers, scanners, old programs.

use listener::{AuthMode, CheckFrom, ProxyMode, Service, TlsMode};

use crate::world::World;

#[tokio::test]
async fn a_transaction_is_taken_as_old_clients_write_it() {
    let world = World::new().await;
    for (ehlo, mail, rcpt, from, to) in [
        ("EHLO x", "MAIL FROM:s@d.example", "RCPT TO:r@d.example", "<s@d.example>", "r@d.example"),
        (
            "ehlo\tx",
            "mail from:\t<s@d.example>",
            "rcpt to:\t<r@d.example>",
            "<s@d.example>",
            "r@d.example",
        ),
        (
            "HELO my_box ",
            "MAIL FROM:  s@d.example ",
            "RCPT TO:  r@d.example\t",
            "<s@d.example>",
            "r@d.example",
        ),
        (
            " HELO 10.0.0.7",
            " MAIL FROM:<s@d.example> ",
            " RCPT TO:<r@d.example> ",
            "<s@d.example>",
            "r@d.example",
        ),
        (
            "EHLO Bob's Computer",
            "MAIL FROM:<u..x@d.example>",
            "RCPT TO:<u.@d.example>",
            "<\"u..x\"@d.example>",
            "\"u.\"@d.example",
        ),
        (
            "EHLO 10.0.0.7",
            "MAIL FROM: .u@d.example SIZE=0 body=8bitmime",
            "RCPT TO: \"a b\"@d.example",
            "<\".u\"@d.example>",
            "\"a b\"@d.example",
        ),
        (
            "EHLO a_b",
            "MAIL FROM:<scanner@10.0.0.7>",
            "RCPT TO:<r@d.example>",
            "<scanner@[10.0.0.7]>",
            "r@d.example",
        ),
        ("EHLO x", "MAIL FROM: < >", "RCPT TO: < r@d.example >", "<>", "r@d.example"),
    ] {
        let mut client = world.greeted().await;
        client.expect(ehlo, "250").await;
        client.expect(mail, "250 2.1.0 ").await;
        client.expect(rcpt, "250 2.1.5 ").await;
        client.expect("DATA ", "354 ").await;
        let answer = client.message(b"Subject: x\r\n\r\n").await;
        let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
        let stored = world.stored().await.into_iter().find(|stored| stored.id == id).unwrap();
        assert_eq!((stored.from.as_str(), stored.recipients[0].as_str()), (from, to), "{mail}");
    }
}

#[tokio::test]
async fn a_machine_is_not_refused_for_a_name_in_another_encoding() {
    let world = World::new().await;
    let mut client = world.greeted().await;
    client.send(b"HELO M\xfcller-PC\r\n").await;
    client.hears("250 ").await;
    client.begin_message().await;
    client.message(b"Subject: x\r\n\r\n").await;
    let text = String::from_utf8(world.stored().await[0].bytes.clone()).unwrap();
    assert!(text.starts_with("Received: from M?ller-PC ("), "{text}");
}

#[tokio::test]
async fn what_is_not_clear_is_refused_with_a_reply_that_says_what() {
    let world = World::new().await;
    let mut client = world.client().await;
    for (line, answer) in [
        ("MAIL FROM:<s@d.example> X-MOON=1", "555 5.5.4 unknown parameter X-MOON"),
        ("MAIL FROM:<s@d.example> NOTIFY=NEVER", "555 5.5.4 unknown parameter NOTIFY"),
        ("MAIL FROM:s@d.example,t@d.example", "501 5.1.7 "),
        ("MAIL FROM:<s@d.example>,<t@d.example>", "501 5.1.7 "),
        ("MAIL FROM:", "501 5.1.7 "),
        ("MAIL FROM:<@d.example>", "501 5.1.7 "),
        ("", "500 5.5.2 "),
        ("   ", "500 5.5.2 "),
        ("NOOP \0", "500 5.5.2 NUL in a command line"),
        ("NOOP\nNOOP", "500 5.5.2 bare LF in a command line"),
        ("NOOP", "250 "),
    ] {
        client.expect(line, answer).await;
    }
}

#[tokio::test]
async fn a_first_line_that_is_no_field_does_not_join_the_received_field() {
    let world = World::new().await;
    let mbox = "From ann@a.example Mon Nov 30 10:00:00 2026\r\n";
    for (message, kept) in [
        ("words\r\n".to_owned(), "\r\nwords\r\n".to_owned()),
        (" indented: x\r\n".to_owned(), "\r\n indented: x\r\n".to_owned()),
        ("\tindented\r\nA: b\r\n".to_owned(), "\r\n\tindented\r\nA: b\r\n".to_owned()),
        ("From here on\r\n".to_owned(), "\r\nFrom here on\r\n".to_owned()),
        (format!("{mbox}words\r\n"), format!("\r\n{mbox}words\r\n")),
        (format!("{mbox}A: b\r\n\r\nc\r\n"), format!("X-Mailbox-Line: {mbox}A: b\r\n\r\nc\r\n")),
        (format!(">{mbox}A: b\r\n"), format!("X-Mailbox-Line: >{mbox}A: b\r\n")),
        ("A: b\r\nwords\r\n".to_owned(), "A: b\r\n\r\nwords\r\n".to_owned()),
        ("\r\n indented\r\n".to_owned(), "\r\n indented\r\n".to_owned()),
    ] {
        for by_chunks in [false, true] {
            let mut client = world.client().await;
            client.expect("MAIL FROM:<a@client.example>", "250 ").await;
            client.expect("RCPT TO:<b@far.example>", "250 ").await;
            let answer = if by_chunks {
                client.message_in_chunks(&message, 3).await
            } else {
                client.expect("DATA", "354 ").await;
                client.message(message.as_bytes()).await
            };
            let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
            let stored = world.stored().await.into_iter().find(|stored| stored.id == id).unwrap();
            let text = String::from_utf8(stored.bytes).unwrap();
            let (received, rest) = text.split_once(" +0000\r\n").unwrap();
            assert!(received.starts_with("Received: from "), "{text}");
            assert_eq!(rest, kept, "{message}");
        }
    }
}

#[tokio::test]
async fn where_from_is_checked_it_names_the_users_senders_alone() {
    let service = Service {
        tls: TlsMode::Implicit,
        auth: AuthMode::Optional,
        proxy: ProxyMode::Direct,
        binary: listener::BinaryMode::Withheld,
    };
    let world = World::offering(service, |s| s.check_from = CheckFrom::Yes).await;
    let mut client = world.connect_under_tls().await;
    client.hears("220 ").await;
    client.expect("EHLO client.example", "250-").await;
    client.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 ").await;
    let named = "550 5.7.1 From: you may not send as boss@far.example\r\n";
    let unclear = "550 5.7.1 From: one field with well-formed addresses is expected\r\n";
    for (header, reply) in [
        ("From: Ann <ann@client.example>\r\n\r\n", "250 2.0.0 "),
        (
            "Subject: x\r\nfrom : Ann\r\n <ann@CLIENT.example>, b@client.example\r\n\r\n",
            "250 2.0.0 ",
        ),
        ("Subject: x\r\n\r\nFrom: boss@far.example\r\n", "250 2.0.0 "),
        ("words\r\nFrom: boss@far.example\r\n", "250 2.0.0 "),
        ("From: boss@far.example\r\n\r\n", named),
        ("From: boss@far.example\r\n", named),
        ("X: y\r\nFROM: ann@client.example, Boss <boss@far.example>\r\n\r\n", named),
        ("From: boss@far.example <ann@client.example>\r\n\r\n", named),
        ("From: ann@client.example\r\nFrom: boss@far.example\r\n\r\n", unclear),
        ("From: <ann@client.example> <boss@far.example>\r\n\r\n", unclear),
        ("From 1:00\r\nFrom: boss@far.example\r\n\r\n", named),
    ] {
        client.begin_message().await;
        let answer = client.message(header.as_bytes()).await;
        assert!(answer.starts_with(reply), "{header}: {answer}");
    }
    // A host of a listed network passes on what others wrote.
    let mut host = world.connect_under_tls().await;
    host.hears("220 ").await;
    host.expect("EHLO client.example", "250-").await;
    host.begin_message().await;
    assert!(host.message(b"From: boss@far.example\r\n\r\n").await.starts_with("250 "));
}
