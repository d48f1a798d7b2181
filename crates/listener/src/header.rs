//! What is watched in a message's header section while it passes: its size, how many hosts have
//! handled it (RFC 5321 §6.3), and whether it has the fields every message must have (RFC 5322
//! §3.6). Nothing is kept and nothing is changed.

/// The longest name that is told from the others.
const LONGEST: usize = 10;

/// Reads a message piece by piece as far as its header section goes.
#[derive(Debug)]
pub(crate) struct HeaderScan {
    place: Place,
    size: u64,
    received: usize,
    date: usize,
    message_id: usize,
    fields: usize,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the start of a line.
    LineStart,
    /// In a field's name.
    Name(Name),
    /// In the blanks that old mail has before the colon (RFC 5322 §4.5).
    BeforeColon(Name),
    /// Behind the colon, or in a continuation line.
    Value,
    /// Past the header section.
    Body(Ended),
}

/// What the header section ended with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    /// An empty line.
    EmptyLine,
    /// A line that is no header field.
    Text,
}

/// A field's name so far, in lower case; what is too long is no name we know.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    letters: [u8; LONGEST],
    length: usize,
}

impl HeaderScan {
    /// Stands before the first byte.
    pub(crate) const fn new() -> Self {
        Self { place: Place::LineStart, size: 0, received: 0, date: 0, message_id: 0, fields: 0 }
    }

    /// Takes the next piece of the message.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.has_ended() {
                return;
            }
            self.size = self.size.saturating_add(1);
            self.place = self.step(*byte);
        }
    }

    /// How many bytes the header section has so far.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// How many Received header fields were seen so far.
    pub(crate) const fn received(&self) -> usize {
        self.received
    }

    /// Whether the header section is over.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.place, Place::Body(_))
    }

    /// Whether a Date header field was seen.
    pub(crate) const fn has_date(&self) -> bool {
        self.date > 0
    }

    /// Whether a Message-ID header field was seen.
    pub(crate) const fn has_message_id(&self) -> bool {
        self.message_id > 0
    }

    /// Whether there is a header section at all, be it an empty one.
    pub(crate) const fn is_there(&self) -> bool {
        self.fields > 0 || matches!(self.place, Place::Body(Ended::EmptyLine))
    }

    /// A line that is no header field ends the section, as the empty line does: mail without a
    /// header is common enough, and its body must not be measured as one.
    fn step(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::LineStart, b'\r') => Place::Body(Ended::EmptyLine),
            (Place::LineStart, b':') => Place::Body(Ended::Text),
            (Place::LineStart, 33..=126) => Place::Name(Name::default().and(byte)),
            (Place::Name(name) | Place::BeforeColon(name), b':') => self.field(name),
            (Place::Name(name) | Place::BeforeColon(name), b' ' | b'\t') => {
                Place::BeforeColon(name)
            }
            (Place::Name(name), 33..=126) => Place::Name(name.and(byte)),
            (Place::Value, b'\n') => Place::LineStart,
            (Place::LineStart, b' ' | b'\t') | (Place::Value, _) => Place::Value,
            (Place::LineStart | Place::Name(_) | Place::BeforeColon(_) | Place::Body(_), _) => {
                Place::Body(Ended::Text)
            }
        }
    }

    /// The colon of a field was read.
    fn field(&mut self, name: Name) -> Place {
        self.fields = self.fields.saturating_add(1);
        let count = match name.letters() {
            b"received" => &mut self.received,
            b"date" => &mut self.date,
            b"message-id" => &mut self.message_id,
            _ => return Place::Value,
        };
        *count = count.saturating_add(1);
        Place::Value
    }
}

impl Name {
    /// One more letter.
    fn and(mut self, byte: u8) -> Self {
        if let Some(letter) = self.letters.get_mut(self.length) {
            *letter = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(1);
        self
    }

    /// The name, if it is none that is too long.
    fn letters(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(message: &[u8]) -> (usize, u64) {
        let mut scan = HeaderScan::new();
        scan.feed(message);
        (scan.received(), scan.size())
    }

    #[test]
    fn received_fields_are_counted_in_the_header_alone() {
        for (message, received) in [
            (&b""[..], 0),
            (b"Received: x\r\n\r\n", 1),
            (b"RECEIVED:x\r\nreceived : y\r\n\tReceived: no\r\nSubject: Received:\r\n\r\n", 2),
            (b"X-Received: x\r\nReceive: x\r\nReceivedd: x\r\n\r\n", 0),
            (b"Subject: x\r\n\r\nReceived: x\r\n", 0),
            (b"no header at all\r\nReceived: x\r\n", 0),
            (b"From x@y Mon\r\nReceived: x\r\n", 0),
            (b": x\r\nReceived: x\r\n", 0),
            (b"\r\nReceived: x\r\n", 0),
        ] {
            let name = String::from_utf8_lossy(message);
            assert_eq!(scan(message).0, received, "{name:?}");
        }
    }

    #[test]
    fn the_fields_that_must_be_there_are_found_in_the_header_alone() {
        for (message, date, message_id, there) in [
            (&b""[..], false, false, false),
            (b"\r\nDate: x\r\n", false, false, true),
            (b"just words\r\nDate: x\r\n", false, false, false),
            (b"Date: x\r\nMESSAGE-ID: <y>\r\n\r\n", true, true, true),
            (b"date : x\r\n\r\nMessage-ID: <y>\r\n", true, false, true),
            (b"Resent-Date: x\r\nMessage-IDs: y\r\nX: z\r\n Date: q\r\n", false, false, true),
        ] {
            let mut scan = HeaderScan::new();
            scan.feed(message);
            let name = String::from_utf8_lossy(message);
            let found = (scan.has_date(), scan.has_message_id(), scan.is_there());
            assert_eq!(found, (date, message_id, there), "{name:?}");
        }
    }

    #[test]
    fn the_size_does_not_depend_on_how_the_message_is_cut() {
        let message =
            b"Received: a\r\n b\r\nReceived: c\r\nSubject: d\r\n\r\nbody\r\nReceived: e\r\n";
        let whole = scan(message);
        assert_eq!(whole.0, 2);
        for cut in 0..message.len() {
            let mut scan = HeaderScan::new();
            scan.feed(&message[..cut]);
            scan.feed(&message[cut..]);
            assert_eq!((scan.received(), scan.size()), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_without_a_header_is_not_measured() {
        let body = [b"just words\r\n".repeat(1000), b"a: b\r\n".repeat(1000)].concat();
        assert!(scan(&body).1 < 80);
    }
}
