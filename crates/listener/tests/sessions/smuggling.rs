//! Nothing but CRLF `.` CRLF ends a message (RFC 5321 §4.1.1.4), and what looks like another end is
//! refused with the message it stands in, whoever sends it (CVE-2023-51764 and its kin).

use listener::BareNewlines;

use crate::world::World;

/// Every published form of a false end of data, and some more.
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r\r\n",
    b"\r\n.\r\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\r\n\r",
    b"\n\r.\n\r",
    b"\n\r\n.\n\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\0\n.\r\n",
    b"\r\n\r.\r\n",
    b"\n\n.\n\n",
    b"\r\n.\n\r\n.\n",
];

const SECOND: &[u8] = b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@far.example>\r\n\
    DATA\r\nSubject: smuggled\r\n\r\nsmuggled";

/// The false end with a message before and a message behind it.
fn with(false_end: &[u8]) -> Vec<u8> {
    [b"Subject: x\r\n\r\nfirst", false_end, SECOND, b"\r\n.\r\n"].concat()
}

#[tokio::test]
async fn no_false_end_splits_a_message_and_the_message_is_refused() {
    for false_end in FALSE_ENDS {
        // A true end follows one of the forms' bare CR: what is behind it are commands, as it
        // should be, and no lines of the message may be left over to be taken for them.
        let true_end_inside = false_end.windows(5).any(|five| five == b"\r\n.\r\n");
        let world = World::new().await;
        let mut client = world.sender().await;
        client.send(with(false_end)).await;
        client.hears("554 5.6.0 ").await;
        if !true_end_inside {
            client.expect("NOOP", "250 2.0.0 nothing done").await;
            client.send(b"QUIT\r\n").await;
            let rest = client.rest().await;
            assert!(rest.starts_with("221 "), "{false_end:?}: {rest:?}");
            assert_eq!(rest.lines().count(), 1, "{false_end:?}: {rest:?}");
        }
        let stored = world.stored().await;
        assert!(stored.iter().all(|stored| stored.from != "<evil@client.example>"), "{stored:?}");
        assert_eq!(world.queue.totals().messages, 0, "{false_end:?}");
    }
}

#[tokio::test]
async fn no_false_end_splits_a_message_however_it_is_cut() {
    let world = World::with(|s| s.limits.errors_per_connection = usize::MAX).await;
    let mut client = world.client().await;
    for false_end in FALSE_ENDS {
        if false_end.windows(5).any(|five| five == b"\r\n.\r\n") {
            continue;
        }
        let wire = with(false_end);
        let start = b"Subject: x\r\n\r\nfirst".len();
        for cut in start..=start + false_end.len() {
            client.begin_message().await;
            client.send(&wire[..cut]).await;
            tokio::task::yield_now().await;
            client.send(&wire[cut..]).await;
            client.hears("554 5.6.0 ").await;
            client.expect("RSET", "250 2.0.0 reset").await;
        }
    }
    assert_eq!(world.queue.totals().messages, 0);
}

#[tokio::test]
async fn a_false_end_as_the_first_line_splits_nothing_either() {
    for (first, repaired) in [
        // The dot of a line that is more than a dot is there for transparency (RFC 5321 §4.5.2).
        (&b".\n"[..], Some("\r\nQUIT\r\n")),
        (b".\r\r\n", None),
        (b".\r.\r\n", None),
        (b"\n.\r\n", Some("\r\n\r\nQUIT\r\n")),
    ] {
        for bare in [BareNewlines::Refused, BareNewlines::Repaired] {
            let kept = repaired.filter(|_| bare == BareNewlines::Repaired);
            let world = World::with(|s| s.submission.bare_newlines = bare).await;
            let mut client = world.sender().await;
            client.send([first, b"QUIT\r\n.\r\n"].concat()).await;
            client.hears(if kept.is_some() { "250 2.0.0 " } else { "554 5.6.0 " }).await;
            client.expect("NOOP", "250 2.0.0 nothing done").await;
            let stored = world.stored().await;
            let text = stored.first().map(|stored| String::from_utf8_lossy(stored.as_sent()));
            assert_eq!(stored.len(), usize::from(kept.is_some()), "{first:?}");
            assert_eq!(text.as_deref(), kept);
        }
    }
}

