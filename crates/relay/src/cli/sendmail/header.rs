//! The header of a message that a local program writes: whom it names, and what is completed in it.
//!
//! Programs write the addresses of their own machine without domain, such as `root`, and leave From out.
//! Nobody elsewhere could answer those, so the relay's name is added, as Postfix adds its own. A header
//! with a DKIM-Signature is finished, and stays as it is.

use std::borrow::Cow;

use smtp::{AddrSpec, Domain, Mailbox, local_addr_specs, to_base64};
use submission::{Bcc, Edits, Field, HeaderSection};

use super::failure::Failure;
use super::options::FromHeader;

/// The fields whose addresses are completed (RFC 5322 §3.6.2, §3.6.3, §3.6.6).
const ADDRESS_FIELDS: [&str; 12] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];

/// The fields that name recipients.
const RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];

/// The same of a message that was sent on: where one of these stands, the others name those whom it
/// was for before.
const RESENT_RECIPIENTS: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];

/// How many octets of a name an encoded word holds: a line of the header may have 76 with the field's
/// name (RFC 2047 §2).
const ENCODED_WORD: usize = 42;

/// How much of what is no address is shown.
const SHOWN: usize = 100;

/// Who writes, where the message does not say.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) mailbox: Mailbox,
    pub(super) full_name: Option<String>,
}

/// The recipients in a text that names some, with `home` behind names without domain.
///
/// # Errors
///
/// [`Failure::NotARecipient`] where it cannot be read.
pub(super) fn recipients_in(text: &[u8], home: &Domain) -> Result<Vec<Mailbox>, Failure> {
    let found = local_addr_specs(text, home).ok_or_else(|| {
        let text = String::from_utf8_lossy(text.trim_ascii());
        let shown = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        Failure::NotARecipient(shown)
    })?;
    Ok(found.into_iter().map(|address| address.mailbox).collect())
}

/// The recipients that a header names.
///
/// # Errors
///
/// [`Failure::NotARecipient`] where a field cannot be read.
pub(super) fn recipients(header: &[u8], home: &Domain) -> Result<Vec<Mailbox>, Failure> {
    let section = HeaderSection::read(header);
    let resent = RESENT_RECIPIENTS.iter().any(|name| section.has(name));
    let names = if resent { RESENT_RECIPIENTS } else { RECIPIENTS };
    let mut found = Vec::new();
    for field in section.fields().iter().filter(|field| is_one_of(field, &names)) {
        found.append(&mut recipients_in(field.value(), home)?);
    }
    Ok(found)
}

/// The header as it leaves: From added where it is missing, domains added where they are, and without
/// hidden recipients if these were taken from it.
pub(super) fn completed(
    header: &[u8],
    from_header: FromHeader,
    author: &Author,
    home: &Domain,
) -> Vec<u8> {
    let section = HeaderSection::read(header);
    if section.has("DKIM-Signature") {
        return header.to_vec();
    }
    let mut bytes = Vec::with_capacity(header.len());
    if !section.has("From") {
        bytes.extend_from_slice(from(author).as_bytes());
    }
    for field in section.fields() {
        bytes.extend_from_slice(&with_domains(field, home));
    }
    bytes.extend_from_slice(section.rest());
    match from_header {
        FromHeader::No => bytes,
        FromHeader::Yes => Edits { bcc: Bcc::Removed, ..Edits::default() }.apply(&bytes).bytes,
    }
}

/// A field with `home` behind each address that lacks a domain.
fn with_domains<'a>(field: &Field<'a>, home: &Domain) -> Cow<'a, [u8]> {
    let (bytes, value) = (field.bytes(), field.value());
    let found = is_one_of(field, &ADDRESS_FIELDS).then(|| local_addr_specs(value, home)).flatten();
    let before = bytes.len().saturating_sub(value.len());
    let (mut whole, mut written) = (Vec::new(), 0);
    for AddrSpec { octets, .. } in found.unwrap_or_default() {
        let here = value.get(octets.clone()).unwrap_or_default();
        if !here.contains(&b'@') {
            let end = before.saturating_add(octets.end);
            whole.extend_from_slice(bytes.get(written..end).unwrap_or_default());
            whole.extend_from_slice(format!("@{home}").as_bytes());
            written = end;
        }
    }
    if written == 0 {
        return Cow::Borrowed(bytes);
    }
    whole.extend_from_slice(bytes.get(written..).unwrap_or_default());
    Cow::Owned(whole)
}

/// The From field of a message that has none. Its address is ASCII (RFC 6531 §3.6), and a name beyond
/// that is encoded (RFC 2047).
fn from(author: &Author) -> String {
    let Author { mailbox, full_name } = author;
    let name = full_name.as_deref().map(|name| name.replace(char::is_control, " "));
    match name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        None => format!("From: {mailbox}\r\n"),
        Some(name) if name.is_ascii() => {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("From: \"{quoted}\" <{mailbox}>\r\n")
        }
        Some(name) => format!("From: {}\r\n <{mailbox}>\r\n", encoded_words(name)),
    }
}

