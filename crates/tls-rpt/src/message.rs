//! The message that carries a report (RFC 8460 §5.3).
//!
//! It is ASCII with CRLF line ends, no line longer than 998 octets, ready to be signed: a DKIM
//! signature of the submitter's domain goes before it (RFC 8460 §3), over the fields of
//! [`SIGNED_FIELDS`].

mod words;

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use crate::address::MailAddress;
use crate::report::Report;

/// The fields that a DKIM signature covers (RFC 8460 §5.3), From twice so that none can be added.
pub const SIGNED_FIELDS: [&str; 11] = [
    "From",
    "From",
    "To",
    "Date",
    "Subject",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "TLS-Report-Domain",
    "TLS-Report-Submitter",
    "TLS-Required",
];

/// The octets of a line of base64 (RFC 2045 §6.8).
const LINE_MAX: usize = 76;

/// The message that carries `report` to `to`, written at `now`.
///
/// For the same report, address and time it is the same message. Its envelope sender is the
/// contact address.
///
/// ```
/// use std::time::SystemTime;
/// # use std::sync::Arc;
/// # use tls_rpt::{AppliedPolicy, Day, DomainName, DomainTally, Instance, Row, Submitter};
/// use tls_rpt::{MailAddress, Report, message};
///
/// # fn report() -> Option<Report> {
/// #     let domain = DomainName::parse("example.org").ok()?;
/// #     let contact = MailAddress::parse("tls-reports@example.com").ok()?;
/// #     let submitter = Submitter::new(contact, "Example", Instance::parse("001").ok()?);
/// #     let policy = Arc::new(AppliedPolicy::none(domain.clone()));
/// #     let mut tally = DomainTally::new(domain);
/// #     tally.count(Row { policy, failure: None }, 1);
/// #     Report::new(&submitter, Day::parse("2026-11-30").ok()?, &tally)
/// # }
/// let report = report().ok_or("nothing to report")?;
/// let to = MailAddress::parse("reports@example.org")?;
/// let message = String::from_utf8(message(&report, &to, SystemTime::UNIX_EPOCH))?;
/// assert!(message.starts_with("From: tls-reports@example.com\r\nTo: reports@example.org\r\n"));
/// assert!(message.contains("\r\nTLS-Required: No\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn message(report: &Report, to: &MailAddress, now: SystemTime) -> Vec<u8> {
    let boundary = format!("=_tlsrpt_{:016x}", digest(&report.id().to_string()));
    let mut lines = header(report, to, now, &boundary);
    lines.extend([
        String::new(),
        "This is a multipart message in MIME format.".to_owned(),
        format!("--{boundary}"),
        "Content-Type: text/plain; charset=\"us-ascii\"".to_owned(),
        "Content-Transfer-Encoding: 7bit".to_owned(),
        String::new(),
    ]);
    lines.extend(words::of(report));
    lines.extend([
        format!("--{boundary}"),
        "Content-Type: application/tlsrpt+gzip".to_owned(),
        "Content-Transfer-Encoding: base64".to_owned(),
        "Content-Disposition: attachment;".to_owned(),
        format!(" filename=\"{}\"", report.file_name()),
        String::new(),
    ]);
    lines.extend(base64(&report.to_gzip()));
    lines.extend([format!("--{boundary}--"), String::new()]);
    lines.join("\r\n").into_bytes()
}

/// The lines of the message's header.
fn header(report: &Report, to: &MailAddress, now: SystemTime, boundary: &str) -> Vec<String> {
    let submitter = report.submitter();
    let (domain, id) = (report.domain(), report.id());
    let destination = digest(&to.to_string());
    vec![
        format!("From: {}", submitter.contact()),
        format!("To: {to}"),
        format!("Date: {}", date(now)),
        format!("Message-ID: <{}.{destination:016x}@{}>", id.left(), id.right()),
        format!("Subject: Report Domain: {domain}"),
        format!(" Submitter: {}", submitter.domain()),
        format!(" Report-ID: <{id}>"),
        format!("TLS-Report-Domain: {domain}"),
        format!("TLS-Report-Submitter: {}", submitter.domain()),
        "TLS-Required: No".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: multipart/report; report-type=\"tlsrpt\";".to_owned(),
        format!(" boundary=\"{boundary}\""),
    ]
}

/// A time as RFC 5322 §3.3 writes it, in UTC; the epoch where it has no four-digit year.
fn date(time: SystemTime) -> String {
    let printer = rfc2822::DateTimePrinter::new();
    let text = |time: Timestamp| printer.zoned_to_string(&time.to_zoned(TimeZone::UTC));
    let written = Timestamp::try_from(time).and_then(text);
    written.or_else(|_no_year| text(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}

/// A number that is the same for the same text (FNV-1a); two texts rarely share one.
fn digest(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The alphabet of base64 (RFC 4648 §4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in lines of base64.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.chunks(LINE_MAX / 4 * 3).map(|line| line.chunks(3).flat_map(quantum).collect())
}

/// Up to three octets as four characters.
fn quantum(octets: &[u8]) -> [char; 4] {
    let octet = |at: usize| octets.get(at).copied().unwrap_or_default();
    let (first, second, third) = (octet(0), octet(1), octet(2));
    let sextets = [
        first >> 2,
        (first & 0x03) << 4 | second >> 4,
        (second & 0x0f) << 2 | third >> 6,
        third & 0x3f,
    ];
    let mut characters = ['='; 4];
    for (character, sextet) in characters.iter_mut().zip(sextets).take(octets.len() + 1) {
        *character = ALPHABET.get(usize::from(sextet)).copied().map_or('=', char::from);
    }
    characters
}

#[cfg(test)]
mod tests;
