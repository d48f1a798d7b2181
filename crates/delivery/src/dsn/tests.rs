//! Notifications, read back by another program's parser.

use std::time::{Duration, SystemTime};

use mail::{QueueId, Reason, ReasonClass, Recipient};
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use smtp::{Class, Domain, EnhancedCode, EnvelopeId, Mailbox, OriginalRecipient};

use super::*;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn recipient(text: &str) -> Recipient {
    Recipient::new(mailbox(text))
}

fn reason(detail: u16, text: &str) -> Reason {
    Reason::new(ReasonClass::Other, EnhancedCode::new(Class::Permanent, 7, detail), text)
}

/// What a case tells of a recipient.
#[derive(Clone)]
enum Tale {
    Delayed(Reason),
    Failed(Reason),
    Relayed,
}

impl Tale {
    fn news(&self) -> News<'_> {
        match self {
            Self::Delayed(reason) => News::Delayed(reason),
            Self::Failed(reason) => News::Failed(reason),
            Self::Relayed => {
                let (mx, addr) = ("mx.example.org", "[2001:db8::1]:25".parse().ok());
                News::Relayed { mx, addr, reply: "250 2.0.0 taken" }
            }
        }
    }
}

struct Case {
    message: queue::Message,
    tales: Vec<(Recipient, Tale)>,
    head: Vec<u8>,
    whole: bool,
}

impl Case {
    fn new() -> Self {
        let refused = Reason {
            mx: Some("mx.example.org".to_owned()),
            reply: Some("550 5.1.1 nobody of that name".to_owned()),
            ..Reason::new(
                ReasonClass::Other,
                EnhancedCode::new(Class::Permanent, 1, 1),
                "mx.example.org refused it",
            )
        };
        Self {
            message: queue::Message {
                reverse_path: smtp::ReversePath::Mailbox(mailbox("\"a b\"@example.com")),
                body: smtp::BodyType::SevenBit,
                smtputf8: Smtputf8::NotRequested,
                received_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_000_000),
                size: 100,
                dsn: queue::DsnParameters::default(),
                purpose: queue::Purpose::Mail,
                tls: mail::TlsRequired::Unspecified,
            },
            tales: vec![(recipient("b@example.org"), Tale::Failed(refused))],
            head: b"From: a@example.com\r\nSubject: news\r\n\r\nthe secret body\r\n".to_vec(),
            whole: false,
        }
    }

    fn of(tale: Tale) -> Self {
        Self { tales: vec![(recipient("b@example.org"), tale)], ..Self::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let about: Vec<About<'_>> = self
            .tales
            .iter()
            .map(|(recipient, tale)| About { recipient, news: tale.news() })
            .collect();
        let notification = Notification {
            hostname: &Domain::parse("relay.example.com").unwrap(),
            id: QueueId::from_number(7),
            boundary: "boundary/1",
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            sender: self.message.reverse_path.mailbox().unwrap(),
            message_id: QueueId::from_number(5),
            message: &self.message,
            retry_until: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_100_000)),
            about: &about,
            returned: if self.whole {
                Returned::Whole(&self.head)
            } else {
                Returned::Header(&self.head)
            },
        };
        notification.to_bytes()
    }

    fn write(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// The reason of the first recipient.
    fn reason(&mut self) -> &mut Reason {
        match &mut self.tales[0].1 {
            Tale::Delayed(reason) | Tale::Failed(reason) => reason,
            Tale::Relayed => panic!(),
        }
    }
}

fn parse(text: &str) -> Message<'_> {
    MessageParser::default().parse(text).unwrap()
}

/// The text of the part at `place` below the multipart.
fn part<'a>(message: &'a Message<'_>, place: usize) -> &'a str {
    let PartType::Multipart(parts) = &message.parts[0].body else { panic!() };
    let part = message.part(parts[place]).unwrap();
    match &part.body {
        PartType::Text(text) => text,
        PartType::Binary(bytes) => std::str::from_utf8(bytes).unwrap(),
        PartType::Html(_)
        | PartType::InlineBinary(_)
        | PartType::Message(_)
        | PartType::Multipart(_) => panic!("{:?}", part.body),
    }
}

