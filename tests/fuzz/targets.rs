//! What each fuzz target does with its input: shared by the fuzzer and by the test that replays the corpora.
//!
//! A target panics when something that must hold does not.

#![allow(dead_code, unreachable_pub, reason = "each fuzz binary uses one of these")]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use dane::{ReferenceNames, SecureRecords, TlsaRecord};
use dkim::{
    Algorithm, KeyRecord, MessageHash, MessageHasher, Selector, SignedFields, Signer, SigningKey,
};
use mta_sts::{MxHost, MxPattern, Policy, Record, Warning};
use rustls::pki_types::{CertificateDer, UnixTime};
use smtp::{
    AddressPattern, ChunkScan, Command, DotStuffer, EndOfData, Exchange, Faults, ForwardPath,
    LineFault, LineFramer, Mailbox, Mechanism, Progress, ProxyHeader, ReplyReader, ReversePath,
    Turn,
};
use submission::{HeaderSection, OriginatorField, Replacement, RewriteRule, Rewriting};
use tls_rpt::{
    AppliedPolicy, Day, Destination, Deviation, DomainName, DomainTally, FailureDetail, Instance,
    MailAddress, ReceivedReport, ReceivingMxHelo, Report, ResultType, Row, Submitter,
};

#[path = "cut.rs"]
mod cut;
#[path = "header_targets.rs"]
mod header_targets;

use self::cut::cut;
pub use self::header_targets::{listener_tls_required, submission_header};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the folder of its corpus has its name.
pub const TARGETS: &[Target] = &[
    ("dane_chain", dane_chain),
    ("dane_record", dane_record),
    ("dkim_message", dkim_message),
    ("dkim_record", dkim_record),
    ("listener_tls_required", listener_tls_required),
    ("smtp_address", smtp_address),
    ("smtp_auth", smtp_auth),
    ("smtp_bdat", smtp_bdat),
    ("smtp_command", smtp_command),
    ("smtp_end_of_data", smtp_end_of_data),
    ("smtp_framing", smtp_framing),
    ("smtp_proxy", smtp_proxy),
    ("smtp_reply", smtp_reply),
    ("sts_match", sts_match),
    ("sts_policy", sts_policy),
    ("sts_record", sts_record),
    ("submission_header", submission_header),
    ("submission_rewrite", submission_rewrite),
    ("tlsrpt_mailto", tlsrpt_mailto),
    ("tlsrpt_message", tlsrpt_message),
    ("tlsrpt_received", tlsrpt_received),
    ("tlsrpt_record", tlsrpt_record),
];

/// A command line gives a command or a reply of one line ending, and its paths print as they parse.
pub fn smtp_command(input: &[u8]) {
    match Command::parse(input) {
        Ok(Command::Mail { path, .. }) => {
            let again = ReversePath::parse(&path.to_string()).unwrap();
            assert_eq!(again, path);
        }
        Ok(Command::Rcpt { path, .. }) => {
            let again = ForwardPath::parse(&path.to_string()).unwrap();
            assert_eq!(again, path);
        }
        Ok(_) => {}
        Err(error) => {
            let mut reply = Vec::new();
            error.reply().write_to(&mut reply);
            let text = std::str::from_utf8(&reply).unwrap();
            assert!(text.ends_with("\r\n"));
            assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0'])));
        }
    }
}

/// Where the input is cut makes no difference to the lines, and no line holds a line ending.
pub fn smtp_framing(input: &[u8]) {
    let (cut, stream) = cut(input);
    let whole = lines(&[stream]);
    assert_eq!(whole, lines(&[&stream[..cut], &stream[cut..]]));
    for line in whole.into_iter().flatten() {
        assert!(!line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | b'\0')));
    }
}

