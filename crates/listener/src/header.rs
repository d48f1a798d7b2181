//! What is watched in a message's header section while it passes: its size, and how many hosts
//! have handled it (RFC 5321 §6.3). Nothing is kept and nothing is changed.

/// The name of the header field that every host adds.
const RECEIVED: &[u8] = b"received";

/// Reads a message piece by piece as far as its header section goes.
#[derive(Debug)]
pub(crate) struct HeaderScan {
    place: Place,
    size: u64,
    received: usize,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the start of a line.
    LineStart,
    /// In a field's name, with so many letters of `Received` seen; none when it is another name.
    Name(Option<usize>),
    /// In the blanks that old mail has before the colon (RFC 5322 §4.5).
    BeforeColon(Field),
    /// Behind the colon, or in a continuation line.
    Value,
    /// Past the header section.
    Body,
}

/// Which field it is.
#[derive(Clone, Copy, Debug)]
enum Field {
    Received,
    Other,
}

impl HeaderScan {
    /// Stands before the first byte.
    pub(crate) const fn new() -> Self {
        Self { place: Place::LineStart, size: 0, received: 0 }
    }

    /// Takes the next piece of the message.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            if matches!(self.place, Place::Body) {
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

    /// A line that is no header field ends the section, as the empty line does: mail without a
    /// header is common enough, and its body must not be measured as one.
    fn step(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::LineStart, b':') => Place::Body,
            (Place::LineStart, 33..=126) => Self::name(Some(0), byte),
            (Place::Name(letters), b':') => self.field(Self::which(letters)),
            (Place::Name(letters), b' ' | b'\t') => Place::BeforeColon(Self::which(letters)),
            (Place::Name(letters), 33..=126) => Self::name(letters, byte),
            (Place::BeforeColon(field), b':') => self.field(field),
            (Place::BeforeColon(field), b' ' | b'\t') => Place::BeforeColon(field),
            (Place::Value, b'\n') => Place::LineStart,
            (Place::LineStart, b' ' | b'\t') | (Place::Value, _) => Place::Value,
            (Place::LineStart | Place::Name(_) | Place::BeforeColon(_) | Place::Body, _) => {
                Place::Body
            }
        }
    }

    /// One more letter of a field's name.
    fn name(letters: Option<usize>, byte: u8) -> Place {
        let fits = |seen: &usize| RECEIVED.get(*seen) == Some(&byte.to_ascii_lowercase());
        Place::Name(letters.filter(fits).map(|seen| seen.saturating_add(1)))
    }

    /// Which field has the name that was just read.
    fn which(letters: Option<usize>) -> Field {
        if letters == Some(RECEIVED.len()) { Field::Received } else { Field::Other }
    }

    /// The colon of a field was read.
    fn field(&mut self, field: Field) -> Place {
        match field {
            Field::Received => self.received = self.received.saturating_add(1),
            Field::Other => {}
        }
        Place::Value
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