#[tokio::test]
async fn after_a_refused_message_the_next_one_is_taken() {
    let world = World::new().await;
    let mut client = world.sender().await;
    client.send(b"bare\nline\r\n.\r\n").await;
    let named =
        "554 5.6.0 message has a bare LF; submission.bare_newlines = \"repair\" accepts it\r\n";
    client.hears(named).await;
    client.begin_message().await;
    assert!(client.message(b"Subject: y\r\n\r\n").await.starts_with("250 2.0.0 "));
    assert_eq!(world.stored().await.len(), 1);
}

#[tokio::test]
async fn no_false_end_splits_a_message_that_is_repaired() {
    let mut repaired = 0;
    for false_end in FALSE_ENDS {
        let true_end_inside = false_end.windows(5).any(|five| five == b"\r\n.\r\n");
        let world = World::with(|s| s.submission.bare_newlines = BareNewlines::Repaired).await;
        let wire = with(false_end);
        let start = b"Subject: x\r\n\r\nfirst".len();
        for cut in start..=start + false_end.len() {
            let mut client = world.sender().await;
            client.send(&wire[..cut]).await;
            tokio::task::yield_now().await;
            client.send(&wire[cut..]).await;
            let answer = client.reply().await;
            if answer.starts_with("250 ") {
                repaired += 1;
            } else {
                assert!(answer.starts_with("554 5.6.0 message has a "), "{false_end:?}: {answer}");
                assert!(!answer.contains("bare LF"), "{false_end:?}: {answer}");
            }
            if !true_end_inside {
                client.send(b"QUIT\r\n").await;
                let rest = client.rest().await;
                assert!(rest.starts_with("221 ") && rest.lines().count() == 1, "{rest:?}");
            }
        }
        // What was to be smuggled is text of the one message that it stood in.
        for stored in world.stored().await {
            assert_eq!(stored.from, "<a@client.example>", "{false_end:?}");
            let text = String::from_utf8(stored.bytes).unwrap();
            assert!(text.contains("MAIL FROM:<evil@client.example>\r\n"), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
        }
    }
    assert!(repaired > 30, "{repaired}");
}

#[tokio::test]
async fn line_ends_that_lack_their_cr_are_repaired_where_that_is_asked_for() {
    let change = |s: &mut listener::ListenerSettings| {
        s.submission.bare_newlines = BareNewlines::Repaired;
        s.limits.line_length = 40;
    };
    let world = World::with(change).await;
    let mut client = world.client().await;
    for (sent, kept) in [
        (&b"Subject: x\n\nbody\n..\n...\n"[..], &b"Subject: x\r\n\r\nbody\r\n.\r\n..\r\n"[..]),
        (b"Subject: x\r\n\r\nmixed\nlines\r\n", b"Subject: x\r\n\r\nmixed\r\nlines\r\n"),
        // Each line is short, all of them together are not.
        (b"A: 1\nB: 2\n\n30 octets are in this line\nand 30 octets are in this one\n", b""),
    ] {
        let kept = if kept.is_empty() {
            String::from_utf8(sent.to_vec()).unwrap().replace('\n', "\r\n").into_bytes()
        } else {
            kept.to_vec()
        };
        for by_chunks in [false, true] {
            let answer = if by_chunks {
                // What is counted has no dots doubled.
                let plain = String::from_utf8(sent.to_vec()).unwrap().replace("\n..", "\n.");
                client.expect("MAIL FROM:<a@client.example>", "250 ").await;
                client.expect("RCPT TO:<b@far.example>", "250 ").await;
                client.send(format!("BDAT {} LAST\r\n", plain.len())).await;
                client.send(plain).await;
                client.reply().await
            } else {
                client.begin_message().await;
                // The last line end has to be whole for the end of data to be one.
                client.send([sent, b"\r\n.\r\n"].concat()).await;
                client.reply().await
            };
            assert!(answer.starts_with("250 "), "{answer}");
            let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
            let stored = world.stored().await.into_iter().find(|stored| stored.id == id).unwrap();
            let expected = if by_chunks { kept.clone() } else { [&kept[..], b"\r\n"].concat() };
            assert_eq!(
                String::from_utf8_lossy(stored.as_sent()),
                String::from_utf8_lossy(&expected),
                "by chunks: {by_chunks}"
            );
        }
    }
    client.begin_message().await;
    client.send(format!("A: {}\n\r\n.\r\n", "x".repeat(60))).await;
    client.hears("554 5.6.0 message has a line that is too long").await;
    client.begin_message().await;
    client.send(b"A: x\ry\n\r\n.\r\n").await;
    client.hears("554 5.6.0 message has a bare CR").await;
}
