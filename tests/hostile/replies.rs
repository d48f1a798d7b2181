//! Replies of odd lengths and forms, at every step of a session (RFC 5321 §4.2.1).

use std::sync::Arc;

use testbed::{Act, Message, MxBehaviour, MxHost, Step};

use crate::world::{PATIENCE, RelayInWorld};

/// The steps of a session, each with the code that its reply has when all is well.
const STEPS: [(Step, &str); 10] = [
    (Step::Greeting, "220"),
    (Step::Ehlo, "250"),
    (Step::Starttls, "220"),
    (Step::MailFrom, "250"),
    (Step::RcptTo, "250"),
    (Step::Data, "354"),
    (Step::Taken, "250"),
    (Step::Rset, "250"),
    (Step::Auth, "235"),
    (Step::Quit, "221"),
];

/// Lines that stand before the usual ones of a reply with this code, in a form of their own.
fn shapes(code: &str) -> Vec<(&'static str, Vec<u8>)> {
    let line = |text: &[u8], end: &[u8]| [code.as_bytes(), b"-", text, end].concat();
    vec![
        ("fifty", line(&[b'x'; 89], b"\r\n").repeat(50)),
        ("hundred", line(b"short", b"\r\n").repeat(100)),
        ("thousand", line(b"a line of some length", b"\r\n").repeat(1_000)),
        ("long", line(&[b'x'; 1_996], b"\r\n")),
        ("huge", line(&[b'x'; 100_000], b"\r\n").repeat(3)),
        ("nocr", line(b"no carriage return", b"\n").repeat(3)),
        ("empty", line(b"", b"\r\n").repeat(20)),
        ("odd", line("h\u{f6}flich \u{202e}\u{1b}[31m\0\x07 \r 250 ok".as_bytes(), b"\r\n")),
        ("latin", line(b"\xff\xfe\x80", b"\r\n").repeat(2)),
    ]
}

/// A host that says much before its usual reply at each step.
fn wordy(shape: &str) -> MxBehaviour {
    let mut behaviour = MxBehaviour::valid();
    for (step, code) in STEPS {
        for (name, bytes) in shapes(code) {
            if name == shape {
                behaviour = behaviour.at(step, Act::Before(bytes));
            }
        }
    }
    behaviour
}

