//! Adding the dots (RFC 5321 §4.5.2).

/// Makes an outgoing message fit to follow DATA: doubles each dot that begins a line, and ends it.
///
/// ```
/// use smtp::DotStuffer;
///
/// let mut wire = Vec::new();
/// let mut stuffer = DotStuffer::new();
/// stuffer.feed(b".\r\nMAIL FROM:<mallory@example.com>\r\n", &mut wire);
/// stuffer.finish(&mut wire);
/// assert_eq!(wire, b"..\r\nMAIL FROM:<mallory@example.com>\r\n.\r\n");
/// ```
#[derive(Debug)]
#[must_use]
pub struct DotStuffer {
    state: State,
}

/// What the octets before this one were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// CRLF, or nothing.
    LineStart,
    /// A CR.
    Cr,
    /// Something else.
    InLine,
}

impl DotStuffer {
    /// Begins after the CRLF of the DATA command.
    pub const fn new() -> Self {
        Self { state: State::LineStart }
    }

    /// Appends to `out` what has to be sent for the next octets of the message.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while self.state != State::InLine {
            let Some((&octet, after)) = rest.split_first() else { return };
            rest = after;
            self.step(octet, out);
        }
        self.run(rest, out);
    }

    /// Ends the message: completes its last line if that lacks its CRLF, and adds dot CRLF.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.state != State::LineStart {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn step(&mut self, octet: u8, out: &mut Vec<u8>) {
        if self.state == State::LineStart && octet == b'.' {
            out.push(b'.');
        }
        out.push(octet);
        self.state = match (self.state, octet) {
            (State::Cr, b'\n') => State::LineStart,
            (_, b'\r') => State::Cr,
            (_, _) => State::InLine,
        };
    }

    /// The same for many octets, the first of which stands neither after CR nor at a line's start.
    fn run(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some((line, after)) =
            memchr::memmem::find(rest, b"\r\n.").and_then(|at| rest.split_at_checked(at + 3))
        {
            out.extend_from_slice(line);
            out.push(b'.');
            rest = after;
        }
        out.extend_from_slice(rest);
        if rest.ends_with(b"\r\n") {
            self.state = State::LineStart;
        } else if rest.ends_with(b"\r") {
            self.state = State::Cr;
        }
    }
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}
