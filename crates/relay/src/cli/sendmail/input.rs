//! The message at standard input: its lines made those of the wire, and kept until it is whole.
//!
//! A program may take hours over its message, as cron does over a job's output, and the relay would not
//! wait for it. So the message is read whole first: its header in memory, bounded; its body in memory
//! while it is small, then in a file that has no name.

use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

use smtp::split_field;
use tempfile::{SpooledTempFile, spooled_tempfile};

use super::failure::Failure;
use super::options::End;

/// How many bytes a header section may have: as many as a relay takes by default.
const HEADER_MOST: usize = 1 << 20;

/// How many bytes of a body stay in memory.
const BODY_IN_MEMORY: usize = 256 << 10;

/// How many bytes a message may have, so that a program that never ends fills no disk.
const MESSAGE_MOST: u64 = 1 << 30;

/// How many bytes are read at once.
const PIECE: usize = 64 << 10;

/// A message that was read, its lines ended by CRLF.
#[derive(Debug)]
pub(super) struct Input {
    /// The header section, up to the empty line or what else ends it.
    pub(super) header: Vec<u8>,
    /// What follows it, from its beginning.
    pub(super) body: SpooledTempFile,
}

impl Input {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`Failure`] where it cannot be read or kept, or is too large.
    pub(super) fn read(mut source: impl Read, end: End) -> Result<Self, Failure> {
        let (mut lines, mut header) = (Lines::new(end), Header::default());
        let mut body = spooled_tempfile(BODY_IN_MEMORY);
        let (mut piece, mut out) = (vec![0; PIECE], Vec::new());
        let mut size = 0_u64;
        while lines.state != State::Ended {
            let read = read_some(&mut source, &mut piece).map_err(Failure::Read)?;
            match piece.get(..read) {
                Some([]) | None => lines.finish(&mut out),
                Some(bytes) => lines.feed(bytes, &mut out),
            }
            size = size.saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
            if size > MESSAGE_MOST {
                return Err(Failure::MessageTooLarge { most: MESSAGE_MOST });
            }
            let behind = header.take(&out);
            if header.bytes.len() > HEADER_MOST {
                return Err(Failure::HeaderTooLarge { most: HEADER_MOST });
            }
            body.write_all(out.get(behind..).unwrap_or_default()).map_err(Failure::Keep)?;
            out.clear();
        }
        body.seek(SeekFrom::Start(0)).map_err(Failure::Keep)?;
        Ok(Self { header: header.bytes, body })
    }
}

/// Reads what there is; an interruption by a signal is none.
fn read_some(source: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Makes lines of the wire of those that programs write, and finds the end of the message.
///
/// LF and CRLF end a line. A CR elsewhere, as progress bars write it, becomes a blank, as in Postfix: it
/// ends no line for some readers and one for others.
#[derive(Debug)]
struct Lines {
    end: End,
    state: State,
}

/// What the byte before this one was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A line's end, or nothing.
    LineStart,
    /// A dot at the start of a line, which is held back.
    Dot,
    /// The same with a CR behind it, held back too.
    DotCr,
    /// Something within a line.
    InLine,
    /// A CR within a line, held back.
    Cr,
    /// The end of the message.
    Ended,
}

impl Lines {
    const fn new(end: End) -> Self {
        Self { end, state: State::LineStart }
    }

    /// Appends the next bytes to `out`; what stands behind the end is passed over.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while self.state != State::Ended {
            if self.state == State::InLine {
                let until = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
                let (line, after) = rest.split_at(until.unwrap_or(rest.len()));
                out.extend_from_slice(line);
                rest = after;
            }
            let Some((&byte, after)) = rest.split_first() else { return };
            rest = after;
            self.step(byte, out);
        }
    }

    /// One byte.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (State::LineStart, b'.') if self.end == End::Dot => State::Dot,
            (State::Dot, b'\r') => State::DotCr,
            (State::Ended, _) | (State::Dot | State::DotCr, b'\n') => State::Ended,
            (before, byte) => {
                match before {
                    State::Dot => out.push(b'.'),
                    State::DotCr => out.extend_from_slice(b". "),
                    State::Cr if byte != b'\n' => out.push(b' '),
                    State::LineStart | State::InLine | State::Cr | State::Ended => {}
                }
                match byte {
                    b'\n' => {
                        out.extend_from_slice(b"\r\n");
                        State::LineStart
                    }
                    b'\r' => State::Cr,
                    byte => {
                        out.push(byte);
                        State::InLine
                    }
                }
            }
        };
    }

    /// The input has ended, perhaps within a line.
    fn finish(&mut self, out: &mut Vec<u8>) {
        match self.state {
            State::InLine | State::Cr => out.extend_from_slice(b"\r\n"),
            State::LineStart | State::Dot | State::DotCr | State::Ended => {}
        }
        self.state = State::Ended;
    }
}

