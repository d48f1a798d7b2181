//! A message's header section while it passes: its size, how many hosts have handled it
//! (RFC 5321 §6.3), who it says wrote it, what it says of TLS (RFC 8689 §3), and where it ends.
//!
//! A line that is neither a field nor the continuation of one ends the section. The empty line that
//! should stand before it is put there, as Postfix does: without it the line would join the
//! Received field that stands before the message, and readers would disagree on what the header is.
//! A first line `From ann@client.example Mon Nov 30 10:00:00 2026`, or with `>` before it, which
//! mailbox files have before each message, becomes the field `X-Mailbox-Line` where a header follows
//! it. Nothing else is changed and nothing is dropped.

/// The longest name that is distinguished from others.
const LONGEST: usize = 12;

/// How long a header section usually is at most: so much room is made for one at once.
const USUAL: usize = 1024;

/// What is put before a mailbox file's line to make it a field; the name is Postfix's.
const MAILBOX_LINE: &[u8] = b"X-Mailbox-Line: ";

/// Reads a message piece by piece as far as its header section goes.
#[derive(Debug)]
pub(crate) struct HeaderScan {
    position: Position,
    size: u64,
    received: usize,
    fields: usize,
    /// What was read and not yet passed on, for it is not clear whether it belongs to the header.
    held: Vec<u8>,
    /// Whether `held` begins with a line of a mailbox file.
    mailbox_line: MailboxLine,
    /// What the From fields say, where it is asked for.
    from: Option<Vec<Vec<u8>>>,
    /// What the TLS-Required fields say.
    tls_required: Vec<Vec<u8>>,
    /// The field at hand, where what it says is kept.
    at: Option<Kept>,
}

/// Whether a message begins with a line of a mailbox file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MailboxLine {
    Absent,
    Held,
}

/// A field of which is kept what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    From,
    TlsRequired,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Position {
    /// At the start of a line.
    LineStart,
    /// In a field's name.
    Name(Name),
    /// In the blanks that old mail has before the colon (RFC 5322 §4.5).
    BeforeColon(Name),
    /// Behind the colon, or in a continuation line.
    Value,
    /// In a first line that begins like one of a mailbox file.
    MailboxLine,
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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Name {
    letters: [u8; LONGEST],
    length: usize,
}

impl HeaderScan {
    /// Stands before the first byte.
    pub(crate) const fn new() -> Self {
        Self {
            position: Position::LineStart,
            size: 0,
            received: 0,
            fields: 0,
            held: Vec::new(),
            mailbox_line: MailboxLine::Absent,
            from: None,
            tls_required: Vec::new(),
            at: None,
        }
    }

    /// The same, and what the From fields say is kept.
    pub(crate) fn keeping_from() -> Self {
        Self { from: Some(Vec::new()), ..Self::new() }
    }

    /// Takes the header section's part of the next piece of the message, appends to `out` what can
    /// be passed on, and returns how many bytes it took. The rest is body.
    pub(crate) fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        let mut rest = piece;
        if !self.has_ended() {
            out.reserve(piece.len().min(USUAL));
        }
        while !self.has_ended() {
            rest = self.run(rest, out);
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = after;
            self.size = self.size.saturating_add(1);
            self.held.push(byte);
            let position = self.step(byte);
            self.note(position, &[byte]);
            self.position = position;
            self.release(out);
        }
        piece.len().saturating_sub(rest.len())
    }

    /// Passes on what is left of a field's line but its end, in one go: nothing in it changes the
    /// position.
    fn run<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        if self.position != Position::Value || !self.held.is_empty() {
            return rest;
        }
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        self.size = self.size.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        self.note(Position::Value, line);
        out.extend_from_slice(line);
        rest
    }

    /// The message is over: appends to `out` what was held.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.position = Position::Body(Ended::Text);
            self.release(out);
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
        matches!(self.position, Position::Body(_))
    }

    /// What each From field says, folds included, where it was asked for.
    pub(crate) fn said_by_from(&self) -> impl Iterator<Item = &[u8]> {
        self.from.iter().flatten().map(Vec::as_slice)
    }

    /// Takes what each TLS-Required field has said so far, folds included.
    pub(crate) fn take_tls_required(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.tls_required)
    }

    /// A line that is no header field ends the section, as the empty line does: mail without a
    /// header is common enough, and its body must not be measured as one.
    fn step(&mut self, byte: u8) -> Position {
        match (self.position, byte) {
            (Position::LineStart, b'\r') => Position::Body(Ended::EmptyLine),
            (Position::LineStart, b':') => Position::Body(Ended::Text),
            (Position::LineStart, 33..=126) => Position::Name(Name::default().and(byte)),
            // What continues no field of the message would continue our own.
            (Position::LineStart, b' ' | b'\t') if self.fields == 0 => Position::Body(Ended::Text),
            (Position::Name(name) | Position::BeforeColon(name), b':') => self.field(name),
            (Position::Name(name) | Position::BeforeColon(name), b' ' | b'\t') => {
                Position::BeforeColon(name)
            }
            (Position::Name(name), 33..=126) => Position::Name(name.and(byte)),
            (Position::BeforeColon(name), 33..=126)
                if self.is_first_line() && name.is_mailbox() =>
            {
                Position::MailboxLine
            }
            (Position::MailboxLine, b'\n') if is_mailbox_line(&self.held) => {
                self.mailbox_line = MailboxLine::Held;
                Position::LineStart
            }
            (Position::MailboxLine, b'\n') => Position::Body(Ended::Text),
            (Position::MailboxLine, _) => Position::MailboxLine,
            (Position::Value, b'\n') => Position::LineStart,
            (Position::LineStart, b' ' | b'\t') | (Position::Value, _) => Position::Value,
            (
                Position::LineStart
                | Position::Name(_)
                | Position::BeforeColon(_)
                | Position::Body(_),
                _,
            ) => Position::Body(Ended::Text),
        }
    }

    /// Whether no line was read to its end yet.
    fn is_first_line(&self) -> bool {
        self.fields == 0 && self.mailbox_line == MailboxLine::Absent
    }

    /// The colon of a field was read.
    fn field(&mut self, name: Name) -> Position {
        self.fields = self.fields.saturating_add(1);
        self.at = match name.letters() {
            b"from" => Some(Kept::From),
            b"tls-required" => Some(Kept::TlsRequired),
            _ => None,
        };
        if let Some(said) = self.said() {
            said.push(Vec::new());
        }
        if name.letters() == b"received" {
            self.received = self.received.saturating_add(1);
        }
        Position::Value
    }

    /// What fields like the one at hand say, where it is kept.
    const fn said(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        match self.at {
            Some(Kept::From) => self.from.as_mut(),
            Some(Kept::TlsRequired) => Some(&mut self.tls_required),
            None => None,
        }
    }

    /// Keeps bytes that lead to `position`, if they belong to what such a field says.
    fn note(&mut self, position: Position, bytes: &[u8]) {
        let is_value = matches!(self.position, Position::Value | Position::LineStart)
            && matches!(position, Position::Value | Position::LineStart);
        if is_value && let Some(last) = self.said().and_then(|said| said.last_mut()) {
            last.extend_from_slice(bytes);
        }
    }

    /// Passes on what is held, once it is clear what it is.
    fn release(&mut self, out: &mut Vec<u8>) {
        let before: &[u8] = match (self.position, self.mailbox_line) {
            (Position::Value, MailboxLine::Held) => MAILBOX_LINE,
            // The end of a field's line belongs to the field.
            (
                Position::Value | Position::LineStart | Position::Body(Ended::EmptyLine),
                MailboxLine::Absent,
            ) => b"",
            (Position::Body(Ended::EmptyLine), MailboxLine::Held)
            | (Position::Body(Ended::Text), _) => b"\r\n",
            (Position::LineStart, MailboxLine::Held)
            | (Position::Name(_) | Position::BeforeColon(_) | Position::MailboxLine, _) => return,
        };
        out.extend_from_slice(before);
        out.append(&mut self.held);
        self.mailbox_line = MailboxLine::Absent;
    }
}

