//! Transactions with a scripted peer.

use queue::DsnParameters;
use smtp::{Mailbox, Reply, ReversePath};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::scripted::Act::{Hears, HearsMessage, Says};
use crate::scripted::{Act, Peer};

const PIPELINING: &[&str] = &["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8"];
const BODY: &[u8] = b"Subject: x\r\n\r\n.x\r\n";

fn recipient(text: &str) -> Recipient {
    Recipient::new(Mailbox::parse(text).unwrap())
}

fn offering(keywords: &[&str]) -> Capabilities {
    let lines = [&["mx.example.org"], keywords].concat();
    Capabilities::of(&Reply::multiline(ReplyCode::OK, None, lines))
}

const MAIL: Mail<'_> = Mail {
    reverse_path: &ReversePath::Null,
    size: 20,
    body: BodyType::SevenBit,
    smtputf8: Smtputf8::NotRequested,
    dsn: &DsnParameters { ret: None, envid: None },
};

/// What comes of sending to two recipients, with a peer that follows `script`.
async fn send(
    mail: &Mail<'_>,
    keywords: &[&str],
    script: Vec<Act>,
) -> (Sent<Recipient>, Vec<String>) {
    let (stream, peer) = Peer::new(script);
    let mut dialogue = Dialogue::new(stream);
    let (capabilities, timeouts) = (offering(keywords), Timeouts::default());
    let transaction = Transaction::new(&mut dialogue, &capabilities, &timeouts);
    let to = ["b@example.org", "c@example.org"].map(recipient);
    let sent = transaction.send(mail, to.to_vec(), BODY).await;
    drop(dialogue);
    (sent, peer.heard().await)
}

/// A fate in short: the step or the kind, and the reply's code.
fn short(sent: &Sent<Recipient>) -> Vec<String> {
    let one = |(_, reply): &(Recipient, RecipientReply)| match reply {
        RecipientReply::Cut { step, error } => format!("cut {} {error:?}", step.as_str()),
        RecipientReply::InDoubt(error) => format!("in doubt {error:?}"),
        RecipientReply::Refused { step, reply } => {
            format!("refused {} {}", step.as_str(), reply.code())
        }
        RecipientReply::Taken(reply) => format!("taken {}", reply.code()),
        RecipientReply::Unfit(unfit) => format!("unfit {unfit:?}"),
        RecipientReply::Unreadable(kind) => format!("unreadable {kind:?}"),
    };
    sent.replies.iter().map(one).collect()
}

/// The whole envelope, before anything is replied.
fn pipelined(replies: &'static str, rest: Vec<Act>) -> Vec<Act> {
    let mut script = vec![
        Hears("MAIL FROM:<> SIZE=20"),
        Hears("RCPT TO:<b@example.org>"),
        Hears("RCPT TO:<c@example.org>"),
        Hears("DATA"),
        Says(replies),
    ];
    script.extend(rest);
    script
}

#[tokio::test]
async fn a_pipelined_envelope_goes_out_before_the_first_reply() {
    let script = pipelined(
        "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        vec![HearsMessage, Says("250 2.0.0 taken\r\n")],
    );
    let (sent, heard) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["taken 250", "taken 250"]);
    assert_eq!(sent.connection, Connection::Clean);
    assert_eq!(heard[4..], ["Subject: x", "", "..x", "."]);
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_the_last_reply() {
    let script = vec![
        Hears("MAIL FROM:<>"),
        Says("250 ok\r\n"),
        Hears("RCPT TO:<b@example.org>"),
        Says("250 ok\r\n"),
        Hears("RCPT TO:<c@example.org>"),
        Says("250 ok\r\n"),
        Hears("DATA"),
        Says("354 go\r\n"),
        HearsMessage,
        Says("250 taken\r\n"),
    ];
    let (sent, _) = send(&MAIL, &[], script).await;
    assert_eq!(short(&sent), ["taken 250", "taken 250"]);
}

#[tokio::test]
async fn a_message_of_exactly_the_size_that_a_host_takes_is_sent() {
    let script = pipelined(
        "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        vec![HearsMessage, Says("250 taken\r\n")],
    );
    let (sent, _) = send(&MAIL, &["PIPELINING", "SIZE 20"], script).await;
    assert_eq!(short(&sent), ["taken 250", "taken 250"]);
}

