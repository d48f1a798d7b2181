//! Taking out of a notification what it returns of a message that must not leave without proven TLS
//! (RFC 8689 §5): what is left says which message it was, and what became of it.

use smtp::split_field;

/// A notification of our own, as [`super::Notification::to_bytes`] makes them, without its signatures
/// and with no more of the message's header than its Message-ID and Date. None where it is not built
/// like that.
pub(crate) fn redacted(notification: &[u8]) -> Option<Vec<u8>> {
    // The signatures cover what is taken out.
    let unsigned = from(notification, b"From: ")?;
    let boundary = between(unsigned, b"\tboundary=\"", b'"')?;
    let opening = [b"\r\n--", boundary, b"\r\n"].concat();
    let closing = [b"\r\n--", boundary, b"--\r\n"].concat();
    let part = memchr::memmem::rfind(unsigned, &opening)?;
    let blank = memchr::memmem::find(unsigned.get(part..)?, b"\r\n\r\n")?;
    let begin = part.saturating_add(blank).saturating_add(b"\r\n\r\n".len());
    let returned = unsigned.get(begin..)?;
    let returned = returned.get(..memchr::memmem::rfind(returned, &closing)?)?;
    let kept = named_alone(returned);
    Some([unsigned.get(..begin)?, &kept, &closing].concat())
}

/// The bytes from the first line on that begins like this.
fn from<'a>(bytes: &'a [u8], beginning: &[u8]) -> Option<&'a [u8]> {
    if bytes.starts_with(beginning) {
        return Some(bytes);
    }
    let line = [b"\r\n", beginning].concat();
    let place = memchr::memmem::find(bytes, &line)?.saturating_add(b"\r\n".len());
    bytes.get(place..)
}

/// What stands between the first `before` and the next `end`.
fn between<'a>(bytes: &'a [u8], before: &[u8], end: u8) -> Option<&'a [u8]> {
    let place = memchr::memmem::find(bytes, before)?.saturating_add(before.len());
    let rest = bytes.get(place..)?;
    rest.get(..memchr::memchr(end, rest)?)
}

/// The fields of a header that name a message and tell nothing of what is in it.
fn named_alone(header: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut keeps = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let goes_on = line.starts_with(b" ") || line.starts_with(b"\t");
        if !goes_on {
            let name = split_field(line).map(|(name, _)| name).unwrap_or_default();
            keeps = [&b"message-id"[..], b"date"].iter().any(|one| name.eq_ignore_ascii_case(one));
        }
        if keeps {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "From: Mail Delivery System <MAILER-DAEMON@a>\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"x/1\"\r\n\r\n\
        --x/1\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\n--x/1\r\n\r\nStatus: 5.0.0\r\n\r\n--x/1\r\n\
        Content-Type: text/rfc822-headers\r\n\r\n";

    #[test]
    fn a_redacted_notification_says_which_message_it_was_and_nothing_of_what_is_in_it() {
        let header = "Received: from a\r\n\tby b\r\nSubject: secret\r\nMessage-ID:\r\n <1@a>\r\n\
            DATE: today\r\nX: --x/1\r\nContent-Type: text/rfc822-headers\r\nTo: somebody\r\n";
        let signature = "DKIM-Signature: v=1;\r\n\tb=signed\r\n";
        for signature in ["", signature] {
            let whole = format!("{signature}{BEFORE}{header}\r\n--x/1--\r\n");
            let expected =
                format!("{BEFORE}Message-ID:\r\n <1@a>\r\nDATE: today\r\n\r\n--x/1--\r\n");
            let redacted = String::from_utf8(redacted(whole.as_bytes()).unwrap()).unwrap();
            assert_eq!(redacted, expected);
        }
    }

    #[test]
    fn what_is_not_built_like_a_notification_is_not_redacted() {
        for other in ["", "Subject: x\r\n\r\n", "From: a\r\n\r\nb", BEFORE] {
            assert_eq!(redacted(other.as_bytes()), None, "{other}");
        }
    }
}
