//! How a message's end is known, and what is wrong with its lines.

use bytes::{Buf, BytesMut};
use smtp::{BodyType, ChunkScan, EndOfData, Faults, NewlineRepair, Progress};

use crate::settings::{BareNewlines, Limits};

/// How a message's end is known, and what its lines are held to.
#[derive(Debug)]
pub(crate) struct Framing {
    end: End,
    lines: Lines,
}

/// How the message's end is known.
#[derive(Debug)]
enum End {
    /// By the client's count.
    Counted,
    /// By a dot on a line of its own.
    Dot(EndOfData),
}

/// What the lines are held to.
#[derive(Debug)]
enum Lines {
    /// The body has none (RFC 3030 §3); those of the header are looked at.
    Binary(ChunkScan),
    /// They are looked at while the end of data is looked for.
    ByEnd,
    /// They are looked at.
    Checked(ChunkScan),
    /// They get the CR that they lack, and then they are looked at.
    Repaired { repair: NewlineRepair, scan: ChunkScan },
}

/// Whether the message has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// It has; what is left of the input is no part of it.
    End,
    /// It has not, and all input is used up.
    Midst,
}

impl Framing {
    /// A message that ends with a dot.
    pub(crate) fn by_dot(limits: Limits, bare: BareNewlines) -> Self {
        match bare {
            BareNewlines::Refused => Self {
                end: End::Dot(EndOfData::with_line_limit(limits.line_length)),
                lines: Lines::ByEnd,
            },
            // How long a line is, is known once it is whole.
            BareNewlines::Repaired => Self {
                end: End::Dot(EndOfData::with_line_limit(usize::MAX)),
                lines: Lines::repaired(NewlineRepair::of_data(), limits),
            },
        }
    }

    /// A message that comes in chunks.
    pub(crate) fn in_chunks(limits: Limits, bare: BareNewlines, body: BodyType) -> Self {
        let scan = || ChunkScan::new(limits.line_length);
        let lines = match (body, bare) {
            (BodyType::BinaryMime, _) => Lines::Binary(scan()),
            (_, BareNewlines::Refused) => Lines::Checked(scan()),
            (_, BareNewlines::Repaired) => Lines::repaired(NewlineRepair::of_chunks(), limits),
        };
        Self { end: End::Counted, lines }
    }

    /// Takes the message's octets from the front of `input`, and puts them into `piece` as they are to
    /// be kept.
    pub(crate) fn take(&mut self, input: &mut BytesMut, piece: &mut Vec<u8>) -> Reach {
        piece.clear();
        let reach = match &mut self.end {
            End::Counted => {
                piece.extend_from_slice(input);
                input.clear();
                Reach::Midst
            }
            End::Dot(end) => match end.feed(input, piece) {
                Progress::More => {
                    input.clear();
                    Reach::Midst
                }
                Progress::Done { consumed } => {
                    input.advance(consumed);
                    Reach::End
                }
            },
        };
        match &mut self.lines {
            Lines::Binary(_) | Lines::ByEnd => {}
            Lines::Checked(scan) => scan.feed(piece),
            Lines::Repaired { repair, scan } => {
                let as_sent = std::mem::take(piece);
                repair.feed(&as_sent, piece);
                scan.feed(piece);
            }
        }
        reach
    }

    /// So much of the piece is header, which has lines whatever the body has (RFC 3030 §3).
    pub(crate) fn header(&mut self, header: &[u8]) {
        match &mut self.lines {
            Lines::Binary(scan) => scan.feed(header),
            Lines::ByEnd | Lines::Checked(_) | Lines::Repaired { .. } => {}
        }
    }

    /// Whether the message's body has no lines.
    pub(crate) const fn is_binary(&self) -> bool {
        matches!(self.lines, Lines::Binary(_))
    }

    /// What was wrong with the octets so far.
    pub(crate) fn faults(&self) -> Faults {
        match (&self.lines, &self.end) {
            (Lines::ByEnd, End::Dot(end)) => end.faults(),
            (Lines::ByEnd, End::Counted) => Faults::default(),
            (Lines::Binary(scan) | Lines::Checked(scan) | Lines::Repaired { scan, .. }, _) => {
                scan.faults()
            }
        }
    }

    /// What was wrong with the whole. A binary body may end as it likes.
    pub(crate) fn finish(self) -> Faults {
        match (self.lines, self.end) {
            (Lines::ByEnd, End::Dot(end)) => end.faults(),
            (Lines::ByEnd, End::Counted) => Faults::default(),
            (Lines::Binary(scan), _) => scan.faults(),
            (Lines::Checked(scan) | Lines::Repaired { scan, .. }, _) => scan.finish(),
        }
    }
}

impl Lines {
    /// Lines that get the CR that they lack.
    const fn repaired(repair: NewlineRepair, limits: Limits) -> Self {
        let scan = ChunkScan::new(limits.line_length);
        Self::Repaired { repair, scan }
    }
}