/// Where the input is cut makes no difference; a message ends at CRLF.CRLF alone; stuffing undoes it.
pub fn smtp_end_of_data(input: &[u8]) {
    let (cut, stream) = cut(input);
    let (message, end, clean) = unstuffed(&[stream]);
    assert_eq!((message.clone(), end, clean), unstuffed(&[&stream[..cut], &stream[cut..]]));
    if let Some(end) = end {
        let taken = &stream[..end];
        assert!(taken == b".\r\n" || taken.ends_with(b"\r\n.\r\n"));
    }
    if clean {
        let mut stuffed = Vec::new();
        let mut stuffer = DotStuffer::new();
        stuffer.feed(&message, &mut stuffed);
        stuffer.finish(&mut stuffed);
        let (again, end, _) = unstuffed(&[&stuffed]);
        assert_eq!(end, Some(stuffed.len()));
        assert!(again == message || again == [message.as_slice(), b"\r\n"].concat());
    }
}

/// A mailbox that parses prints as something that parses to it, and cannot end the path it stands in.
pub fn smtp_address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(mailbox) = Mailbox::parse(text) {
        let printed = mailbox.to_string();
        assert!(!printed.contains(char::is_control));
        assert_eq!(Mailbox::parse(&printed).unwrap(), mailbox);
        let path = format!("<{printed}>");
        assert_eq!(ForwardPath::parse(&path).unwrap().mailbox(), Some(&mailbox));
    }
}

/// Reply lines from a peer never panic, and what they give prints as clean lines.
pub fn smtp_reply(input: &[u8]) {
    let mut reader = ReplyReader::new();
    for line in input.split(|&octet| octet == b'\n') {
        let Ok(read) = reader.line(line) else { return };
        if let Some(reply) = read {
            let mut printed = Vec::new();
            reply.write_to(&mut printed);
            assert!(printed.ends_with(b"\r\n"));
        }
    }
}

/// An AUTH dialogue ends within two answers, and what it gives is a name without control characters.
pub fn smtp_auth(input: &[u8]) {
    let mut lines = input.split(|&octet| octet == b'\n');
    let Ok(Command::Auth { mechanism, initial }) = Command::parse(lines.next().unwrap_or_default())
    else {
        return;
    };
    let Some(mechanism) = Mechanism::parse(&mechanism) else { return };
    let mut turn = Exchange::begin(mechanism, initial.as_ref());
    for _ in 0..3 {
        match turn {
            Ok(Turn::Challenge(exchange)) => {
                assert!(exchange.challenge().to_string().starts_with("334 "));
                let Some(line) = lines.next() else { return };
                turn = exchange.answer(line);
            }
            Ok(Turn::Complete(credentials)) => {
                assert!(!credentials.name().is_empty() && !credentials.password().is_empty());
                assert!(!credentials.name().contains(char::is_control));
                assert!(!credentials.password().contains('\0'));
                return;
            }
            Err(error) => {
                assert_eq!(error.reply().code().as_u16() / 100, 5);
                return;
            }
        }
    }
    panic!("the dialogue does not end");
}

/// Where a stream of commands and chunks is cut makes no difference to either, and chunks without
/// fault have no bare line end.
pub fn smtp_bdat(input: &[u8]) {
    let (cut, stream) = cut(input);
    let whole = chunks(&[stream]);
    assert_eq!(whole, chunks(&[&stream[..cut], &stream[cut..]]));
    let (_, message, faults) = whole;
    if faults.is_empty() {
        let text = String::from_utf8_lossy(&message).replace("\r\n", "");
        assert!(!text.contains(['\r', '\n']));
    }
}

/// What was read of a stream in which each BDAT is followed by its octets: how many lines, the
/// octets of all chunks, and what was wrong with them.
fn chunks(parts: &[&[u8]]) -> (usize, Vec<u8>, Faults) {
    let mut framer = LineFramer::new(64);
    let mut buffer = BytesMut::new();
    let mut scan = ChunkScan::new(100);
    let (mut lines, mut left, mut message) = (0, 0_u64, Vec::new());
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.split_to(here);
            scan.feed(&piece);
            message.extend_from_slice(&piece);
            left -= u64::try_from(here).unwrap();
            if left > 0 {
                break;
            }
            match framer.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(line)) => {
                    lines += 1;
                    if let Ok(Command::Bdat { size, .. }) = Command::parse(line.as_bytes()) {
                        left = size;
                    }
                }
                Err(_) => lines += 1,
            }
        }
    }
    (lines, message, scan.finish())
}