#[test]
fn a_notification_is_a_report_that_another_program_can_read() {
    let text = Case::new().write();
    let message = parse(&text);
    let content_type = message.content_type().unwrap();
    assert_eq!(content_type.ctype(), "multipart");
    assert_eq!(content_type.subtype(), Some("report"));
    assert_eq!(content_type.attribute("report-type"), Some("delivery-status"));
    assert_eq!(message.header_raw("Auto-Submitted").unwrap().trim(), "auto-replied");
    assert_eq!(
        message.from().unwrap().first().unwrap().address(),
        Some("MAILER-DAEMON@relay.example.com")
    );
    assert_eq!(message.header_raw("To").unwrap().trim(), "\"a b\"@example.com");
    assert_eq!(message.message_id(), Some("0000000000007@relay.example.com"));
    assert_eq!(message.date().unwrap().to_timestamp(), 1_800_000_000);

    let status = part(&message, 1);
    for line in [
        "Reporting-MTA: dns; relay.example.com\r\n",
        "X-STS-Relay-Queue-ID: 0000000000005\r\n",
        "Final-Recipient: rfc822; b@example.org\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx.example.org\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 nobody of that name\r\n",
    ] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    assert!(part(&message, 2).contains("Subject: news"));
    assert!(!text.contains("secret"), "the body is not returned");
}

#[test]
fn the_status_part_has_no_charset() {
    let text = Case::new().write();
    assert!(text.contains("Content-Type: message/delivery-status\r\n"));
    assert!(text.contains("Content-Type: text/rfc822-headers\r\n"));
}

#[test]
fn every_recipient_has_a_group_of_its_own() {
    let mut case = Case::new();
    case.tales.push((recipient("c@example.org"), Tale::Failed(reason(1, "because"))));
    let text = case.write();
    let message = parse(&text);
    let groups: Vec<&str> = part(&message, 1).trim_end().split("\r\n\r\n").collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert!(groups[2].contains("Final-Recipient: rfc822; c@example.org"));
    assert!(groups[2].contains("Diagnostic-Code: X-STS-Relay; because"));
}

#[test]
fn a_policy_failure_says_what_failed_and_what_to_do() {
    let why = Reason {
        policy: Some("sts id=a1 mode=enforce".to_owned()),
        mx: Some("mx.example.org".to_owned()),
        ..reason(
            5,
            "not delivered in 5 days: the MTA-STS policy of example.org (id a1, mode enforce) is \
             not met by any of its hosts: mx.example.org: TLS failed: certificate expired",
        )
    };
    let text = Case::of(Tale::Failed(why)).write();
    let message = parse(&text);
    let words = part(&message, 0).replace("\r\n", " ");
    for expected in [
        "b@example.org",
        "policy of example.org (id a1, mode enforce)",
        "mx.example.org: TLS failed: certificate expired",
        "nothing of it was sent unprotected",
        "pass this report on to its postmaster",
    ] {
        assert!(words.contains(expected), "{expected:?} in {words}");
    }
    assert!(part(&message, 1).contains("Status: 5.7.5\r\n"));
}

#[test]
fn a_temporary_code_becomes_a_permanent_one() {
    let mut case = Case::new();
    case.reason().enhanced = EnhancedCode::new(Class::PersistentTransient, 4, 1);
    assert!(case.write().contains("Status: 5.4.1\r\n"));
}

