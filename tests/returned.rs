//! Mail that comes back: when, to whom, and in what words (RFC 3464, RFC 5321 §6.1).

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders, PartType};
use testbed::{MxBehaviour, MxHost, PolicyBehaviour, PolicyText, Rule, Step};

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Nobody is told that mail is late: what comes is about its end.
const SILENT: &str = "delivery.delay_notice = \"0s\"";

/// A notification, taken apart by a library that the relay does not use to write it.
#[derive(Debug)]
struct Notification {
    /// What a person reads, in one line.
    words: String,
    /// What a program reads.
    status: String,
    /// The header of the message that is returned.
    returned: String,
}

/// Waits for the notification that the sender gets.
async fn notification(sender_mx: &MxHost) -> Notification {
    let messages = sender_mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let message = &messages[0];
    assert_eq!(message.reverse_path, "", "a notification is never answered");
    assert_eq!(message.recipients, ["ann@sender.test"]);
    let parsed = MessageParser::default().parse(&message.data).unwrap();
    let content_type = parsed.content_type().unwrap();
    assert_eq!((content_type.ctype(), content_type.subtype()), ("multipart", Some("report")));
    assert_eq!(content_type.attribute("report-type"), Some("delivery-status"));
    let submitted = parsed.header("Auto-Submitted").and_then(|value| value.as_text());
    assert_eq!(submitted, Some("auto-replied"), "RFC 3834 §5");

    let PartType::Multipart(parts) = &parsed.parts[0].body else { panic!("{}", message.text()) };
    let parts: Vec<_> =
        parts.iter().map(|part| &parsed.parts[usize::try_from(*part).unwrap()]).collect();
    let types: Vec<_> = parts
        .iter()
        .map(|part| {
            let content_type = part.content_type().unwrap();
            format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap())
        })
        .collect();
    assert_eq!(types, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    let text =
        |part: &mail_parser::MessagePart<'_>| String::from_utf8(part.contents().to_vec()).unwrap();
    let words = text(parts[0]).split_whitespace().collect::<Vec<_>>().join(" ");
    Notification { words, status: text(parts[1]), returned: text(parts[2]) }
}