/// The header section on its way in (RFC 5322 §2.2).
#[derive(Debug, Default)]
struct Header {
    bytes: Vec<u8>,
    /// Where its last line begins, which may go on.
    line: usize,
    is_whole: IsWhole,
}

/// Whether more of a header section may come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum IsWhole {
    #[default]
    NotYet,
    Yes,
}

impl Header {
    /// Takes what belongs to the header from the front of `bytes`, and says how much that was.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_whole == IsWhole::Yes || self.bytes.len() > HEADER_MOST {
                break;
            }
            taken += piece.len();
            self.bytes.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        taken
    }

    /// A line is whole. A line of a mailbox file, which may stand first, is no part of the message.
    fn end_line(&mut self) {
        let line = self.bytes.get(self.line..).unwrap_or_default();
        let first = self.line == 0;
        if first && (line.starts_with(b"From ") || line.starts_with(b">From ")) {
            self.bytes.clear();
            return;
        }
        let folded = !first && (line.starts_with(b" ") || line.starts_with(b"\t"));
        if folded && line.trim_ascii().is_empty() || !folded && split_field(line).is_none() {
            self.is_whole = IsWhole::Yes;
        }
        self.line = self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(into.get_mut(..most).unwrap())
        }
    }

    fn read(source: impl Read, end: End) -> (String, String) {
        let mut input = Input::read(source, end).unwrap();
        let mut body = String::new();
        input.body.read_to_string(&mut body).unwrap();
        (String::from_utf8(input.header).unwrap(), body)
    }

    #[test]
    fn lines_get_the_ends_of_the_wire_and_the_message_its_own() {
        for (text, dot, whole) in [
            ("", "", ""),
            ("a: b\n\nc\n", "a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n"),
            ("a: b\r\n\r\nc", "a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n"),
            ("\n.\nQUIT\n", "\r\n", "\r\n.\r\nQUIT\r\n"),
            ("\n.\r\nQUIT\n", "\r\n", "\r\n.\r\nQUIT\r\n"),
            ("\n.", "\r\n", "\r\n.\r\n"),
            ("\n.\r", "\r\n", "\r\n.\r\n"),
            ("\n..\n.x\n.\rx\n", "\r\n..\r\n.x\r\n. x\r\n", "\r\n..\r\n.x\r\n. x\r\n"),
            ("\n1%\r2%\r\r\n", "\r\n1% 2% \r\n", "\r\n1% 2% \r\n"),
            ("\nx\r", "\r\nx\r\n", "\r\nx\r\n"),
            ("\n\r\r\n.\n", "\r\n \r\n", "\r\n \r\n.\r\n"),
        ] {
            for (end, expected) in [(End::Dot, dot), (End::Input, whole)] {
                for (header, body) in
                    [read(text.as_bytes(), end), read(Slowly(text.as_bytes()), end)]
                {
                    assert_eq!(header + &body, expected, "{text:?} {end:?}");
                }
            }
        }
    }

    #[test]
    fn the_header_ends_before_what_is_no_field() {
        for (text, header, body) in [
            ("a: b\n c\n\nd: e\n", "a: b\r\n c\r\n\r\n", "d: e\r\n"),
            ("\na: b\n", "\r\n", "a: b\r\n"),
            ("no field\na: b\n", "no field\r\n", "a: b\r\n"),
            (" folded\n", " folded\r\n", ""),
            ("a: b\n \nc\n", "a: b\r\n \r\n", "c\r\n"),
            ("From ann@a.example Mon Nov 30\na: b\n\n", "a: b\r\n\r\n", ""),
            (">From ann\n\n", "\r\n", ""),
            ("a: b", "a: b\r\n", ""),
        ] {
            let (read_header, read_body) = read(Slowly(text.as_bytes()), End::Input);
            assert_eq!((read_header.as_str(), read_body.as_str()), (header, body), "{text:?}");
        }
    }

    #[test]
    fn a_header_and_a_message_without_end_are_refused() {
        let endless = io::repeat(b'a');
        let refused = Input::read(b"a: ".chain(endless), End::Input).unwrap_err();
        assert!(matches!(refused, Failure::HeaderTooLarge { .. }), "{refused:?}");
        let fields = b"abcdefg:\n".repeat(HEADER_MOST / 8);
        let refused = Input::read(fields.as_slice(), End::Input).unwrap_err();
        assert!(matches!(refused, Failure::HeaderTooLarge { .. }), "{refused:?}");
    }
}