#[test]
fn a_notification_is_7_bit_and_its_lines_are_short_whatever_it_answers() {
    let mut case = Case::new();
    case.reason().reply = Some(format!("550 \u{fc}ber {}\nBcc: x\r\n\r\nx", "long ".repeat(900)));
    case.reason().text = "x".repeat(5000);
    case.head = ["Subject: \u{fc}\r\n", "X: ", &"y".repeat(5000), "\r\n\r\n"].concat().into_bytes();
    let text = case.write();
    assert!(text.is_ascii());
    for line in text.split_terminator("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
    let message = parse(&text);
    assert!(message.header_raw("Bcc").is_none());
    let PartType::Multipart(parts) = &message.parts[0].body else { panic!() };
    assert_eq!(parts.len(), 3);
}

#[test]
fn returned_headers_are_bounded_and_end_with_a_whole_line() {
    let mut case = Case::new();
    case.head = b"X-Long: line\r\n".repeat(10_000);
    let text = case.write();
    assert!(text.len() < RETURNED_HEADER_MAX * 2);
    let message = parse(&text);
    let returned = part(&message, 2).trim_end().to_owned();
    assert!(returned.lines().all(|line| line == "X-Long: line"), "{returned:?}");
    // A head that was cut in the middle of a line.
    case.head = b"A: b\r\nX-Cut: of".to_vec();
    assert!(!case.write().contains("X-Cut"));
}

#[test]
fn a_body_that_no_empty_line_parts_from_the_header_is_not_returned_as_header() {
    for line in ["words", "From ann@a.example 10:00", ": x", "\u{fc}: x"] {
        let mut case = Case::new();
        case.head = format!("A: b\r\n c\r\nD : e\r\n{line}\r\nBody: x\r\n\r\n").into_bytes();
        let text = case.write();
        assert!(text.contains("\r\nA: b\r\n c\r\nD : e\r\n\r\n--"), "{text}");
        assert!(!text.contains("Body: x"), "{text}");
    }
}

#[test]
fn internationalised_mail_is_answered_in_kind() {
    let mut case = Case::new();
    case.message.smtputf8 = Smtputf8::Requested;
    case.message.reverse_path = smtp::ReversePath::Mailbox(mailbox("\u{fc}nal@example.com"));
    case.tales[0].0 = recipient("\u{e9}@example.org");
    case.tales[0].0.orcpt = OriginalRecipient::parse("utf-8;j\\x{F6}rg@example.org");
    case.head = "Subject: \u{fc}ber\r\n\r\n".as_bytes().to_vec();
    let text = case.write();
    for line in [
        "To: \u{fc}nal@example.com\r\n",
        "Content-Type: message/global-delivery-status\r\n",
        "Content-Type: message/global-headers\r\n",
        "Original-Recipient: utf-8; j\u{f6}rg@example.org\r\n",
        "Final-Recipient: utf-8; \u{e9}@example.org\r\n",
        "Subject: \u{fc}ber\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
}

#[test]
fn what_the_sender_said_of_the_message_stands_in_the_report_decoded() {
    let mut case = Case::new();
    case.message.dsn.envid = EnvelopeId::parse("QQ+20314159");
    case.tales[0].0.orcpt = OriginalRecipient::parse("rfc822;Bob+2Bnews@example.com");
    case.tales.push((recipient("c@example.org"), Tale::Failed(reason(1, "because"))));
    // Without SMTPUTF8 an address beyond ASCII keeps its encoded form.
    case.tales[1].0.orcpt = OriginalRecipient::parse("utf-8;j\\x{F6}rg@example.com");
    let text = case.write();
    let message = parse(&text);
    let status = part(&message, 1);
    assert!(status.starts_with("Original-Envelope-Id: QQ 314159\r\n"), "{status}");
    for lines in [
        "\r\n\r\nOriginal-Recipient: rfc822; Bob+news@example.com\r\nFinal-Recipient: rfc822; b@",
        "\r\n\r\nOriginal-Recipient: utf-8; j\\x{F6}rg@example.com\r\nFinal-Recipient: rfc822; c@",
    ] {
        assert!(status.contains(lines), "{lines:?} in {status}");
    }
    assert!(text.is_ascii());
}

#[test]
fn a_delay_is_told_as_one_with_the_end_of_the_attempts() {
    let late = Reason::new(
        ReasonClass::Other,
        EnhancedCode::new(Class::PersistentTransient, 4, 1),
        "nobody answers",
    );
    let text = Case::of(Tale::Delayed(late)).write();
    let message = parse(&text);
    assert_eq!(message.subject(), Some("Delayed Mail (still being tried)"));
    let status = part(&message, 1);
    for line in [
        "Action: delayed\r\n",
        "Status: 4.4.1\r\n",
        "Diagnostic-Code: X-STS-Relay; nobody answers\r\n",
        "Will-Retry-Until: Sat, 16 Jan 2027 11:46:40 +0000\r\n",
    ] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    let words = part(&message, 0).replace("\r\n", " ");
    assert!(words.contains("you need not send it again"), "{words}");
    assert!(words.contains("Attempts go on until Sat, 16 Jan 2027"), "{words}");
}

#[test]
fn mail_held_back_by_a_policy_is_told_to_leave_by_itself_once_that_is_mended() {
    let held = Reason {
        policy: Some("sts id=a1 mode=enforce".to_owned()),
        ..reason(10, "the MTA-STS policy of example.org (id a1, mode enforce) is not met")
    };
    let text = Case::of(Tale::Delayed(held)).write();
    let words = part(&parse(&text), 0).replace("\r\n", " ");
    for expected in ["is held back", "(id a1, mode enforce)", "leaves by itself", "postmaster"] {
        assert!(words.contains(expected), "{expected:?} in {words}");
    }
    assert!(!words.contains("whole lifetime"), "{words}");
}

#[test]
fn mail_that_was_passed_on_is_told_of_as_relayed() {
    let text = Case::of(Tale::Relayed).write();
    let message = parse(&text);
    assert_eq!(message.subject(), Some("Delivery Report (mail passed on)"));
    let status = part(&message, 1);
    for line in [
        "Action: relayed\r\n",
        "Status: 2.0.0\r\n",
        "Remote-MTA: dns; mx.example.org\r\n",
        "Diagnostic-Code: smtp; 250 2.0.0 taken\r\n",
    ] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    assert!(!status.contains("Will-Retry-Until"), "{status}");
    assert!(part(&message, 0).contains("mx.example.org [2001:db8::1] said: 250 2.0.0 taken"));
}

#[test]
fn news_of_several_kinds_go_in_one_notification_with_the_gravest_as_its_subject() {
    let mut case = Case::of(Tale::Relayed);
    let late = Reason::new(
        ReasonClass::Other,
        EnhancedCode::new(Class::PersistentTransient, 4, 1),
        "nobody answers",
    );
    case.tales.push((recipient("c@example.org"), Tale::Delayed(late)));
    case.tales.push((recipient("d@example.org"), Tale::Failed(reason(1, "because"))));
    let text = case.write();
    let message = parse(&text);
    assert_eq!(message.subject(), Some("Undelivered Mail Returned to Sender"));
    let words = part(&message, 0);
    let order = ["no further attempt", "<d@", "not been delivered", "<c@", "passed on", "<b@"];
    let found: Vec<usize> =
        order.iter().map(|words_of| words.replace("\r\n", " ").find(words_of).unwrap()).collect();
    assert!(found.is_sorted(), "{words}");
    assert_eq!(part(&message, 1).matches("Action: ").count(), 3);
}

#[test]
fn a_message_returned_whole_is_returned_byte_for_byte() {
    let mut case = Case::new();
    case.whole = true;
    let text = case.write();
    assert!(text.contains("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n"));
    let message = parse(&text);
    let inner = message.attachment(1).unwrap().message().unwrap();
    assert_eq!(inner.subject(), Some("news"));
    assert_eq!(inner.body_text(0).unwrap(), "the secret body\r\n");
    assert!(part(&message, 0).contains("Your message is at the end of this report."));
    // Bytes that are in no alphabet stay what they are, and the notification says that it has some.
    case.head = b"Subject: x\r\n\r\n\xff\xfe\r\n".to_vec();
    let bytes = case.bytes();
    assert!(memchr::memmem::find(&bytes, b"\r\n\r\nSubject: x\r\n\r\n\xff\xfe\r\n").is_some());
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(text.matches("Content-Transfer-Encoding: 8bit").count(), 2, "{text}");
}

#[test]
fn a_notification_has_an_end_however_much_every_host_has_said() {
    let mut case = Case::new();
    case.reason().reply = Some("550 ".to_owned() + &"long ".repeat(100_000));
    case.reason().text = "x ".repeat(100_000);
    case.tales = vec![case.tales[0].clone(); 100];
    assert!(case.write().len() < 1_000_000);
}