/// Waits until a host has taken so many messages, which are then all.
async fn taken(relay: &RelayInWorld, mx: &MxHost, count: usize) -> Vec<Arc<Message>> {
    let messages = mx.wait_for_messages(count, PATIENCE).await;
    let messages = messages.unwrap_or_else(|error| panic!("{error}\n{}", relay.story()));
    relay.empty().await;
    assert_eq!(mx.messages().len(), count, "{}", relay.story());
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_any_length_is_understood_at_every_step() {
    let relay = RelayInWorld::start_with("delivery.connection_idle = \"1s\"\n").await;
    for (shape, _) in shapes("250") {
        let domain = format!("{shape}.test");
        let mx = relay.enforcing_domain(&domain, wordy(shape)).await;
        // The second message begins with RSET on the connection of the first.
        for count in 1..=2 {
            relay.submit(&[&format!("<bob@{domain}>")]).await;
            taken(&relay, &mx, count).await;
        }
        assert_eq!(mx.connections().len(), 1, "{shape}: {}", relay.story());
        let said_rset = mx.connections()[0].commands.iter().any(|one| one.line == "RSET");
        assert!(said_rset, "{shape}: {}", relay.story());
        let quit = || {
            let commands = &mx.connections()[0].commands;
            commands.iter().any(|one| one.line == "QUIT").then_some(())
        };
        relay.until("QUIT", quit).await;
    }
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_any_length_is_understood_where_mail_needs_no_policy() {
    let relay = RelayInWorld::start().await;
    for (shape, _) in shapes("250") {
        let mx = relay.domain(&format!("{shape}.test"), wordy(shape)).await;
        relay.submit(&[&format!("<bob@{shape}.test>")]).await;
        let messages = taken(&relay, &mx, 1).await;
        assert!(messages[0].tls.is_some(), "{shape}: sent in clear");
    }
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_through_replies_of_any_length_and_offers_of_an_older_form() {
    for (shape, _) in shapes("250") {
        let route = "[[route]]\nrecipient = \"*\"\nnext_hop = \"[smtp.test]\"\n\
                     username = \"ann\"\npassword = \"s3cret\"\n";
        let relay = RelayInWorld::start_with(route).await;
        let behaviour = wordy(shape)
            .with_login(&["PLAIN", "LOGIN"], "ann", "s3cret")
            .offering_login_as("AUTH=PLAIN LOGIN");
        let smtp = relay.world.mx("smtp.test", behaviour).await;
        relay.submit(&["<bob@example.test>"]).await;
        taken(&relay, &smtp, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keywords_count_behind_two_hundred_others() {
    let relay = RelayInWorld::start().await;
    let mut others = String::new();
    for number in 0..200 {
        others.push_str(&format!("250-X-KEYWORD-{number} with some parameters of its own\r\n"));
    }
    let many = MxBehaviour::valid().at(Step::Ehlo, Act::Before(others.into_bytes()));
    let mx = relay.enforcing_domain("example.test", many).await;
    relay.submit(&["<bob@example.test>"]).await;
    let messages = taken(&relay, &mx, 1).await;
    assert!(messages[0].tls.is_some());
    let size = |parameter: &String| parameter.starts_with("SIZE=");
    assert!(messages[0].mail_parameters.iter().any(size), "{:?}", messages[0].mail_parameters);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_final_dot_was_answered_is_not_sent_again_however_the_reply_ends() {
    let relay = RelayInWorld::start().await;
    let endless = "250-2.0.0 queued as 4f2a\r\n".repeat(60_000);
    let endings = [
        ("hyphen", Act::ReplyAndDrop("250-queued".to_owned())),
        ("cut", Act::ReplyAndDrop("250-queued\r\n250 2.0.".to_owned())),
        ("bare", Act::Raw(b"250\r\n".to_vec())),
        ("barelf", Act::Raw(b"250\n".to_vec())),
        ("words", Act::ReplyAndDrop("250-queued\r\nas 4f2a".to_owned())),
        ("mixed", Act::Raw(b"250-queued\r\n252 as 4f2a\r\n".to_vec())),
        ("endless", Act::Raw(endless.into_bytes())),
    ];
    for (name, ending) in endings {
        let behaviour = MxBehaviour::valid().at(Step::Taken, ending);
        let mx = relay.enforcing_domain(&format!("{name}.test"), behaviour).await;
        let id = relay.submit(&[&format!("<bob@{name}.test>")]).await;
        relay.gone(id).await;
        relay.retry().await;
        assert_eq!(mx.messages().len(), 1, "{name}: {}", relay.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_the_final_dot_whose_lines_contradict_each_other_leaves_the_mail_waiting() {
    let relay = RelayInWorld::start().await;
    for (name, said) in [("yesno", "250-queued\r\n550 no\r\n"), ("noyes", "550-no\r\n250 yes\r\n")]
    {
        let behaviour = MxBehaviour::valid().at(Step::Taken, Act::Raw(said.into()));
        relay.domain(&format!("{name}.test"), behaviour).await;
        let id = relay.submit(&[&format!("<bob@{name}.test>")]).await;
        let reasons = relay.deferred(id, 1).await;
        assert!(reasons[0].text.contains("may have been delivered"), "{reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_says_reaches_people_as_plain_text_of_a_bounded_length() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let line = "550-5.7.1 \u{1b}[2Jh\u{f6}flich\u{202e}\u{2028}\x07 and more\r\n";
    let refusal = line.repeat(2_000) + "550 5.7.1 no\r\n";
    let refuses = MxBehaviour::valid().at(Step::RcptTo, Act::Raw(refusal.into_bytes()));
    relay.domain("example.test", refuses).await;
    relay.submit(&["<bob@example.test>"]).await;
    let report = &taken(&relay, &sender, 1).await[0];
    let text = String::from_utf8(report.data.clone()).unwrap();
    assert!(text.contains("h??flich") || text.contains("h?flich"), "{text}");
    let odd = |c: char| !(c.is_ascii_graphic() || matches!(c, ' ' | '\r' | '\n' | '\t'));
    assert!(!text.contains(odd), "{text}");
    assert!(text.len() < 24 * 1024, "{} octets", text.len());
    assert!(text.lines().all(|line| line.len() <= 998), "{text}");
}
