//! A message's Message-ID, for the log: read while the header section passes, and nothing changed.

/// The name of the field, in lower case.
const NAME: &[u8] = b"message-id";

/// As much of an id is kept; RFC 5322 §2.1.1 has no line longer than 998 octets, and nobody needs that.
const LONGEST: usize = 250;

/// How long one usually is at most.
const USUAL: usize = 64;

/// Reads a message piece by piece until it knows the id, or that there is none.
#[derive(Debug)]
pub(crate) struct MessageIdScan {
    position: Position,
    /// What is behind the colon of the first such field.
    id: Vec<u8>,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// Behind so many octets of a line that are those of the name.
    Name(usize),
    /// In the blanks between name and colon (RFC 5322 §4.5.1).
    BeforeColon,
    /// In another field.
    Other,
    /// At the start of a line.
    LineStart,
    /// In the value.
    Value,
    /// Behind a line of the value: a blank goes on with it.
    ValueLineStart,
    /// All is known.
    End,
}

impl MessageIdScan {
    /// Stands before the first byte.
    pub(crate) const fn new() -> Self {
        Self { position: Position::LineStart, id: Vec::new() }
    }

    /// Takes the next piece of the message.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            self.position = match (self.position, *byte) {
                (Position::End, _) => return,
                (Position::LineStart, b'\r' | b'\n') => Position::End,
                (Position::LineStart, b' ' | b'\t') => Position::Other,
                (Position::LineStart, byte) => begins(0, byte),
                (Position::Name(matched), b':') if matched == NAME.len() => Position::Value,
                (Position::Name(matched), b' ' | b'\t') if matched == NAME.len() => {
                    Position::BeforeColon
                }
                (Position::Name(_) | Position::BeforeColon | Position::Other, b'\n') => {
                    Position::LineStart
                }
                (Position::Name(matched), byte) => begins(matched, byte),
                (Position::BeforeColon, b':') => Position::Value,
                (Position::BeforeColon, b' ' | b'\t') => Position::BeforeColon,
                (Position::BeforeColon | Position::Other, _) => Position::Other,
                (Position::Value, b'\n') => Position::ValueLineStart,
                (Position::Value | Position::ValueLineStart, byte @ (b' ' | b'\t' | 33..=126)) => {
                    if matches!(self.position, Position::ValueLineStart)
                        && !matches!(byte, b' ' | b'\t')
                    {
                        Position::End
                    } else {
                        self.keep(byte)
                    }
                }
                (Position::Value, _) => Position::Value,
                (Position::ValueLineStart, _) => Position::End,
            };
        }
    }

    /// The id, without the blanks around it; none where there is none.
    pub(crate) fn id(&self) -> Option<String> {
        let id = String::from_utf8_lossy(self.id.trim_ascii()).into_owned();
        (!id.is_empty()).then_some(id)
    }

    /// Keeps a byte of the value; where there are too many, the rest is of no use.
    fn keep(&mut self, byte: u8) -> Position {
        if self.id.len() >= LONGEST {
            return Position::End;
        }
        if self.id.is_empty() {
            self.id.reserve(USUAL);
        }
        self.id.push(byte);
        Position::Value
    }
}

/// Where the next byte stands behind `matched` octets of the name and this one.
fn begins(matched: usize, byte: u8) -> Position {
    match NAME.get(matched) {
        Some(expected) if byte.eq_ignore_ascii_case(expected) => {
            Position::Name(matched.saturating_add(1))
        }
        Some(_) | None => Position::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(message: &[u8], cut: usize) -> Option<String> {
        let mut scan = MessageIdScan::new();
        let (first, second) = message.split_at(cut.min(message.len()));
        scan.feed(first);
        scan.feed(second);
        scan.id()
    }

    #[test]
    fn the_id_is_found_in_the_header_alone_however_the_message_is_cut() {
        for (message, expected) in [
            (&b"Message-ID: <a@b.test>\r\n\r\n"[..], Some("<a@b.test>")),
            (b"Subject: x\r\nMESSAGE-id :<a@b>\r\nX: y\r\n\r\n", Some("<a@b>")),
            (b"Message-ID:\r\n <a@b>\r\nMessage-ID: <c@d>\r\n\r\n", Some("<a@b>")),
            (b"Subject: x\r\n Message-ID: <a@b>\r\n\r\nMessage-ID: <c@d>\r\n", None),
            (b"Message-IDs: <a@b>\r\nMessage-I: <c@d>\r\n\r\n", None),
            (b"Message-ID: \x1b[2J<a\xff@b>\r\n\r\n", Some("[2J<a@b>")),
            (b"Message-ID: \r\n\r\n<a@b>", None),
            (b"", None),
        ] {
            for cut in 0..=message.len() {
                assert_eq!(id(message, cut).as_deref(), expected, "{message:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_long_id_is_cut() {
        let message = [b"Message-ID: ".as_slice(), &[b'x'; 5_000], b"\r\n\r\n"].concat();
        assert_eq!(id(&message, 0).unwrap().len(), LONGEST - 1, "less the blank before it");
    }
}