impl Notification {
    /// The value of a field of the status part, unfolded.
    fn field(&self, name: &str) -> Option<String> {
        let unfolded = self.status.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_refused_in_a_verified_session_is_returned_to_the_sender() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().for_recipient("bob@example.test", "550 5.1.1 no Bob here");
    let mx = relay.enforcing_domain("example.test", refuses).await;
    let id = relay.submit(&["<bob@example.test>", "<eve@example.test>"]).await;

    let notification = notification(&sender).await;
    assert_eq!(notification.field("Reporting-MTA").as_deref(), Some("dns; relay.test"));
    let recipient = notification.field("Final-Recipient");
    assert_eq!(recipient.as_deref(), Some("rfc822; bob@example.test"));
    assert_eq!(notification.field("Action").as_deref(), Some("failed"));
    assert_eq!(notification.field("Status").as_deref(), Some("5.1.1"));
    assert_eq!(notification.field("Remote-MTA").as_deref(), Some("dns; mx.example.test"));
    let diagnostic = notification.field("Diagnostic-Code").unwrap();
    assert!(diagnostic.starts_with("smtp; 550") && diagnostic.ends_with("no Bob here"));
    assert!(notification.words.contains("no Bob here"), "{}", notification.words);
    assert!(notification.returned.contains("Subject: hello"), "{}", notification.returned);
    assert!(!notification.returned.contains("How are you?"), "the body is not returned");
    assert!(!notification.status.contains("eve@"), "{}", notification.status);
    assert_eq!(mx.messages()[0].recipients, ["eve@example.test"]);
    relay.gone(id).await;
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_refused_at_its_end_is_returned_for_all_its_recipients() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::EndOfData, "554 5.6.0 no such mail please");
    relay.enforcing_domain("example.test", refuses).await;
    relay.submit(&["<bob@example.test>", "<eve@example.test>"]).await;
    let notification = notification(&sender).await;
    for recipient in ["bob@example.test", "eve@example.test"] {
        assert!(notification.status.contains(recipient), "{}", notification.status);
    }
    relay.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_from_the_null_reverse_path_is_never_returned() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    let mx = relay.enforcing_domain("example.test", refuses).await;
    let id = relay.submit_from("<>", &["<bob@example.test>"]).await;
    relay.gone(id).await;
    relay.empty().await;
    assert_eq!((sender.messages().len(), mx.messages().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_is_refused_is_not_answered() {
    let relay = RelayInWorld::start().await;
    let refuses = || MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    let sender = relay.domain("sender.test", refuses()).await;
    relay.enforcing_domain("example.test", refuses()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.gone(id).await;
    relay.empty().await;
    let tried = sender.connections();
    let senders = tried.iter().flat_map(|connection| connection.envelope());
    let senders: Vec<_> = senders.filter(|command| command.line.starts_with("MAIL")).collect();
    assert_eq!(senders.len(), 1, "{senders:?}");
    assert!(senders[0].line.starts_with("MAIL FROM:<>"), "{senders:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_takes_no_mail_returns_it_at_once() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    relay.world.domain("nothing.test").null_mx();
    relay.submit(&["<bob@nothing.test>"]).await;
    let notification = notification(&sender).await;
    assert_eq!(notification.field("Status").as_deref(), Some("5.1.10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_does_not_exist_returns_mail_at_once() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    relay.submit(&["<bob@nowhere.test>"]).await;
    let notification = notification(&sender).await;
    assert_eq!(notification.field("Status").as_deref(), Some("5.1.2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_5xx_before_a_verified_session_returns_mail() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let ehlo = MxBehaviour::valid().at(Step::Ehlo, "554 5.7.1 no").at(Step::Helo, "554 5.7.1 no");
    let ehlo_in_tls = MxBehaviour::valid()
        .rule(Rule::new(Step::Ehlo, "554 5.7.1 no").in_tls())
        .rule(Rule::new(Step::Helo, "554 5.7.1 no").in_tls());
    let mut held = Vec::new();
    for (domain, behaviour) in [
        ("greeting.test", MxBehaviour::valid().at(Step::Greeting, "554 5.7.1 no")),
        ("ehlo.test", ehlo),
        ("ehlo-in-tls.test", ehlo_in_tls),
        ("starttls.test", MxBehaviour::starttls_refused("554 5.7.1 no")),
        ("starttls-syntax.test", MxBehaviour::starttls_refused("501 5.5.4 no")),
    ] {
        relay.enforcing_domain(domain, behaviour).await;
        held.push(relay.submit(&[&format!("<bob@{domain}>")]).await);
    }
    for id in &held {
        let reasons = relay.deferred(*id, 1).await;
        assert!(reasons[0].enhanced.to_string().starts_with("4."), "{reasons:?}");
    }
    relay.pass(DAY).await;
    for id in held {
        relay.deferred(id, 2).await;
    }
    assert_eq!(sender.messages(), []);
    assert!(relay.world.tap().envelope().is_empty(), "{}", relay.story());
}

/// What a policy domain has published when the lifetime of held mail ends.
async fn held_to_the_end(relay: &RelayInWorld) -> (MxHost, testbed::PolicyHost, queue::QueueId) {
    let mx = relay.domain("example.test", MxBehaviour::stripped()).await;
    let policy = PolicyText::enforce([mx.name()]).max_age(30 * DAY.as_secs());
    // The answer may be kept for long, so that a fresh look is one.
    relay.world.names().keep_for(DAY);
    let policy_host = relay.world.domain("example.test").sts("20300101").policy(policy).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.pass(5 * DAY - HOUR).await;
    relay.deferred(id, 2).await;
    (mx, policy_host, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_a_policy_held_to_its_end_is_returned_after_one_fresh_look() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let (mx, policy_host, id) = held_to_the_end(&relay).await;
    assert_eq!(sender.messages(), [], "not before its time");
    let (looks, fetches) =
        (relay.world.names().queries("_mta-sts.example.test"), policy_host.fetches().len());

    relay.pass(2 * HOUR).await;
    let notification = notification(&sender).await;
    for word in ["example.test", "mx.example.test", "20300101", "STARTTLS", "MTA-STS", "enforce"] {
        assert!(notification.words.contains(word), "{word} is not in: {}", notification.words);
    }
    assert_eq!(notification.field("Status").as_deref(), Some("5.7.10"));
    assert_eq!(notification.field("Remote-MTA").as_deref(), Some("dns; mx.example.test"));
    let recipient = notification.field("Final-Recipient");
    assert_eq!(recipient.as_deref(), Some("rfc822; bob@example.test"));
    relay.gone(id).await;
    assert!(relay.world.names().queries("_mta-sts.example.test") > looks, "the record anew");
    assert!(policy_host.fetches().len() > fetches, "the policy anew");
    assert!(mx.connections().iter().all(|connection| connection.envelope().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_the_fresh_look_finds_withdrawn_lets_the_mail_go() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let (mx, _policy_host, id) = held_to_the_end(&relay).await;
    // No attempt sees this new id, because the old one is still kept; the fresh look does.
    relay.world.domain("example.test").sts("20300105").policy(PolicyText::none()).await;
    relay.pass(2 * HOUR).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
    assert_eq!(sender.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_returned_though_the_fresh_look_fails() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let (mx, policy_host, id) = held_to_the_end(&relay).await;
    policy_host.behave(PolicyBehaviour::status(503));
    relay.world.names().fail("_mta-sts.example.test", testbed::Fault::ServFail);
    relay.pass(2 * HOUR).await;
    assert_eq!(notification(&sender).await.field("Status").as_deref(), Some("5.7.10"));
    relay.gone(id).await;
    assert_eq!(mx.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_a_host_that_never_answers_is_returned_at_its_end() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    mx.close().await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.pass(5 * DAY + HOUR).await;
    let notification = notification(&sender).await;
    assert_eq!(notification.field("Status").as_deref(), Some("5.4.7"));
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_returned_after_the_lifetime_that_is_set() {
    let relay = RelayInWorld::start_with(&format!("{SILENT}\ndelivery.lifetime = \"2h\"")).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    mx.close().await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.pass(2 * HOUR - Duration::from_secs(60)).await;
    relay.deferred(id, 2).await;
    assert_eq!(sender.messages(), [], "not before its time");
    relay.pass(Duration::from_secs(60)).await;
    assert_eq!(notification(&sender).await.field("Status").as_deref(), Some("5.4.7"));
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_bound_by_the_policy_of_the_senders_domain() {
    let relay = RelayInWorld::start_with(SILENT).await;
    let sender = relay.enforcing_domain("sender.test", MxBehaviour::stripped()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.enforcing_domain("example.test", refuses).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.gone(id).await;
    let bounce = relay.only().await;
    relay.deferred(bounce, 1).await;
    assert!(sender.connections().iter().all(|connection| connection.envelope().is_empty()));
    sender.behave(MxBehaviour::valid());
    relay.retry().await;
    assert!(notification(&sender).await.words.contains("nobody here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_for_a_host_is_returned_without_being_sent() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let small = MxBehaviour::valid().with_extension("SIZE 20");
    let mx = relay.enforcing_domain("example.test", small).await;
    assert!(MESSAGE.len() > 20);
    relay.submit_from(SENDER, &["<bob@example.test>"]).await;
    assert_eq!(notification(&sender).await.field("Status").as_deref(), Some("5.3.4"));
    assert!(mx.connections().iter().all(|connection| connection.envelope().is_empty()));
}
