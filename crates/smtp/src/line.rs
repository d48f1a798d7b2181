//! Command lines cut from a stream (RFC 5321 §2.3.8, §4.1.1, §4.5.3.1.4).
//!
//! Only CRLF ends a line. A line with a bare CR, a bare LF or a NUL, and one that is too long, is a
//! fault; whatever follows the fault up to the next CRLF is thrown away and is never taken for a
//! command. That leaves nothing to a sender who hopes that we and another server disagree on where
//! a line ends.

use bytes::{Buf, Bytes, BytesMut};

use crate::enhanced::{Class, EnhancedCode};
use crate::reply::{Reply, ReplyCode};

/// Cuts lines from the front of a buffer.
///
/// How the bytes are spread over reads makes no difference to what comes out. Each byte is looked
/// at once, so a sender that trickles costs no more than one that does not.
///
/// ```
/// use bytes::BytesMut;
/// use smtp::{LineFault, LineFramer};
///
/// let mut framer = LineFramer::new(LineFramer::COMMAND_LIMIT);
/// let mut buffer = BytesMut::from("NOOP\r\nRSET\nQUIT\r\nEHLO a");
/// assert_eq!(framer.next(&mut buffer)?.unwrap().as_bytes(), b"NOOP");
/// assert_eq!(framer.next(&mut buffer), Err(LineFault::BareLf));
/// assert_eq!(framer.next(&mut buffer)?, None);
/// assert_eq!(&buffer[..], b"EHLO a");
/// # Ok::<(), LineFault>(())
/// ```
#[derive(Debug)]
pub struct LineFramer {
    limit: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a line whose first `clean` octets, all in the buffer, hold no CR, LF or NUL.
    Line { clean: usize },
    /// After a fault: dropping octets up to a CRLF.
    Discarding,
    /// The same, and the last one dropped was a CR.
    DiscardingAfterCr,
}

impl LineFramer {
    /// The most octets of a command line, CRLF included: 512 (RFC 5321 §4.5.3.1.4) and ample room
    /// for the parameters of every extension, of which ORCPT with 500 is the longest.
    pub const COMMAND_LIMIT: usize = 2048;
    /// The most octets of a line in an AUTH exchange (RFC 4954 §4).
    pub const AUTH_LIMIT: usize = 12288;

    /// A framer of lines of at most `limit` octets, CRLF included (and at least the CRLF).
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        let mut framer = Self { limit, state: State::Line { clean: 0 } };
        framer.set_limit(limit);
        framer
    }

    /// Changes the limit; call it between two lines.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = if limit < 2 { 2 } else { limit };
    }

    /// Takes the next line from the front of `buffer`; none if more has to be read first.
    ///
    /// Octets may be added to the end of `buffer` between calls, never taken from its front in
    /// the middle of a line. While this gives `None`, `buffer` holds fewer than `limit` octets.
    ///
    /// # Errors
    ///
    /// The line is at fault. Each faulty line is reported once; calling again goes on after it.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Line>, LineFault> {
        self.state = match self.state {
            State::DiscardingAfterCr if buffer.starts_with(b"\n") => {
                buffer.advance(1);
                State::Line { clean: 0 }
            }
            State::DiscardingAfterCr if buffer.is_empty() => State::DiscardingAfterCr,
            State::Discarding | State::DiscardingAfterCr => discard(buffer),
            State::Line { clean } => return self.cut(buffer, clean),
        };
        match self.state {
            State::Line { clean } => self.cut(buffer, clean),
            State::Discarding | State::DiscardingAfterCr => Ok(None),
        }
    }

    fn cut(&mut self, buffer: &mut BytesMut, clean: usize) -> Result<Option<Line>, LineFault> {
        let window = buffer.get(..self.limit).unwrap_or(buffer);
        let fresh = window.get(clean..).unwrap_or_default();
        let Some(at) = memchr::memchr3(b'\r', b'\n', 0, fresh).map(|found| clean + found) else {
            return self.wait(buffer, window.len());
        };
        match (window.get(at), window.get(at + 1)) {
            (Some(b'\n'), _) => Err(self.fault(buffer, at + 1, LineFault::BareLf)),
            (Some(0), _) => Err(self.fault(buffer, at + 1, LineFault::Nul)),
            (_, Some(b'\n')) => {
                let line = buffer.split_to(at).freeze();
                buffer.advance(2);
                self.state = State::Line { clean: 0 };
                Ok(Some(Line(line)))
            }
            (_, Some(_)) => Err(self.fault(buffer, at + 1, LineFault::BareCr)),
            (_, None) => self.wait(buffer, at),
        }
    }

    /// No line yet: there never will be if the limit is reached.
    fn wait(&mut self, buffer: &mut BytesMut, clean: usize) -> Result<Option<Line>, LineFault> {
        if buffer.len() >= self.limit {
            return Err(self.fault(buffer, self.limit, LineFault::TooLong));
        }
        self.state = State::Line { clean };
        Ok(None)
    }

    fn fault(&mut self, buffer: &mut BytesMut, octets: usize, fault: LineFault) -> LineFault {
        let dropped = buffer.split_to(octets.min(buffer.len()));
        self.state = discarding(&dropped);
        fault
    }
}

/// Drops what stands before the next CRLF, and the CRLF.
fn discard(buffer: &mut BytesMut) -> State {
    if let Some(at) = memchr::memmem::find(buffer, b"\r\n") {
        buffer.advance(at + 2);
        return State::Line { clean: 0 };
    }
    let state = discarding(buffer);
    buffer.clear();
    state
}

fn discarding(dropped: &[u8]) -> State {
    if dropped.ends_with(b"\r") { State::DiscardingAfterCr } else { State::Discarding }
}

/// A line without its CRLF. It holds no CR, LF or NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line(Bytes);

impl Line {
    /// The octets of the line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What is wrong with a line before anything is known of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LineFault {
    /// A CR without LF after it.
    #[error("bare CR in a command line")]
    BareCr,
    /// An LF without CR before it.
    #[error("bare LF in a command line")]
    BareLf,
    /// A NUL.
    #[error("NUL in a command line")]
    Nul,
    /// No CRLF within the limit.
    #[error("line too long")]
    TooLong,
}

impl LineFault {
    /// The refusal: 500, with a syntax error's enhanced code (RFC 3463 §3.6).
    #[must_use]
    pub fn reply(self) -> Reply {
        let syntax = EnhancedCode::new(Class::Permanent, 5, 2);
        Reply::new(ReplyCode::UNRECOGNIZED, Some(syntax), &self.to_string())
    }
}

#[cfg(test)]
mod tests;