/// A PROXY header is as long as it says, and nothing before its end is one or is refused.
pub fn smtp_proxy(input: &[u8]) {
    if let Ok(Some((header, length))) = ProxyHeader::parse(input) {
        assert!(length <= input.len() && length <= ProxyHeader::MAX_OCTETS);
        assert_eq!(ProxyHeader::parse(&input[..length]), Ok(Some((header, length))));
        for end in 0..length {
            assert_eq!(ProxyHeader::parse(&input[..end]), Ok(None));
        }
    }
}

/// A record that parses prints as one that parses without warning to the same id.
pub fn sts_record(input: &[u8]) {
    if let Ok(parsed) = Record::parse(input) {
        let again = Record::parse(parsed.value.to_string().as_bytes()).unwrap();
        assert!(again.warnings.is_empty());
        assert_eq!(again.value, parsed.value);
    }
}

/// A policy that parses prints as one that parses to the same policy, and without a warning but for
/// names with an underscore, which it keeps.
pub fn sts_policy(input: &[u8]) {
    if let Ok(parsed) = Policy::parse(input) {
        let again = Policy::parse(parsed.value.to_string().as_bytes()).unwrap();
        let is_underscore = |warning: &Warning| matches!(warning, Warning::Underscore { .. });
        assert!(again.warnings.iter().all(is_underscore), "{:?}", again.warnings);
        assert_eq!(again.value, parsed.value);
    }
}

/// A pattern covers a host of the same number of labels or none.
pub fn sts_match(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((host, pattern)) = text.split_once('\n') else { return };
    if let (Ok(host), Ok(pattern)) = (MxHost::parse(host), MxPattern::parse(pattern))
        && pattern.matches(&host)
    {
        let labels = |name: &str| name.split('.').count();
        assert_eq!(labels(host.as_str()), labels(pattern.as_str()));
    }
}

/// A record that parses prints as one that parses without warning to the same destinations.
pub fn tlsrpt_record(input: &[u8]) {
    if let Ok(parsed) = tls_rpt::Record::parse(input) {
        let again = tls_rpt::Record::parse(parsed.value.to_string().as_bytes()).unwrap();
        assert!(again.warnings.is_empty(), "{:?}", again.warnings);
        assert_eq!(again.value, parsed.value);
        assert!((1..=5).contains(&parsed.value.destinations().len()));
    }
}

/// A `mailto` URI gives one address that can stand in an envelope and in a header field as it is, without
/// anything of the URI's header fields; it prints as a URI that gives the same address (RFC 6068 §2).
pub fn tlsrpt_mailto(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(destination) = format!("mailto:{text}").parse::<Destination>() else { return };
    let Destination::Mailto(address) = &destination else { panic!("{destination}") };
    let printed = destination.to_string();
    assert!(printed.is_ascii() && !printed.contains([' ', ',', ';', '!', '?', '"', '<', '>']));
    assert_eq!(printed.parse::<Destination>().as_ref(), Ok(&destination));
    let written = address.to_string();
    assert!(written.is_ascii() && !written.contains(char::is_control));
    assert_eq!(MailAddress::parse(&written).as_ref(), Ok(address));
    // One that is too long for an envelope is refused when the report is mailed (RFC 5321 §4.5.3.1.3).
    let Ok(path) = ForwardPath::parse(&format!("<{written}>")) else {
        return assert!(written.len() > 250, "{written}");
    };
    assert_eq!(path.mailbox(), Some(&Mailbox::parse(&written).unwrap()));
    // What stands behind a question mark, or after a fragment's sign, is in no address.
    let before = text.split(['?', '#']).next().unwrap_or_default();
    assert_eq!(format!("mailto:{before}").parse::<Destination>().as_ref(), Ok(&destination));
}

/// A report that can be read has no control characters in its texts.
pub fn tlsrpt_received(input: &[u8]) {
    let Ok(parsed) = ReceivedReport::read(input) else { return };
    let ReceivedReport { organization, contact, id, policies, .. } = parsed.value;
    let mut texts = vec![organization, contact, id];
    for policy in policies {
        texts.extend(policy.strings.into_iter().chain(policy.mx_hosts).map(Some));
        texts.extend([Some(policy.policy_type.to_string()), policy.domain]);
        for detail in policy.details {
            texts.extend([
                Some(detail.result_type.to_string()),
                detail.receiving_mx_hostname,
                detail.receiving_mx_helo,
                detail.additional_information,
                detail.failure_reason_code,
            ]);
        }
    }
    assert!(!texts.into_iter().flatten().any(|text| text.contains(char::is_control)));
}

