//! What a queued message and its header are written in.

use queue::{BodyError, Lease};
use tokio::io::{AsyncReadExt, Take};

/// How much of a message is looked through for its header.
const LOOK_MAX: usize = 64 * 1024;

/// The longest line that goes by DATA: as long as listeners take by default.
const LINE_MAX: usize = 64 * 1024;

/// What a message or its header is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Alphabet {
    /// ASCII alone.
    Ascii,
    /// Perhaps more, as RFC 6152 and RFC 6532 allow.
    Utf8,
}

/// The first bytes of the message, at most `limit`.
pub(crate) async fn head(lease: &Lease, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body: Take<_> = lease.body().await?.take(u64::try_from(limit).unwrap_or(u64::MAX));
    let mut head = Vec::new();
    body.read_to_end(&mut head).await?;
    Ok(head)
}

/// What all of the message is written in.
pub(crate) async fn whole_alphabet(lease: &Lease) -> Result<Alphabet, BodyError> {
    let mut body = lease.body().await?;
    let mut piece = Vec::with_capacity(LOOK_MAX);
    while body.read_buf(&mut piece).await? > 0 {
        if !piece.is_ascii() {
            return Ok(Alphabet::Utf8);
        }
        piece.clear();
    }
    Ok(Alphabet::Ascii)
}

/// What all of the message is written in, if it has lines as DATA carries them: each ends in CRLF
/// (the last one may lack it, and gets it), none is longer than listeners take, and nowhere is a NUL,
/// a bare CR or a bare LF (RFC 5321 §2.3.8). Otherwise none: then it is binary.
pub(crate) async fn alphabet_of_lines(lease: &Lease) -> Result<Option<Alphabet>, BodyError> {
    let mut body = lease.body().await?;
    let mut lines = Lines::default();
    let mut piece = Vec::with_capacity(LOOK_MAX);
    while body.read_buf(&mut piece).await? > 0 {
        if !lines.go_on(&piece) {
            return Ok(None);
        }
        piece.clear();
    }
    Ok(lines.end())
}

/// Lines, as far as they have been looked at.
#[derive(Debug, Default)]
struct Lines {
    last: u8,
    length: usize,
    beyond_ascii: bool,
}

impl Lines {
    /// Whether they go on as lines with this piece.
    fn go_on(&mut self, piece: &[u8]) -> bool {
        self.beyond_ascii |= !piece.is_ascii();
        piece.iter().all(|byte| self.is_line(*byte))
    }

    fn is_line(&mut self, byte: u8) -> bool {
        let ends = (self.last, byte) == (b'\r', b'\n');
        let is_bare = !ends && (self.last == b'\r' || byte == b'\n');
        self.length = if ends { 0 } else { self.length.saturating_add(1) };
        self.last = byte;
        byte != 0 && !is_bare && self.length <= LINE_MAX
    }

    /// What they are written in, if the last one is a line too.
    fn end(&self) -> Option<Alphabet> {
        let alphabet = if self.beyond_ascii { Alphabet::Utf8 } else { Alphabet::Ascii };
        (self.last != b'\r').then_some(alphabet)
    }
}

/// What the message's header is written in; where that is not seen soon, perhaps in UTF-8.
pub(crate) async fn alphabet(lease: &Lease) -> Result<Alphabet, BodyError> {
    Ok(alphabet_of(&head(lease, LOOK_MAX).await?))
}

fn alphabet_of(head: &[u8]) -> Alphabet {
    let end = memchr::memmem::find(head, b"\r\n\r\n");
    let whole = end.is_some() || head.len() < LOOK_MAX;
    let header = end.and_then(|end| head.get(..end)).unwrap_or(head);
    if whole && header.is_ascii() { Alphabet::Ascii } else { Alphabet::Utf8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_lines_unless_something_in_it_is_none() {
        let (ascii, utf8) = (Some(Alphabet::Ascii), Some(Alphabet::Utf8));
        let [long, longer] =
            [LINE_MAX - 1, LINE_MAX].map(|length| [&vec![b'x'; length], &b"\r\n"[..]].concat());
        for (text, expected) in [
            (&b""[..], ascii),
            (b"a: b\r\n\r\nx\r\n", ascii),
            (b"a: b\r\n\r\nx", ascii),
            ("a: b\r\n\r\nä\r\n".as_bytes(), utf8),
            (b"\xff\xfe\r\n", utf8),
            (&long, ascii),
            (&longer, None),
            (b"x\0\r\n", None),
            (b"x\ny\r\n", None),
            (b"x\ry\r\n", None),
            (b"x\r\r\n", None),
            (b"\nx", None),
            (b"x\r", None),
        ] {
            // However it is cut into pieces.
            for size in [1, 2, 7, 100_000] {
                let mut lines = Lines::default();
                let whole = text.chunks(size).all(|piece| lines.go_on(piece));
                let found = if whole { lines.end() } else { None };
                assert_eq!(found, expected, "{:?}", &text[..text.len().min(20)]);
            }
        }
    }

    #[test]
    fn a_header_is_ascii_whatever_the_body_is() {
        assert_eq!(alphabet_of(b"Subject: x\r\n\r\n\xc3\xa4\r\n"), Alphabet::Ascii);
        assert_eq!(alphabet_of("Subject: ä\r\n\r\nx\r\n".as_bytes()), Alphabet::Utf8);
        assert_eq!(alphabet_of(b"Subject: no body\r\n"), Alphabet::Ascii);
        assert_eq!(alphabet_of(&[b'x'; LOOK_MAX]), Alphabet::Utf8);
    }
}
