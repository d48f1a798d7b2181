//! Where a message ends, and how it is kept from ending early (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! A message ends at CRLF `.` CRLF and at nothing else: not at LF `.` LF, not at CRLF `.` LF, not
//! at CRLF `.` CR CRLF. Servers that take one of these for the end, behind servers that do not, are
//! what SMTP smuggling lives on. The CRLF that ends the DATA command counts as the first of the
//! three, so an empty message is a single dot.

mod stuffer;

pub use self::stuffer::DotStuffer;
use crate::enhanced::{Class, EnhancedCode};
use crate::reply::{Reply, ReplyCode};

/// Finds the end of an incoming message and takes away the dots added for transparency.
///
/// Bare CR and bare LF neither end a message nor begin a line. They are passed through and told by
/// [`faults`](Self::faults), so that a message with them can be refused once it has ended; without
/// a fault every CR in the output is followed by LF, and every LF follows a CR.
///
/// ```
/// use smtp::{EndOfData, Progress};
///
/// let mut end = EndOfData::new();
/// let mut message = Vec::new();
/// assert_eq!(end.feed(b"Hello\r\n..\r", &mut message), Progress::More);
/// assert_eq!(end.feed(b"\n.\r\nQUIT\r\n", &mut message), Progress::Done { consumed: 4 });
/// assert_eq!(message, b"Hello\r\n.\r\n");
/// assert!(end.faults().is_empty());
/// ```
#[derive(Debug)]
pub struct EndOfData {
    state: State,
    /// Octets of the line so far, without the dot that is taken away and without CRLF.
    line: usize,
    line_limit: usize,
    faults: Faults,
}

/// What the octets before this one were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// CRLF, or nothing.
    LineStart,
    /// A dot at the start of a line, not passed on.
    Dot,
    /// That dot, and a CR not passed on.
    DotCr,
    /// Something else.
    InLine,
    /// A CR not passed on.
    Cr,
    /// CRLF `.` CRLF.
    Done,
}

/// How far [`EndOfData::feed`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// All input was taken and the message goes on.
    More,
    /// The message ended after this many octets of the input; what follows is no part of it.
    Done {
        /// How many octets were taken, the end itself included.
        consumed: usize,
    },
}

impl EndOfData {
    /// The most octets of a text line, CRLF included, added dot not counted (RFC 5321 §4.5.3.1.6).
    pub const LINE_LIMIT: usize = 1000;

    /// Begins after the CRLF of the DATA command; lines past [`LINE_LIMIT`](Self::LINE_LIMIT) are a
    /// fault.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_line_limit(Self::LINE_LIMIT)
    }

    /// Begins after the CRLF of the DATA command; lines past `limit` octets, CRLF included, are a
    /// fault.
    #[must_use]
    pub const fn with_line_limit(limit: usize) -> Self {
        Self { state: State::LineStart, line: 0, line_limit: limit, faults: Faults::NONE }
    }

    /// Takes the next octets of the stream and appends the message's own to `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        out.reserve(input.len());
        let mut rest = input;
        while self.state != State::Done {
            if self.state == State::InLine {
                rest = self.run(rest, out);
            }
            let Some((&octet, after)) = rest.split_first() else {
                return Progress::More;
            };
            rest = after;
            self.step(octet, out);
        }
        Progress::Done { consumed: input.len() - rest.len() }
    }

    /// What was wrong with the octets so far.
    #[must_use]
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// Passes on all that stands before the next CR or LF.
    fn run<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let length = memchr::memchr2(b'\r', b'\n', input).unwrap_or(input.len());
        let (plain, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        out.extend_from_slice(plain);
        self.grow(plain.len());
        rest
    }

    fn step(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.state = match (self.state, octet) {
            (State::LineStart, b'.') => State::Dot,
            (State::Dot, b'\r') => State::DotCr,
            (State::DotCr, b'\n') | (State::Done, _) => State::Done,
            (State::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                self.grow(2);
                self.line = 0;
                State::LineStart
            }
            (State::Cr | State::DotCr, _) => {
                self.faults.add(DataFault::BareCr);
                self.pass(b'\r', out);
                self.in_line(octet, out)
            }
            (State::LineStart | State::Dot | State::InLine, _) => self.in_line(octet, out),
        };
    }

    /// An octet that ends nothing.
    fn in_line(&mut self, octet: u8, out: &mut Vec<u8>) -> State {
        match octet {
            b'\r' => return State::Cr,
            b'\n' => self.faults.add(DataFault::BareLf),
            _ => {}
        }
        self.pass(octet, out);
        State::InLine
    }

    fn pass(&mut self, octet: u8, out: &mut Vec<u8>) {
        out.push(octet);
        self.grow(1);
    }

    fn grow(&mut self, octets: usize) {
        self.line = self.line.saturating_add(octets);
        if self.line > self.line_limit {
            self.faults.add(DataFault::LineTooLong);
        }
    }
}

impl Default for EndOfData {
    fn default() -> Self {
        Self::new()
    }
}

/// What makes a message unfit to be passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum DataFault {
    /// A CR without LF after it (RFC 5321 §2.3.8).
    #[error("message has a bare CR")]
    BareCr,
    /// An LF without CR before it (RFC 5321 §2.3.8).
    #[error("message has a bare LF")]
    BareLf,
    /// A line longer than the limit.
    #[error("message has a line that is too long")]
    LineTooLong,
}

impl DataFault {
    /// The refusal that follows the end of the data: 554 with a content error (RFC 3463 §3.7).
    #[must_use]
    pub fn reply(self) -> Reply {
        let media = EnhancedCode::new(Class::Permanent, 6, 0);
        Reply::new(ReplyCode::TRANSACTION_FAILED, Some(media), &self.to_string())
    }

    const fn bit(self) -> u8 {
        match self {
            Self::BareCr => 1,
            Self::BareLf => 2,
            Self::LineTooLong => 4,
        }
    }
}

/// A set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults(u8);

impl Faults {
    pub(crate) const NONE: Self = Self(0);

    /// Whether nothing was wrong.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `fault` was seen.
    #[must_use]
    pub const fn contains(self, fault: DataFault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// The gravest fault: one that may be an attack goes before one that is only long.
    #[must_use]
    pub fn gravest(self) -> Option<DataFault> {
        [DataFault::BareCr, DataFault::BareLf, DataFault::LineTooLong]
            .into_iter()
            .find(|&fault| self.contains(fault))
    }

    pub(crate) const fn add(&mut self, fault: DataFault) {
        self.0 |= fault.bit();
    }
}

#[cfg(test)]
mod tests;
