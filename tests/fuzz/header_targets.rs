//! Targets that read what a message's header asks of the relay.

use listener::tls_required_of;
use queue::TlsRequired;
use smtp::Mailbox;
use submission::{Additions, Bcc, Edits, Field, HeaderSection};

use super::cut::cut;

/// Nothing but one field that says `No` lifts what protects a message, wherever the message is cut; and
/// never where MAIL asked for REQUIRETLS (RFC 8689 §4.1).
pub fn listener_tls_required(input: &[u8]) {
    let (cut, message) = cut(input);
    let (one, other) = message.split_at(cut);
    let whole = tls_required_of(TlsRequired::Unspecified, &[message]);
    assert_eq!(whole, tls_required_of(TlsRequired::Unspecified, &[one, other]));
    assert_ne!(tls_required_of(TlsRequired::Yes, &[message]), Ok(TlsRequired::No));
    let fields = fields(message);
    if fields.is_empty() {
        assert_eq!(whole, Ok(TlsRequired::Unspecified));
    }
    if whole == Ok(TlsRequired::No) {
        assert!(fields[0].trim_ascii().eq_ignore_ascii_case(b"no"), "{message:?}");
    }
}

/// A header section gets what it lacks, loses its Bcc, and keeps every other octet; one without an octet
/// stays without, and a signed one stays as it is.
pub fn submission_header(input: &[u8]) {
    let ann = Mailbox::parse("ann@client.example").unwrap();
    let edits = Edits {
        additions: Additions {
            date: Some("Tue, 1 Dec 2026 00:00:00 +0000".to_owned()),
            from: Some(ann.clone()),
            message_id: Some("<1@relay.example>".to_owned()),
        },
        bcc: Bcc::Removed,
        original_recipients: vec![ann],
        ..Edits::default()
    };
    let edited = edits.apply(input);
    let added = b"X-Original-To: ann@client.example\r\n";
    let rest = edited.bytes.strip_prefix(added).unwrap();
    let (before, after) = (HeaderSection::read(input), HeaderSection::read(rest));
    if !before.rest().is_empty() && !before.rest().starts_with(b"\r") {
        return;
    }
    if input.is_empty() || before.has("DKIM-Signature") {
        return assert_eq!((rest, edited.given_id), (input, None));
    }
    assert_eq!(edited.given_id.is_some(), !before.has("Message-ID"));
    let is_bcc = |field: &Field<'_>| field.is("Bcc") || field.is("Resent-Bcc");
    let kept: Vec<_> = before.fields().iter().filter(|field| !is_bcc(field)).collect();
    let kept: Vec<u8> = kept.iter().flat_map(|field| field.bytes()).copied().collect();
    assert!(rest.ends_with(&[&kept, before.rest()].concat()));
    assert!(["Date", "From", "Message-ID"].iter().all(|name| after.has(name)));
    assert!(!after.fields().iter().any(is_bcc));
}

/// What the TLS-Required fields before the first empty line say; the lines of a body without an empty
/// line before it are among them.
fn fields(message: &[u8]) -> Vec<Vec<u8>> {
    let mut said: Vec<Vec<u8>> = Vec::new();
    let mut is_continued = false;
    let lines = message.split_inclusive(|octet| *octet == b'\n');
    for line in lines.take_while(|line| !line.starts_with(b"\r") && *line != b"\n") {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(last) = said.last_mut().filter(|_| is_continued) {
                last.extend_from_slice(line);
            }
            continue;
        }
        let lower = line.to_ascii_lowercase();
        let value = lower.strip_prefix(b"tls-required").map(<[u8]>::trim_ascii_start);
        let value = value.and_then(|rest| rest.strip_prefix(b":"));
        is_continued = value.is_some();
        said.extend(value.map(<[u8]>::to_vec));
    }
    said
}