#[tokio::test]
async fn each_recipient_has_a_fate_of_its_own() {
    let script = pipelined(
        "250 ok\r\n550 5.1.1 who\r\n250 ok\r\n354 go\r\n",
        vec![HearsMessage, Says("250 taken\r\n")],
    );
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "taken 250"]);
    let script = pipelined(
        "250 ok\r\n451 4.2.0 later\r\n250 ok\r\n354 go\r\n",
        vec![HearsMessage, Says("554 5.6.0 ugly\r\n")],
    );
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 451", "refused the message 554"]);
    assert_eq!(sent.connection, Connection::Clean);
}

#[tokio::test]
async fn a_refused_sender_is_refused_for_all() {
    let all = pipelined("550 5.7.1 no\r\n503 no\r\n503 no\r\n503 no\r\n", vec![]);
    let (sent, _) = send(&MAIL, PIPELINING, all).await;
    assert_eq!(short(&sent), ["refused MAIL 550", "refused MAIL 550"]);
    let one = vec![Hears("MAIL"), Says("450 4.7.1 later\r\n"), Hears("(nothing more)")];
    let (sent, heard) = send(&MAIL, &[], one).await;
    assert_eq!(short(&sent), ["refused MAIL 450", "refused MAIL 450"]);
    assert_eq!(heard, ["MAIL FROM:<>", "(end)"]);
    assert_eq!(sent.connection, Connection::Open);
}

#[tokio::test]
async fn a_peer_that_wants_the_message_for_nobody_gets_an_empty_one() {
    let script = pipelined(
        "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n",
        vec![HearsMessage, Says("554 no valid recipients\r\n")],
    );
    let (sent, heard) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "refused RCPT 550"]);
    assert_eq!(heard[4..], ["."]);
    assert_eq!(sent.connection, Connection::Clean);
}

#[tokio::test]
async fn a_message_for_nobody_is_not_delivered_even_if_it_is_taken() {
    let script = pipelined(
        "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n",
        vec![HearsMessage, Says("250 taken\r\n")],
    );
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "refused RCPT 550"]);
}

#[tokio::test]
async fn refused_data_is_refused_for_those_who_were_accepted() {
    let script = pipelined("250 ok\r\n550 no\r\n250 ok\r\n451 4.3.0 later\r\n", vec![]);
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "refused DATA 451"]);
    assert_eq!(sent.connection, Connection::Open);
}