/// Whether a line that begins with `From ` names a time of day, as in mailbox files; others are
/// prose.
fn is_mailbox_line(line: &[u8]) -> bool {
    let is_time = |window: &[u8]| matches!(window, [hour, b':', minute] if hour.is_ascii_digit() && minute.is_ascii_digit());
    line.windows(3).any(is_time)
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

    /// Whether it is the word that a mailbox file's line begins with, quoted or not.
    fn is_mailbox(&self) -> bool {
        let letters = self.letters();
        let quotes = letters.iter().take_while(|letter| **letter == b'>').count();
        letters.get(quotes..) == Some(b"from")
    }

    /// The name, if it is none that is too long.
    fn letters(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scanned(message: &[u8]) -> HeaderScan {
        let mut scan = HeaderScan::new();
        scan.take(message, &mut Vec::new());
        scan
    }

    fn scan(message: &[u8]) -> (usize, u64) {
        let scan = scanned(message);
        (scan.received(), scan.size())
    }

    /// The message as it is passed on, cut into these pieces.
    fn passed_on(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut scan, mut out) = (HeaderScan::new(), Vec::new());
        for piece in pieces {
            let taken = scan.take(piece, &mut out);
            out.extend_from_slice(&piece[taken..]);
        }
        scan.finish(&mut out);
        out
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
            (b"From x@y Mon 10:00\r\nReceived: x\r\n", 1),
            (b" folded\r\nReceived: x\r\n", 0),
            (b": x\r\nReceived: x\r\n", 0),
            (b"\r\nReceived: x\r\n", 0),
        ] {
            let name = String::from_utf8_lossy(message);
            assert_eq!(scan(message).0, received, "{name:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_field_is_kept_out_of_the_header_and_nothing_is_dropped() {
        for (message, before) in [
            (&b""[..], ""),
            (b"Subject: x\r\n", ""),
            (b"Subject: x\r\n folded\r\n\r\n indented\r\n", ""),
            (b"\r\n indented\r\n", ""),
            (b"just words\r\n", "\r\n"),
            (b"words", "\r\n"),
            (b" indented\r\nSubject: no\r\n", "\r\n"),
            (b"\tindented\r\n", "\r\n"),
            (b" \r\nSubject: no\r\n", "\r\n"),
            (b": no name\r\n", "\r\n"),
            (b"\xfcber: no name\r\n", "\r\n"),
            (b"From here on we walk\r\nNote: 10:30 sharp\r\n", "\r\n"),
            (b"From ann@a.example Mon Nov 30 10:00:00 2026\r\n", "\r\n"),
            (b"From ann@a.example Mon Nov 30 10:00:00 2026\r\n\r\nx\r\n", "\r\n"),
            (b"From ann@a.example Mon Nov 30 10:00:00 2026\r\nx\r\n", "\r\n"),
            (b"From ann@a.example Mon Nov 30 10:00:00 2026\r\n x: y\r\n", "\r\n"),
            (b"From ann@a.example Mon Nov 30 10:00:00 2026\r\nA: b\r\n\r\n", "X-Mailbox-Line: "),
            (b">From ann@a.example Mon Nov 30 10:00:00 2026\r\nA: b\r\n", "X-Mailbox-Line: "),
            (b"From  ann 9:00\r\nFrom: a@b.example\r\n\r\n", "X-Mailbox-Line: "),
        ] {
            let expected = [before.as_bytes(), message].concat();
            let name = String::from_utf8_lossy(message);
            assert_eq!(passed_on(&[message]), expected, "{name:?}");
        }
        let within = b"Subject: x\r\nFrom ann 10:00\r\nTo: b\r\n\r\n";
        let parted = b"Subject: x\r\n\r\nFrom ann 10:00\r\nTo: b\r\n\r\n";
        assert_eq!(passed_on(&[within]), parted);
    }

    #[test]
    fn what_from_fields_say_is_kept_where_it_is_asked_for() {
        let mut scan = HeaderScan::keeping_from();
        let message =
            b"From : a@b.example,\r\n\tc@d.example\r\nX: y\r\nFROM:e@f.example\r\n\r\nFrom: g\r\n";
        for byte in message {
            scan.take(&[*byte], &mut Vec::new());
        }
        let said: Vec<_> = scan.said_by_from().collect();
        assert_eq!(said, [&b" a@b.example,\r\n\tc@d.example\r\n"[..], b"e@f.example\r\n"]);
        assert_eq!(scanned(message).said_by_from().count(), 0);
    }

    #[test]
    fn what_tls_required_fields_say_is_kept_in_the_header_alone() {
        let message = b"TLS-Required:\r\n No\r\nX-TLS-Required: No\r\ntls-REQUIRED : Yes\r\n\r\n\
            TLS-Required: No\r\n";
        let said = scanned(message).take_tls_required();
        assert_eq!(said, [&b"\r\n No\r\n"[..], b" Yes\r\n"]);
        assert!(scanned(b"no field\r\nTLS-Required: No\r\n").take_tls_required().is_empty());
    }

    #[test]
    fn a_body_without_a_header_is_not_measured() {
        let body = [b"just words\r\n".repeat(1000), b"a: b\r\n".repeat(1000)].concat();
        assert!(scan(&body).1 < 80);
    }

    proptest! {
        #[test]
        fn how_a_message_is_cut_makes_no_difference(
            message in "(>?From a 1:00|From|Received|TLS-Required|A| |:|\u{fc}|\r\n|x){0,12}",
            cut in 0..80_usize,
        ) {
            let message = message.as_bytes();
            let (one, other) = message.split_at(cut.min(message.len()));
            let whole = passed_on(&[message]);
            let mut in_pieces = scanned(one);
            if !in_pieces.has_ended() {
                in_pieces.take(other, &mut Vec::new());
            }
            prop_assert_eq!(in_pieces.take_tls_required(), scanned(message).take_tls_required());
            prop_assert_eq!(&passed_on(&[one, other]), &whole);
            // What is passed on is the message, with at most one thing put into it.
            prop_assert!(whole.len() <= message.len() + MAILBOX_LINE.len() + 2);
            let without = String::from_utf8_lossy(&whole).replacen("X-Mailbox-Line: ", "", 1);
            prop_assert_eq!(
                without.replace("\r\n", ""), String::from_utf8_lossy(message).replace("\r\n", "")
            );
            // Whatever stands before the first empty line is a field or continues one.
            let mut lines = String::from_utf8_lossy(&whole).into_owned();
            lines.insert_str(0, "Received: x\r\n");
            for line in lines.split("\r\n").take_while(|line| !line.is_empty()) {
                let name = line.split(':').next().unwrap_or_default();
                let continues = line.starts_with(' ');
                prop_assert!(continues || (line.contains(':') && !name.is_empty()), "{lines:?}");
            }
            prop_assert!(!lines.starts_with("Received: x\r\n "));
        }
    }
}
