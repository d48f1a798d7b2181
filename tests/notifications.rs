//! What senders are told besides failure, and what they may wish (RFC 3461, RFC 6533). What comes
//! back for good is in `returned`.

use std::sync::Arc;
use std::time::Duration;

use mail_parser::{Message as Parsed, MessageParser, MessagePart, MimeHeaders, PartType};
use queue::QueueId;
use testbed::{Message, MxBehaviour, MxHost, Sender, Step};

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER};

const HOUR: Duration = Duration::from_secs(3600);

/// A host that takes wishes for reports on, with the mail.
fn conforming() -> MxBehaviour {
    MxBehaviour::valid().with_extension("DSN")
}

/// Hands in a message whose paths carry parameters; its name in the queue.
async fn submit(relay: &RelayInWorld, from: &str, to: &[&str], message: &[u8]) -> QueueId {
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    let hello = client.ehlo("client.test").await.unwrap();
    assert!(hello.offers("DSN"), "{hello}");
    crate::world::submit(&mut client, from, to, message).await
}

/// The one notification that has come, taken apart by a library that does not write it.
#[derive(Debug)]
struct Notification {
    message: Arc<Message>,
}

async fn notification(sender_mx: &MxHost) -> Notification {
    let messages = sender_mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let message = Arc::clone(&messages[0]);
    assert_eq!(message.reverse_path, "", "a notification is never answered");
    Notification { message }
}