#[tokio::test]
async fn a_connection_that_breaks_keeps_the_replies_that_came_before() {
    let script = pipelined("250 ok\r\n550 no\r\n", vec![]);
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "cut RCPT Closed"]);
    assert_eq!(sent.connection, Connection::Lost);
    let script = pipelined("250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n", vec![]);
    let (sent, _) = send(&MAIL, PIPELINING, script).await;
    assert_eq!(short(&sent), ["refused DATA 421", "refused RCPT 421"]);
    assert_eq!(sent.connection, Connection::Lost);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_final_dot_leaves_doubt() {
    for last in [vec![HearsMessage], vec![HearsMessage, Says("354 what\r\n")]] {
        let script = pipelined("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", last);
        let (sent, _) = send(&MAIL, PIPELINING, script).await;
        let fates = short(&sent);
        assert!(fates[0].starts_with("in doubt"), "{fates:?}");
        assert_eq!(fates[1], "refused RCPT 550");
        assert_eq!(sent.connection, Connection::Lost);
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_one_is_not_believed() {
    for replies in [
        "250 ok\r\n250 ok\r\n250 ok\r\n250 taken, honestly\r\n",
        "354 go\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        "250 ok\r\n199 what\r\n250 ok\r\n354 go\r\n",
        "250 ok\r\n250-ok\r\n550 or not\r\n250 ok\r\n354 go\r\n",
    ] {
        let (sent, heard) = send(&MAIL, PIPELINING, pipelined(replies, vec![])).await;
        assert!(short(&sent).iter().any(|fate| fate.ends_with("Garbled")), "{replies}");
        assert_eq!(heard.len(), 4, "no message follows");
        assert_eq!(sent.connection, Connection::Lost);
    }
}

#[tokio::test]
async fn a_message_that_the_peer_cannot_take_is_not_begun() {
    let eight_bit = Mail { body: BodyType::EightBitMime, ..MAIL };
    let utf8 = Mail { smtputf8: Smtputf8::Requested, ..MAIL };
    let large = Mail { size: 1001, ..MAIL };
    let binary = Mail { body: BodyType::BinaryMime, ..MAIL };
    for (mail, keywords, expected) in [
        (eight_bit, &["SMTPUTF8"][..], "unfit EightBit"),
        (utf8, &["8BITMIME"], "unfit Smtputf8"),
        (binary, &["BINARYMIME", "8BITMIME"], "unfit Binary"),
        (binary, &["CHUNKING", "8BITMIME"], "unfit Binary"),
        (large, PIPELINING, "unfit TooLarge { size: 1001, limit: 1000 }"),
    ] {
        let (sent, heard) = send(&mail, keywords, vec![Hears("(nothing)")]).await;
        assert_eq!(short(&sent), [expected, expected]);
        assert_eq!(heard, ["(end)"]);
        assert_eq!(sent.connection, Connection::Clean);
    }
}

/// A peer that has said all this, and has room for so much of what it is told.
async fn far(room: usize, said: &str) -> (DuplexStream, DuplexStream) {
    let (near, mut far) = duplex(room);
    far.write_all(said.as_bytes()).await.unwrap();
    (near, far)
}

#[tokio::test(start_paused = true)]
async fn each_step_has_its_time_limit() {
    let (capabilities, timeouts) = (offering(&[]), Timeouts::default());
    let to = recipient("b@example.org");
    for (said, step, seconds) in [
        ("", "cut MAIL TimedOut", 300),
        ("250 ok\r\n", "cut RCPT TimedOut", 300),
        ("250 ok\r\n250 ok\r\n", "cut DATA TimedOut", 120),
        ("250 ok\r\n250 ok\r\n354 go\r\n", "in doubt TimedOut", 600),
    ] {
        let (near, _far) = far(64 * 1024, said).await;
        let mut dialogue = Dialogue::new(near);
        let began = tokio::time::Instant::now();
        let transaction = Transaction::new(&mut dialogue, &capabilities, &timeouts);
        let sent = transaction.send(&MAIL, vec![to.clone()], BODY).await;
        assert_eq!(short(&sent), [step]);
        assert_eq!(began.elapsed().as_secs(), seconds, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_the_message_has_the_time_of_a_block() {
    let (timeouts, to) = (Timeouts::default(), recipient("b@example.org"));
    let body = b"A line\r\n".repeat(100_000);
    let binary = Mail { body: BodyType::BinaryMime, size: 800_000, ..MAIL };
    let (asked, chunked) = ("250 ok\r\n250 ok\r\n354 go\r\n", "250 ok\r\n250 ok\r\n");
    for (mail, said, size, fate, last_words) in [
        (MAIL, asked, 800_000, "cut the message TimedOut", LAST_WORDS),
        (binary, chunked, 800_000, "cut the message TimedOut", LAST_WORDS),
        // In the last block the peer may have got the dot.
        (MAIL, asked, 8_000, "in doubt TimedOut", Duration::ZERO),
    ] {
        let capabilities = offering(&["CHUNKING", "BINARYMIME"]);
        let (near, _far) = far(1000, said).await;
        let mut dialogue = Dialogue::new(near);
        let began = tokio::time::Instant::now();
        let transaction = Transaction::new(&mut dialogue, &capabilities, &timeouts);
        let sent = transaction.send(&mail, vec![to.clone()], &body[..size]).await;
        assert_eq!(short(&sent), [fate]);
        assert_eq!(sent.connection, Connection::Lost);
        let limit = timeouts.data_block + last_words;
        assert_eq!(began.elapsed().as_secs(), limit.as_secs(), "{fate}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_each_block_in_time_may_take_longer_for_the_message() {
    let (timeouts, to) = (Timeouts::default(), recipient("b@example.org"));
    let body = b"A line\r\n".repeat(100_000);
    let (near, mut far) = far(32 * 1024, "250 ok\r\n250 ok\r\n354 go\r\n").await;
    let reading = async {
        let (mut heard, mut block) = (Vec::new(), vec![0; 32 * 1024]);
        while !heard.ends_with(b"\r\n.\r\n") {
            tokio::time::sleep(timeouts.data_block / 6).await;
            let length = far.read(&mut block).await.unwrap();
            heard.extend_from_slice(&block[..length]);
        }
        far.write_all(b"250 taken\r\n").await.unwrap();
    };
    let (capabilities, mut dialogue) = (offering(&[]), Dialogue::new(near));
    let began = tokio::time::Instant::now();
    let transaction = Transaction::new(&mut dialogue, &capabilities, &timeouts);
    let to = [to];
    let (sent, ()) = tokio::join!(transaction.send(&MAIL, to.to_vec(), &body[..]), reading);
    assert_eq!(short(&sent), ["taken 250"]);
    assert!(began.elapsed() > timeouts.data_block * 3, "{:?}", began.elapsed());
}

const CHUNKS: &[&str] = &["PIPELINING", "SIZE 1000", "CHUNKING", "BINARYMIME"];

/// A binary message as long as it says.
fn binary() -> Mail<'static> {
    Mail { body: BodyType::BinaryMime, size: u64::try_from(BODY.len()).unwrap(), ..MAIL }
}

/// The envelope of a binary message, which has no DATA.
fn chunked(replies: &'static str, rest: Vec<Act>) -> Vec<Act> {
    let mut script = vec![
        Hears("MAIL FROM:<> SIZE=18 BODY=BINARYMIME"),
        Hears("RCPT TO:<b@example.org>"),
        Hears("RCPT TO:<c@example.org>"),
        Says(replies),
    ];
    script.extend(rest);
    script
}

#[tokio::test]
async fn a_binary_message_goes_in_a_chunk_as_it_is_once_somebody_is_accepted() {
    let rest = vec![
        Hears("BDAT 18 LAST"),
        Hears("Subject: x"),
        Hears(""),
        Hears(".x"),
        Says("250 2.0.0 taken\r\n"),
    ];
    let (sent, heard) =
        send(&binary(), CHUNKS, chunked("250 ok\r\n550 5.1.1 who\r\n250 ok\r\n", rest)).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "taken 250"]);
    assert_eq!(sent.connection, Connection::Clean);
    assert_eq!(heard[3..], ["BDAT 18 LAST", "Subject: x", "", ".x"]);
    let script = chunked("250 ok\r\n550 no\r\n450 no\r\n", vec![Hears("(nothing more)")]);
    let (sent, heard) = send(&binary(), CHUNKS, script).await;
    assert_eq!(short(&sent), ["refused RCPT 550", "refused RCPT 450"]);
    assert_eq!((heard.len(), sent.connection), (4, Connection::Open));
}

#[tokio::test]
async fn a_chunk_is_answered_as_a_message_is() {
    let lines = || vec![Hears("BDAT 18 LAST"), Hears("Subject"), Hears(""), Hears(".x")];
    for (said, fate, connection) in [
        (None, "in doubt", Connection::Lost),
        (Some("garbage\r\n"), "in doubt", Connection::Lost),
        (Some("354 what\r\n"), "in doubt", Connection::Lost),
        (Some("421 4.3.2 bye\r\n"), "refused the message 421", Connection::Lost),
        (Some("451 4.3.0 later\r\n"), "refused the message 451", Connection::Clean),
        (Some("554 5.6.0 no\r\n"), "refused the message 554", Connection::Clean),
    ] {
        let mut rest = lines();
        rest.extend(said.map(Says));
        let script = chunked("250 ok\r\n250 ok\r\n250 ok\r\n", rest);
        let (sent, _) = send(&binary(), CHUNKS, script).await;
        let fates = short(&sent);
        assert!(fates.iter().all(|one| one.starts_with(fate)), "{said:?}: {fates:?}");
        assert_eq!(sent.connection, connection, "{said:?}");
    }
}

/// What a peer may do wrong at any step, and what it is called.
const FAULTS: [(&str, &str); 7] = [
    ("421 4.3.2 bye\r\n", "refused 421"),
    ("450 4.2.0 later\r\n", "refused 450"),
    ("550 5.7.1 no\r\n", "refused 550"),
    ("garbage\r\n", "Garbled"),
    ("250-fine\r\n550 or not\r\n", "Garbled"),
    ("", "Closed"),
    ("250", "Closed"),
];

/// A reply that is longer than any that is read.
fn endless() -> &'static str {
    "250-more\r\n".repeat(120_000).leak()
}

#[tokio::test]
async fn whatever_goes_wrong_before_the_message_nobody_has_it_and_it_says_where() {
    let faults = FAULTS.into_iter().chain([("250-", "Closed"), (endless(), "Endless")]);
    for (said, called) in faults {
        for (good, step) in [(0, "MAIL"), (1, "RCPT"), (3, "DATA")] {
            let lines = ["MAIL", "RCPT", "RCPT", "DATA"];
            let mut script = Vec::new();
            for line in lines.iter().take(good) {
                script.extend([Hears(line), Says("250 ok\r\n")]);
            }
            script.extend([Hears(lines[good]), Says(said)]);
            if step == "RCPT" && called.ends_with("0") {
                // The other one is refused as well.
                script.extend([Hears("RCPT"), Says(said)]);
            }
            let (sent, heard) = send(&MAIL, &[], script).await;
            let fates = short(&sent);
            for fate in &fates {
                let (kind, code) = called.split_once(' ').unwrap_or((called, ""));
                let named = if kind == "refused" {
                    *fate == format!("refused {step} {code}")
                } else {
                    fate.starts_with("cut ") && fate.ends_with(kind)
                };
                assert!(named || fate.ends_with(" 421"), "{said:?} at {step}: {fates:?}");
            }
            assert!(!heard.iter().any(|line| line.starts_with("Subject")), "{heard:?}");
            let lost = !called.starts_with("refused") || called.ends_with("421");
            let connection = if lost { Connection::Lost } else { Connection::Open };
            assert_eq!(sent.connection, connection, "{said:?} at {step}");
        }
    }
}

#[tokio::test]
async fn nothing_but_a_positive_reply_to_the_final_dot_is_a_delivery() {
    for (said, called) in FAULTS {
        let script =
            pipelined("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", vec![HearsMessage, Says(said)]);
        let (sent, _) = send(&MAIL, PIPELINING, script).await;
        let expected = match called.split_once(' ') {
            Some((_, code)) => format!("refused the message {code}"),
            None => format!("in doubt {called}"),
        };
        assert_eq!(short(&sent), [expected.clone(), expected], "{said:?}");
    }
}

#[tokio::test]
async fn behind_the_final_dot_a_code_that_is_known_counts_however_its_reply_ends() {
    let long = "250-2.0.0 queued, and more than that\r\n".repeat(2_000) + "250 2.0.0 queued\r\n";
    for (said, fate, connection) in [
        (&*long.leak(), "taken 250", Connection::Clean),
        ("250\n", "taken 250", Connection::Clean),
        ("250-", "taken 250", Connection::Lost),
        ("250-queued\r\n", "taken 250", Connection::Lost),
        ("250-queued\r\n250 2.0", "taken 250", Connection::Lost),
        ("250-queued\r\nand so on\r\n", "taken 250", Connection::Lost),
        (endless(), "taken 250", Connection::Lost),
        ("452-4.3.1 full\r\n", "refused the message 452", Connection::Lost),
        ("550-5.7.1 spam\r\n", "refused the message 550", Connection::Lost),
        ("354-go\r\n", "in doubt Garbled", Connection::Lost),
    ] {
        let script =
            pipelined("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", vec![HearsMessage, Says(said)]);
        let (sent, _) = send(&MAIL, PIPELINING, script).await;
        let said = said.get(..40).unwrap_or(said);
        assert_eq!(short(&sent), [fate, "refused RCPT 550"], "{said:?}");
        assert_eq!(sent.connection, connection, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_final_dot_a_known_code_counts_when_the_rest_does_not_come_in_time() {
    let (capabilities, timeouts) = (offering(&[]), Timeouts::default());
    let (to, mut ends) = (recipient("b@example.org"), Vec::new());
    for last in ["250-queued\r\n", "550-no\r\n", "25"] {
        let (near, _far) = far(64 * 1024, &format!("250 ok\r\n250 ok\r\n354 go\r\n{last}")).await;
        let mut dialogue = Dialogue::new(near);
        let transaction = Transaction::new(&mut dialogue, &capabilities, &timeouts);
        ends.extend(short(&transaction.send(&MAIL, vec![to.clone()], BODY).await));
    }
    assert_eq!(ends, ["taken 250", "refused the message 550", "in doubt TimedOut"]);
}