/// Whatever a policy and a host say, the message is lines of ASCII, and what is in the report is read
/// without warning. The first line is the host's name for itself, the rest the policy.
pub fn tlsrpt_message(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (helo, policy) = text.split_once('\n').unwrap_or((&text, ""));
    let domain = DomainName::parse("example.org").unwrap();
    let mx: Vec<_> = policy.lines().filter_map(|line| line.strip_prefix("mx: ")).collect();
    let looks_like_array = policy.trim_start().starts_with('[');
    let policy = Arc::new(AppliedPolicy::sts(domain.clone(), policy, &mx));
    let mut failure = FailureDetail::new(ResultType::ValidationFailure);
    failure.receiving_mx_helo = ReceivingMxHelo::new(helo);
    let mut tally = DomainTally::new(domain);
    tally.count(Row { policy, failure: Some(failure) }, 1);
    let contact = MailAddress::parse("a@sender.example").unwrap();
    let submitter = Submitter::new(contact.clone(), helo, Instance::parse("001").unwrap());
    let report = Report::new(&submitter, Day::of(SystemTime::UNIX_EPOCH), &tally).unwrap();
    let read = ReceivedReport::read(&report.to_gzip()).unwrap();
    assert_eq!(read.value.policies[0].failures, 1);
    // A policy whose one line is an array looks like the work of those who write policies so.
    let explained = |one: &Deviation| *one == Deviation::PolicyStringAsJson && looks_like_array;
    assert!(read.warnings.iter().all(explained), "{:?}", read.warnings);
    let message = String::from_utf8(tls_rpt::message(&report, &contact, SystemTime::UNIX_EPOCH));
    let message = message.unwrap();
    let is_line = |line: &str| line.len() <= 998 && !line.contains(char::is_control);
    assert!(message.is_ascii() && message.split("\r\n").all(is_line));
}

/// A TLSA record prints as text and RDATA that give the same record.
pub fn dane_record(input: &[u8]) {
    let Ok(record) = TlsaRecord::from_rdata(input) else { return };
    assert_eq!(record.to_rdata(), input);
    assert_eq!(record.to_string().parse(), Ok(record.clone()));
    assert!(record.usable_for_smtp().is_err() || !record.data.is_empty());
}

/// Any chain is judged by any records, the same in whatever order they come, and what is matched is
/// one of them.
pub fn dane_chain(input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else { return };
    let mut parts = lengthy(rest);
    let read = |part| TlsaRecord::from_rdata(part).ok();
    let records: Vec<_> = parts.by_ref().take(count.into()).filter_map(read).collect();
    let chain: Vec<_> = parts.map(CertificateDer::from).collect();
    let associate = |records| {
        let names = ReferenceNames::new("mx.example.org", &[]).unwrap();
        SecureRecords::assertion(records).ok()?.associate(names).ok()
    };
    let turned = records.iter().rev().cloned().collect();
    let (one, other) = (associate(records.clone()), associate(turned));
    assert_eq!(one, other);
    let Some(association) = one else { return };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000));
    if let Ok(matched) = association.judge(&chain, now) {
        assert!(records.contains(matched.record()));
        assert!(matched.record().usable_for_smtp().is_ok());
    }
}

/// Parts, each after its length in two octets; the last may be shorter.
fn lengthy(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = input.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (part, rest) = rest.split_at(length);
        input = rest;
        Some(part)
    })
}

fn lines(parts: &[&[u8]]) -> Vec<Result<Vec<u8>, LineFault>> {
    let mut framer = LineFramer::new(64);
    let mut buffer = BytesMut::new();
    let mut found = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match framer.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(line)) => found.push(Ok(line.as_bytes().to_vec())),
                Err(fault) => found.push(Err(fault)),
            }
        }
    }
    found
}

