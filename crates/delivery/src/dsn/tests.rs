//! Notifications, read back by another program's parser.

use std::time::Duration;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use smtp::{Class, EnhancedCode};

use super::*;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn reason(detail: u16, text: &str) -> Reason {
    Reason::new(EnhancedCode::new(Class::Permanent, 7, detail), text)
}

struct Case {
    sender: Mailbox,
    smtputf8: Smtputf8,
    failures: Vec<(Mailbox, Reason)>,
    head: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        let refused = Reason {
            mx: Some("mx.example.org".to_owned()),
            reply: Some("550 5.1.1 nobody of that name".to_owned()),
            ..Reason::new(EnhancedCode::new(Class::Permanent, 1, 1), "mx.example.org refused it")
        };
        Self {
            sender: mailbox("\"a b\"@example.com"),
            smtputf8: Smtputf8::NotRequested,
            failures: vec![(mailbox("b@example.org"), refused)],
            head: b"From: a@example.com\r\nSubject: news\r\n\r\nthe secret body\r\n".to_vec(),
        }
    }

    fn write(&self) -> String {
        let failures: Vec<Failure<'_>> =
            self.failures.iter().map(|(recipient, reason)| Failure { recipient, reason }).collect();
        let notice = FailureNotice {
            hostname: &Domain::parse("relay.example.com").unwrap(),
            id: QueueId::from_number(7),
            boundary: "boundary/1",
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            sender: &self.sender,
            message: QueueId::from_number(5),
            arrived: SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_000_000),
            smtputf8: self.smtputf8,
            failures: &failures,
            head: &self.head,
        };
        String::from_utf8(notice.to_bytes()).unwrap()
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
    case.failures.push((mailbox("c@example.org"), reason(1, "because")));
    let text = case.write();
    let message = parse(&text);
    let groups: Vec<&str> = part(&message, 1).trim_end().split("\r\n\r\n").collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert!(groups[2].contains("Final-Recipient: rfc822; c@example.org"));
    assert!(groups[2].contains("Diagnostic-Code: X-STS-Relay; because"));
}

#[test]
fn a_policy_failure_says_what_failed_and_what_to_do() {
    let mut case = Case::new();
    let why = Reason {
        policy: Some("sts id=a1 mode=enforce".to_owned()),
        mx: Some("mx.example.org".to_owned()),
        ..reason(
            5,
            "not delivered in 5 days: the MTA-STS policy of example.org (id a1, mode enforce) is \
             not met by any of its hosts: mx.example.org: TLS failed: certificate expired",
        )
    };
    case.failures = vec![(mailbox("b@example.org"), why)];
    let text = case.write();
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
    case.failures[0].1.enhanced = EnhancedCode::new(Class::PersistentTransient, 4, 1);
    assert!(case.write().contains("Status: 5.4.1\r\n"));
}

#[test]
fn a_notification_is_7_bit_and_its_lines_are_short_whatever_it_answers() {
    let mut case = Case::new();
    case.failures[0].1.reply =
        Some(format!("550 \u{fc}ber {}\nBcc: x\r\n\r\nx", "long ".repeat(900)));
    case.failures[0].1.text = "x".repeat(5000);
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
fn internationalised_mail_is_answered_in_kind() {
    let mut case = Case::new();
    case.smtputf8 = Smtputf8::Requested;
    case.sender = mailbox("\u{fc}nal@example.com");
    case.failures[0].0 = mailbox("\u{e9}@example.org");
    case.head = "Subject: \u{fc}ber\r\n\r\n".as_bytes().to_vec();
    let text = case.write();
    for line in [
        "To: \u{fc}nal@example.com\r\n",
        "Content-Type: message/global-delivery-status\r\n",
        "Content-Type: message/global-headers\r\n",
        "Final-Recipient: utf-8; \u{e9}@example.org\r\n",
        "Subject: \u{fc}ber\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
}