/// A name as encoded words, each on a line of its own, none of which splits a character (RFC 2047 §5).
fn encoded_words(name: &str) -> String {
    let mut pieces = vec![String::new()];
    for c in name.chars() {
        match pieces.last_mut() {
            Some(piece) if piece.len().saturating_add(c.len_utf8()) <= ENCODED_WORD => {
                piece.push(c);
            }
            Some(_) | None => pieces.push(c.to_string()),
        }
    }
    let words = pieces.iter().map(|piece| format!("=?utf-8?B?{}?=", to_base64(piece.as_bytes())));
    words.collect::<Vec<_>>().join("\r\n ")
}

/// Whether a field has one of these names.
fn is_one_of(field: &Field<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| field.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Domain {
        Domain::parse("relay.example").unwrap()
    }

    fn author(full_name: Option<&str>) -> Author {
        let mailbox = Mailbox::parse("ann@relay.example").unwrap();
        Author { mailbox, full_name: full_name.map(str::to_owned) }
    }

    fn named(header: &str) -> Result<Vec<String>, String> {
        let found = recipients(header.as_bytes(), &home()).map_err(|error| error.to_string())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn recipients_are_those_of_to_cc_and_bcc_or_of_their_resent_kin() {
        for (header, expected) in [
            ("Subject: x\r\n", &[][..]),
            (
                "To: Ann <ann@a.example>,\r\n root\r\ncc: b@b.example\r\nBCC: c@c.example\r\nTo: d@d.example\r\n",
                &[
                    "ann@a.example",
                    "root@relay.example",
                    "b@b.example",
                    "c@c.example",
                    "d@d.example",
                ],
            ),
            ("To: undisclosed-recipients:;\r\nBcc: c@c.example\r\n", &["c@c.example"]),
            (
                "Resent-To: r@r.example\r\nTo: a@a.example\r\nResent-Bcc: s@s.example\r\n",
                &["r@r.example", "s@s.example"],
            ),
            ("Subject: x\r\n\r\nTo: body@b.example\r\n", &[]),
        ] {
            assert_eq!(named(header).unwrap(), expected, "{header}");
        }
        assert_eq!(named("To: Ann Example\r\n").unwrap_err(), "`Ann Example` is not an address");
        assert!(named("To: a@b.example c@d.example\r\n").is_err());
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_hidden_goes() {
        let complete = |header: &str, from_header| {
            let bytes =
                completed(header.as_bytes(), from_header, &author(Some("Ann \"A\"")), &home());
            String::from_utf8(bytes).unwrap()
        };
        for (header, expected) in [
            ("\r\n", "From: \"Ann \\\"A\\\"\" <ann@relay.example>\r\n\r\n"),
            (
                "From: root (Cron Daemon)\r\nTo: root\r\nX: root\r\n\r\nTo: x",
                "From: root@relay.example (Cron Daemon)\r\nTo: root@relay.example\r\nX: root\r\n\r\nTo: x",
            ),
            (
                "From: \"(Cron Daemon)\" <root>\r\nCc: a, b@b.example,\r\n c (d)\r\n",
                "From: \"(Cron Daemon)\" <root@relay.example>\r\n\
                 Cc: a@relay.example, b@b.example,\r\n c@relay.example (d)\r\n",
            ),
            ("From: Ann Example\r\n", "From: Ann Example\r\n"),
            ("DKIM-Signature: x\r\nTo: root\r\n", "DKIM-Signature: x\r\nTo: root\r\n"),
        ] {
            assert_eq!(complete(header, FromHeader::No), expected, "{header}");
        }
        let hidden = "From: x@x.example\r\nBcc: y@y.example\r\n\r\n";
        assert_eq!(complete(hidden, FromHeader::No), hidden);
        assert_eq!(complete(hidden, FromHeader::Yes), "From: x@x.example\r\n\r\n");
    }

    #[test]
    fn a_name_cannot_add_to_the_header_and_is_encoded_beyond_ascii() {
        assert_eq!(from(&author(None)), "From: ann@relay.example\r\n");
        assert_eq!(from(&author(Some(" \r\n"))), "From: ann@relay.example\r\n");
        let injected = from(&author(Some("x\r\nBcc: y@y.example")));
        assert_eq!(injected, "From: \"x  Bcc: y@y.example\" <ann@relay.example>\r\n");
        let long = "\u{e4}".repeat(30);
        let encoded = from(&author(Some(&long)));
        assert!(encoded.lines().all(|line| line.len() <= 76), "{encoded}");
        assert_eq!(encoded.matches("=?utf-8?B?").count(), 2, "{encoded}");
    }
}
