//! Messages as a reader of mail that is not ours sees them.

use std::sync::Arc;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _, PartType};

use super::*;
use crate::day::Day;
use crate::domain::DomainName;
use crate::failure::FailureDetail;
use crate::policy::AppliedPolicy;
use crate::reason::FailureReason;
use crate::received::ReceivedReport;
use crate::result_type::ResultType;
use crate::row::Row;
use crate::submitter::{Instance, Submitter};
use crate::tally::DomainTally;

/// The domain that gets the report, as long as a name may be.
fn long_name() -> String {
    format!("{}{}", "a123456789.".repeat(22), "example.org")
}

/// A report with as many kinds of failure as `failures` says.
fn report(domain: &str, failures: u8) -> Report {
    let domain = DomainName::parse(domain).unwrap();
    let policy = AppliedPolicy::sts(domain.clone(), "version: STSv1\n", &["*.example.org"]);
    let policy = Arc::new(policy);
    let mut tally = DomainTally::new(domain);
    tally.count(Row { policy: Arc::clone(&policy), failure: None }, 5326);
    for number in 0..failures {
        let failure = FailureDetail {
            receiving_mx_hostname: Some(DomainName::parse("mx2.mail.example.org").unwrap()),
            receiving_ip: Some([203, 0, 113, number].into()),
            failure_reason_code: Some(FailureReason::StarttlsNotOffered),
            ..FailureDetail::new(ResultType::StarttlsNotSupported)
        };
        tally.count(Row { policy: Arc::clone(&policy), failure: Some(failure) }, 200);
    }
    let contact = MailAddress::parse("tls-reports@sender.example").unwrap();
    let submitter = Submitter::new(contact, "Sänder", Instance::parse("001").unwrap());
    Report::new(&submitter, Day::parse("2026-11-30").unwrap(), &tally).unwrap()
}

fn written(report: &Report) -> Vec<u8> {
    let to = MailAddress::parse("\"a b\"@reports.example").unwrap();
    message(report, &to, SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_083_205))
}

#[test]
fn the_message_is_as_rfc_8460_has_it() {
    let bytes = written(&report("example.org", 1));
    let text = String::from_utf8(bytes).unwrap();
    let (header, _) = text.split_once("\r\n\r\n").unwrap();
    let expected = "From: tls-reports@sender.example\r
To: \"a b\"@reports.example\r
Date: Tue, 1 Dec 2026 00:00:05 +0000\r
Message-ID: <2026-11-30.example.org.001.d805b264f277d197@sender.example>\r
Subject: Report Domain: example.org\r
\x20Submitter: sender.example\r
\x20Report-ID: <2026-11-30.example.org.001@sender.example>\r
TLS-Report-Domain: example.org\r
TLS-Report-Submitter: sender.example\r
TLS-Required: No\r
Auto-Submitted: auto-generated\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=\"tlsrpt\";\r
\x20boundary=\"=_tlsrpt_7a2cc6d699302c96\"";
    assert_eq!(header, expected);
    for line in [
        "Content-Type: application/tlsrpt+gzip\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        " filename=\"sender.example!example.org!1795996800!1796083199!001.json.gz\"\r\n",
        "MTA-STS policy of example.org:\r\n    sessions that succeeded: 5326\r\n",
        "        200: starttls-not-supported (starttls-not-offered) at mx2.mail.example.org [203.0.113.0]\r\n",
        "Questions are answered at tls-reports@sender.example\r\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn another_program_finds_the_report_in_the_message() {
    for failures in [0, 1, 30, 100] {
        let report = report("example.org", failures);
        let bytes = written(&report);
        let message = MessageParser::default().parse(&bytes).unwrap();
        let kind = message.content_type().unwrap();
        assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
        assert_eq!(kind.attribute("report-type"), Some("tlsrpt"));
        let subject = message.subject().unwrap();
        let expected = "Report Domain: example.org Submitter: sender.example \
            Report-ID: <2026-11-30.example.org.001@sender.example>";
        assert_eq!(subject, expected);
        let submitter = message.header("TLS-Report-Submitter").unwrap();
        assert_eq!(submitter.as_text(), Some("sender.example"));
        assert_eq!(message.date().unwrap().to_timestamp(), 1_796_083_205);
        let attachment = message.attachment(0).unwrap();
        assert_eq!(attachment.attachment_name().unwrap(), report.file_name());
        let PartType::Binary(gzip) = &attachment.body else { panic!("{attachment:?}") };
        assert_eq!(gzip.as_ref(), report.to_gzip());
        let read = ReceivedReport::read(gzip).unwrap();
        assert_eq!(read.value.policies[0].failures, u64::from(failures) * 200);
        assert!(message.body_text(0).unwrap().contains("on 2026-11-30 (UTC)."));
    }
}

#[test]
fn every_line_is_ascii_and_none_is_too_long() {
    let bytes = written(&report(&long_name(), 60));
    assert!(bytes.is_ascii());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("--\r\n"));
    for line in text.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line}");
    }
    assert!(text.contains("        and 40 more kinds of failure\r\n"));
}

#[test]
fn the_same_report_is_the_same_message() {
    assert_eq!(written(&report("example.org", 3)), written(&report("example.org", 3)));
}

#[test]
fn what_is_signed_is_in_the_header() {
    let text = String::from_utf8(written(&report("example.org", 1))).unwrap();
    let header = format!("\r\n{}", text.split_once("\r\n\r\n").unwrap().0);
    for field in SIGNED_FIELDS {
        assert_eq!(header.matches(&format!("\r\n{field}: ")).count(), 1, "{field}");
    }
}

#[test]
fn a_time_without_a_four_digit_year_is_the_epoch() {
    assert_eq!(date(SystemTime::UNIX_EPOCH), "Thu, 1 Jan 1970 00:00:00 +0000");
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(date(far), date(SystemTime::UNIX_EPOCH));
}

#[test]
fn base64_is_that_of_rfc_4648() {
    for (octets, expected) in [
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(octets.as_bytes()).collect::<Vec<_>>(), [expected]);
    }
    let lines: Vec<_> = base64(&[0xff; 58]).collect();
    assert_eq!(lines, ["/".repeat(76), "/w==".to_owned()]);
}