/// The message, where it ended in the stream, and whether it was without fault.
fn unstuffed(parts: &[&[u8]]) -> (Vec<u8>, Option<usize>, bool) {
    let mut machine = EndOfData::new();
    let mut message = Vec::new();
    let mut before = 0;
    for part in parts {
        if let Progress::Done { consumed } = machine.feed(part, &mut message) {
            return (message, Some(before + consumed), machine.faults().is_empty());
        }
        before += part.len();
    }
    (message, None, false)
}

/// A signer of its own key.
static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let domain = smtp::Domain::parse("sender.example").unwrap();
    Signer::new(domain, Selector::parse("s").unwrap(), key, SignedFields::of_mail()).unwrap()
});

/// Where a message is cut makes no difference to its signature, whose length is known once its header
/// is whole, and which is one field whatever the message holds. The first octet says where it is cut.
pub fn dkim_message(input: &[u8]) {
    let Some((&cut, message)) = input.split_first() else { return };
    let (one, other) = message.split_at(usize::from(cut).min(message.len()));
    let mut hasher = MessageHasher::new();
    hasher.feed(one);
    hasher.feed(other);
    hasher.end_header();
    let octets = SIGNER.signature_octets(&hasher, SystemTime::UNIX_EPOCH);
    let signed = SIGNER.sign(&hasher.finish(), SystemTime::UNIX_EPOCH);
    let whole = SIGNER.sign(&MessageHash::of(message), SystemTime::UNIX_EPOCH);
    let Ok(signature) = signed else { return assert!(whole.is_err()) };
    assert_eq!(whole.unwrap(), signature);
    assert_eq!(signature.len(), octets);
    let lines: Vec<_> = signature.strip_suffix("\r\n").unwrap().split("\r\n").collect();
    assert!(lines[0].starts_with("DKIM-Signature: "));
    assert!(lines.iter().skip(1).all(|line| line.starts_with(' ') && !line.trim().is_empty()));
    assert!(signature.bytes().all(|octet| octet.is_ascii_graphic() || b" \r\n".contains(&octet)));
}

/// A key record that can be read prints as one that reads the same.
pub fn dkim_record(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(record) = KeyRecord::parse(&text) {
        assert_eq!(KeyRecord::parse(&record.to_string()), Ok(record));
    }
}

/// Addresses that are to be rewritten are in no field that can be read, every other address is where it
/// was, nothing but the addresses is changed, and what has been rewritten stays as it is.
pub fn submission_rewrite(input: &[u8]) {
    let pattern = AddressPattern::parse("@internal").unwrap();
    let fields = [OriginatorField::From, OriginatorField::Sender, OriginatorField::ReplyTo];
    for to in ["ops@example.org", "@example.org"] {
        let to = Replacement::parse(to).unwrap();
        let rule = RewriteRule {
            sender: Vec::new(),
            from: vec![pattern.clone()],
            to: to.clone(),
            fields: fields.to_vec(),
        };
        let rewriting = Rewriting::new(vec![rule]);
        let rewritten = rewriting.header(input);
        assert_eq!(rewriting.header(&rewritten), rewritten);
        let (before, after) = (HeaderSection::read(input), HeaderSection::read(&rewritten));
        assert_eq!(before.rest(), after.rest());
        assert_eq!(before.fields().len(), after.fields().len());
        for (before, after) in before.fields().iter().zip(after.fields()) {
            let is_originator = ["From", "Sender", "Reply-To"].iter().any(|name| before.is(name));
            let read = smtp::mailboxes(before.value()).filter(|_| is_originator);
            let Some(read) = read else {
                assert_eq!(before.bytes(), after.bytes());
                continue;
            };
            // An address with octets that are not UTF-8 has not been read whole, and a long one has no
            // room for a longer domain.
            let becomes = |mailbox: &Mailbox| {
                let is_whole = !mailbox.to_string().contains(char::REPLACEMENT_CHARACTER);
                let covered = is_whole && pattern.covers(mailbox);
                covered.then(|| to.of(mailbox)).flatten().unwrap_or_else(|| mailbox.clone())
            };
            let expected: Vec<_> = read.iter().map(becomes).collect();
            assert_eq!(smtp::mailboxes(after.value()), Some(expected));
            assert_eq!(before.before_value(), after.before_value());
        }
    }
}