impl Notification {
    fn parsed(&self) -> Parsed<'_> {
        MessageParser::default().parse(&self.message.data).unwrap()
    }

    fn part<T>(&self, place: usize, look: impl FnOnce(&MessagePart<'_>) -> T) -> T {
        let parsed = self.parsed();
        let PartType::Multipart(parts) = &parsed.parts[0].body else { panic!() };
        assert_eq!(parts.len(), 3, "{}", self.message.text());
        look(&parsed.parts[usize::try_from(parts[place]).unwrap()])
    }

    /// The media types of its parts.
    fn types(&self) -> [String; 3] {
        [0, 1, 2].map(|place| {
            self.part(place, |part| {
                let content_type = part.content_type().unwrap();
                format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap())
            })
        })
    }

    fn subject(&self) -> String {
        self.parsed().subject().unwrap().to_owned()
    }

    /// What a program reads.
    fn status(&self) -> String {
        self.part(1, |part| String::from_utf8(part.contents().to_vec()).unwrap())
    }

    /// The values of a field of the status part, one for each group that has it.
    fn fields(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name}: ");
        let status = self.status();
        status.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_are_passed_on_to_a_host_that_takes_them_and_answered_by_it_alone() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mx = relay.enforcing_domain("example.test", conforming()).await;
    let id = submit(
        &relay,
        "<ann@sender.test> RET=FULL ENVID=a+20b",
        &[
            "<bob@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Robert+2Bx@example.test",
            "<eve@example.test> NOTIFY=NEVER",
            "<joe@example.test> ORCPT=utf-8;j\\x{F6}@example.test",
            "<sue@example.test>",
        ],
        MESSAGE,
    )
    .await;
    relay.gone(id).await;
    let message = &mx.messages()[0];
    assert_eq!(message.mail_parameters[1..], ["RET=FULL", "ENVID=a+20b"]);
    let wishes: Vec<String> =
        message.recipient_parameters.iter().map(|wishes| wishes.join(" ")).collect();
    assert_eq!(
        wishes,
        [
            "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Robert+2Bx@example.test",
            "NOTIFY=NEVER",
            "ORCPT=utf-8;j\\x{F6}@example.test",
            "",
        ]
    );
    relay.empty().await;
    assert_eq!(sender.messages(), []);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_success_is_told_that_mail_was_passed_on_to_a_host_without_reports() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", conforming()).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let id = submit(
        &relay,
        "<ann@sender.test> RET=FULL ENVID=a+20b+2Bc",
        &[
            "<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;Robert+2Bx@example.test",
            "<eve@example.test> NOTIFY=NEVER",
            "<sue@example.test>",
            "<tom@example.test> NOTIFY=FAILURE,DELAY",
        ],
        MESSAGE,
    )
    .await;
    let notification = notification(&sender).await;
    relay.gone(id).await;
    assert_eq!(mx.messages()[0].recipient_parameters, vec![Vec::<String>::new(); 4]);
    assert_eq!(notification.subject(), "Delivery Report (mail passed on)");
    assert_eq!(notification.fields("Original-Envelope-Id"), ["a b+c"]);
    assert_eq!(notification.fields("Original-Recipient"), ["rfc822; Robert+x@example.test"]);
    assert_eq!(notification.fields("Final-Recipient"), ["rfc822; bob@example.test"]);
    assert_eq!(notification.fields("Action"), ["relayed"]);
    assert_eq!(notification.fields("Status"), ["2.0.0"]);
    assert_eq!(notification.fields("Remote-MTA"), ["dns; mx.example.test"]);
    // RET is for failures: of what was passed on the headers are enough.
    assert_eq!(notification.types()[2], "text/rfc822-headers");
    // And nobody reports on the report.
    assert_eq!(notification.message.recipient_parameters, [["NOTIFY=NEVER"]]);
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_those_alone_who_did_not_decline() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = conforming().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.enforcing_domain("example.test", refuses).await;
    let id = submit(
        &relay,
        SENDER,
        &[
            "<a@example.test> NOTIFY=NEVER",
            "<b@example.test> NOTIFY=SUCCESS,DELAY",
            "<c@example.test> NOTIFY=FAILURE ORCPT=rfc822;first@example.test",
            "<d@example.test>",
        ],
        MESSAGE,
    )
    .await;
    let told = notification(&sender).await;
    relay.gone(id).await;
    assert_eq!(
        told.fields("Final-Recipient"),
        ["rfc822; c@example.test", "rfc822; d@example.test"]
    );
    assert_eq!(told.fields("Original-Recipient"), ["rfc822; first@example.test"]);
    assert_eq!(told.types(), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    // Where all have declined, nobody is told anything.
    let never = &["<a@example.test> NOTIFY=NEVER", "<b@example.test> NOTIFY=SUCCESS"];
    let id = submit(&relay, SENDER, never, MESSAGE).await;
    relay.gone(id).await;
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_failed_is_returned_whole_where_that_is_asked_for_and_it_is_small() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.enforcing_domain("example.test", refuses).await;
    let to = &["<bob@example.test>"];
    let large = [MESSAGE, &b"0123456789abcdef\r\n".repeat(4000)].concat();
    for (from, message, returned) in [
        ("<ann@sender.test> RET=FULL", MESSAGE, "message/rfc822"),
        ("<ann@sender.test> RET=HDRS", MESSAGE, "text/rfc822-headers"),
        ("<ann@sender.test> RET=FULL", &large, "text/rfc822-headers"),
    ] {
        let id = submit(&relay, from, to, message).await;
        let told = notification(&sender).await;
        relay.gone(id).await;
        assert_eq!(told.types()[2], returned, "{from}");
        assert_eq!(told.message.text().contains("How are you?"), returned == "message/rfc822");
        assert!(told.message.data.len() < 20_000);
        sender.forget_messages();
    }
    // One that is not ASCII makes the notification one that is not either.
    let message = [MESSAGE, b"\xc3\xa4\xff\r\n"].concat();
    let id = submit(&relay, "<ann@sender.test> RET=FULL BODY=8BITMIME", to, &message).await;
    let told = notification(&sender).await;
    relay.gone(id).await;
    assert!(told.message.mail_parameters.contains(&"BODY=8BITMIME".to_owned()));
    let end = b"How are you?\r\n\xc3\xa4\xff\r\n";
    let mut windows = told.message.data.windows(end.len());
    assert!(windows.any(|window| window == end), "{}", told.message.text());
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_once_to_those_who_want_to_know_even_over_a_restart() {
    let mut relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let later = MxBehaviour::valid().at(Step::RcptTo, "450 4.2.1 mailbox busy");
    let mx = relay.enforcing_domain("example.test", later).await;
    let id = submit(
        &relay,
        "<ann@sender.test> RET=FULL ENVID=late",
        &[
            "<a@example.test>",
            "<b@example.test> NOTIFY=DELAY ORCPT=rfc822;first@example.test",
            "<c@example.test> NOTIFY=FAILURE",
            "<d@example.test> NOTIFY=NEVER",
        ],
        MESSAGE,
    )
    .await;
    relay.deferred(id, 1).await;
    relay.pass(3 * HOUR).await;
    relay.deferred(id, 2).await;
    assert_eq!(sender.messages(), [], "not before its time");

    relay.pass(2 * HOUR).await;
    let told = notification(&sender).await;
    assert_eq!(told.subject(), "Delayed Mail (still being tried)");
    assert_eq!(told.fields("Action"), ["delayed", "delayed"]);
    assert_eq!(
        told.fields("Final-Recipient"),
        ["rfc822; a@example.test", "rfc822; b@example.test"]
    );
    assert_eq!(told.fields("Original-Recipient"), ["rfc822; first@example.test"]);
    assert_eq!(told.fields("Original-Envelope-Id"), ["late"]);
    assert_eq!(told.fields("Status"), ["4.2.1", "4.2.1"]);
    // The end of its lifetime, five days after it came.
    assert_eq!(told.fields("Will-Retry-Until"), ["Sun, 6 Jan 2030 00:00:00 +0000"; 2]);
    assert_eq!(told.types()[2], "text/rfc822-headers");
    relay.deferred(id, 3).await;

    relay.restart().await;
    relay.pass(5 * HOUR).await;
    relay.deferred(id, 4).await;
    mx.behave(MxBehaviour::valid());
    relay.pass(5 * HOUR).await;
    relay.gone(id).await;
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1, "once, and no word of its end");
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_after_which_a_delay_is_told_can_be_set_and_zero_is_never() {
    for (setting, told) in [("1h", 1), ("0s", 0)] {
        let relay = RelayInWorld::start_with(&format!("delivery.delay_notice = {setting:?}")).await;
        let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
        let later = MxBehaviour::valid().at(Step::RcptTo, "450 4.2.1 mailbox busy");
        relay.enforcing_domain("example.test", later).await;
        let id = relay.submit(&["<bob@example.test>"]).await;
        relay.deferred(id, 1).await;
        relay.pass(2 * HOUR).await;
        relay.deferred(id, 2).await;
        // A notification would be in the queue by now, or delivered.
        relay
            .until("the notification to leave", || {
                let left = relay.queue().totals().messages;
                (left == 1 && sender.messages().len() == told).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_from_the_null_reverse_path_is_reported_on_to_nobody() {
    let relay = RelayInWorld::start_with("delivery.delay_notice = \"1h\"").await;
    let later = MxBehaviour::valid().first(2, Step::RcptTo, "450 4.2.1 mailbox busy");
    let mx = relay.enforcing_domain("example.test", later).await;
    let id = submit(&relay, "<>", &["<b@example.test> NOTIFY=SUCCESS,DELAY"], MESSAGE).await;
    relay.deferred(id, 1).await;
    relay.pass(2 * HOUR).await;
    relay.deferred(id, 2).await;
    relay.pass(2 * HOUR).await;
    relay.gone(id).await;
    relay.empty().await;
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_by_a_policy_says_which_and_what_can_be_done() {
    let relay = RelayInWorld::start_with("delivery.delay_notice = \"1h\"").await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::stripped()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.pass(2 * HOUR).await;
    let told = notification(&sender).await;
    let words = told.part(0, |part| String::from_utf8(part.contents().to_vec()).unwrap());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in ["example.test (id 1, mode enforce)", mx.name(), "held back", "postmaster"] {
        assert!(words.contains(expected), "{expected:?} is not in: {words}");
    }
    assert_eq!(told.fields("Status"), ["4.7.10"]);
    assert!(mx.connections().iter().all(|connection| connection.envelope().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalised_mail_is_reported_on_in_its_own_form() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.enforcing_domain("example.test", refuses).await;
    submit(
        &relay,
        "<\u{e4}nn@sender.test> SMTPUTF8 RET=FULL",
        &["<b\u{f6}b@example.test> ORCPT=utf-8;b\\x{F6}b@example.test"],
        "From: \u{e4}nn@sender.test\r\nSubject: \u{fc}ber\r\n\r\nx\r\n".as_bytes(),
    )
    .await;
    let told = notification(&sender).await;
    assert_eq!(told.types(), ["text/plain", "message/global-delivery-status", "message/global"]);
    assert_eq!(told.fields("Final-Recipient"), ["utf-8; b\u{f6}b@example.test"]);
    assert_eq!(told.fields("Original-Recipient"), ["utf-8; b\u{f6}b@example.test"]);
    assert!(told.message.mail_parameters.contains(&"SMTPUTF8".to_owned()));
    assert!(told.message.text().contains("Subject: \u{fc}ber"));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_needs_smtputf8_is_returned_by_a_host_without_it_with_what_to_do() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let old = MxBehaviour::valid().without_extension("SMTPUTF8");
    let mx = relay.enforcing_domain("example.test", old).await;
    let from = "<ann@sender.test> SMTPUTF8";
    let utf8 = [b"Comments: \xc3\xa4\r\n", MESSAGE].concat();
    for (to, message) in [("<bob@example.test>", &utf8[..]), ("<b\u{f6}b@example.test>", MESSAGE)] {
        let id = submit(&relay, from, &[to], message).await;
        let told = notification(&sender).await;
        relay.gone(id).await;
        assert_eq!(told.fields("Status"), ["5.6.7"]);
        let words = told.part(0, |part| String::from_utf8(part.contents().to_vec()).unwrap());
        let advice = ["SMTPUTF8", "ASCII", "encoded"];
        assert!(advice.iter().all(|word| words.contains(word)), "{words}");
        sender.forget_messages();
    }
    assert_eq!(mx.messages(), []);
    relay.is_well_behaved();
}

/// Hands in a message in two chunks; its name in the queue.
async fn submit_binary(relay: &RelayInWorld, message: &[u8]) -> QueueId {
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().offers("BINARYMIME"));
    client.mail("<ann@sender.test> BODY=BINARYMIME").await.unwrap();
    client.rcpt("<bob@example.test>").await.unwrap();
    let (first, last) = message.split_at(message.len() / 2);
    client.write(&[format!("BDAT {}\r\n", first.len()).as_bytes(), first].concat()).await.unwrap();
    assert_eq!(client.read_reply().await.unwrap().code, 250);
    let chunk = [format!("BDAT {} LAST\r\n", last.len()).as_bytes(), last].concat();
    client.write(&chunk).await.unwrap();
    let reply = client.read_reply().await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    reply.text().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Octets that no DATA could carry.
const BINARY: &[u8] = b"Subject: x\r\n\r\n\x00.\n.\r\n.\r\n\n\r\xff";

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_message_reaches_a_host_that_takes_such_byte_for_byte() {
    let relay = RelayInWorld::start_offering("binarymime = \"on\"", "").await;
    let takes = MxBehaviour::valid().with_extension("CHUNKING").with_extension("BINARYMIME");
    let mx = relay.enforcing_domain("example.test", takes).await;
    let id = submit_binary(&relay, BINARY).await;
    relay.gone(id).await;
    let message = &mx.messages()[0];
    assert!(message.data.ends_with(BINARY), "{}", message.text());
    assert!(message.data.starts_with(b"Received: "), "{}", message.text());
    assert!(message.mail_parameters.contains(&"BODY=BINARYMIME".to_owned()));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_message_is_returned_by_a_host_that_does_not_take_such_with_what_to_do() {
    let relay = RelayInWorld::start_offering("binarymime = \"on\"", "").await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let id = submit_binary(&relay, BINARY).await;
    let told = notification(&sender).await;
    relay.gone(id).await;
    assert_eq!(told.fields("Status"), ["5.6.3"]);
    assert_eq!(told.types()[2], "text/rfc822-headers");
    let words = told.part(0, |part| String::from_utf8(part.contents().to_vec()).unwrap());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("BINARYMIME") && words.contains("base64"), "{words}");
    assert!(mx.connections().iter().all(|connection| connection.envelope().is_empty()));
}

/// Hands in a message for so many recipients of one domain.
async fn submit_to_many(relay: &RelayInWorld, count: usize) -> QueueId {
    let to: Vec<String> = (0..count).map(|n| format!("<r{n}@example.test>")).collect();
    relay.submit(&to.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_whom_a_host_has_no_room_for_get_the_message_in_a_further_transaction() {
    for reply in ["452 4.5.3 too many recipients", "552 5.5.3 too many", "452 too many"] {
        for pipelining in [true, false] {
            let relay = RelayInWorld::start().await;
            let small = MxBehaviour::valid().with_recipient_limit(3, reply);
            let small = if pipelining { small } else { small.without_extension("PIPELINING") };
            let mx = relay.enforcing_domain("example.test", small).await;
            let id = submit_to_many(&relay, 8).await;
            relay.gone(id).await;
            let taken: Vec<_> =
                mx.messages().iter().map(|message| message.recipients.clone()).collect();
            assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2], "{reply}");
            let mut all = taken.concat();
            all.sort();
            assert_eq!(all, (0..8).map(|n| format!("r{n}@example.test")).collect::<Vec<_>>());
            assert_eq!(mx.connections().len(), 1, "in one attempt, on one connection");
            relay.is_well_behaved();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_a_host_tells_of_are_kept() {
    let relay = RelayInWorld::start().await;
    let told = MxBehaviour::valid().with_extension("LIMITS RCPTMAX=3 RCPTDOMAINMAX=1 MAILMAX=10");
    let mx = relay.enforcing_domain("example.test", told).await;
    let id = submit_to_many(&relay, 8).await;
    relay.gone(id).await;
    let connections = mx.connections();
    let envelope = connections[0].envelope();
    let named = envelope.iter().filter(|command| command.line.starts_with("RCPT")).count();
    assert_eq!(named, 8, "nobody was named in vain");
    let taken: Vec<_> = mx.messages().iter().map(|message| message.recipients.len()).collect();
    assert_eq!(taken, [3, 3, 2]);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_no_more_messages_on_a_connection_than_it_wants() {
    let relay = RelayInWorld::start().await;
    let told = MxBehaviour::valid().with_extension("LIMITS RCPTMAX=5 MAILMAX=1");
    let mx = relay.enforcing_domain("example.test", told).await;
    let id = submit_to_many(&relay, 8).await;
    relay.deferred(id, 1).await;
    assert_eq!(mx.messages().len(), 1);
    relay.retry().await;
    relay.gone(id).await;
    assert_eq!(mx.messages()[1].recipients.len(), 3);
    for connection in mx.connections() {
        let envelope = connection.envelope();
        assert!(envelope.iter().filter(|c| c.line.starts_with("MAIL")).count() <= 1);
    }
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_8_bit_message_is_returned_by_a_host_without_8bitmime_and_one_that_only_says_so_is_not()
{
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let old = MxBehaviour::valid().without_extension("8BITMIME").without_extension("SMTPUTF8");
    let mx = relay.enforcing_domain("example.test", old).await;
    let (from, to) = ("<ann@sender.test> BODY=8BITMIME", &["<bob@example.test>"]);
    let id = submit(&relay, from, to, MESSAGE).await;
    relay.gone(id).await;
    assert!(mx.messages()[0].mail_parameters.iter().all(|one| !one.starts_with("BODY")));
    mx.forget_messages();
    let id = submit(&relay, from, to, &[MESSAGE, b"\xc3\xa4\r\n"].concat()).await;
    let told = notification(&sender).await;
    relay.gone(id).await;
    assert_eq!(told.fields("Status"), ["5.6.3"]);
    let words = told.part(0, |part| String::from_utf8(part.contents().to_vec()).unwrap());
    assert!(words.contains("8BITMIME") && words.contains("quoted-printable"), "{words}");
    assert_eq!(mx.messages(), []);
    relay.is_well_behaved();
}
