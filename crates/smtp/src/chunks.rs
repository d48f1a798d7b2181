//! A message that comes in counted chunks (RFC 3030), held to the rules of one that comes by DATA.
//!
//! Nothing marks the end but the count, so nothing is taken away from the octets. They are looked
//! through for what DATA could not carry either: the message may leave by DATA, and a bare CR or LF
//! in it would be somebody else's end of data.

use crate::data::{DataFault, Faults};

/// Looks through a message's octets, however they are cut.
///
/// ```
/// use smtp::{ChunkScan, DataFault};
///
/// let mut scan = ChunkScan::new(1000);
/// scan.feed(b"Subject: x\r");
/// scan.feed(b"\n\r\n.\r\n");
/// assert!(scan.finish().is_empty());
///
/// let mut scan = ChunkScan::new(1000);
/// scan.feed(b"x\r\n.\n");
/// assert_eq!(scan.finish().gravest(), Some(DataFault::BareLf));
/// ```
#[derive(Debug)]
pub struct ChunkScan {
    /// Whether the last octet was a CR.
    after_cr: bool,
    /// Octets of the line so far.
    line: usize,
    line_limit: usize,
    faults: Faults,
}

impl ChunkScan {
    /// Stands before the first octet; lines past `limit` octets, CRLF included, are a fault.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { after_cr: false, line: 0, line_limit: limit, faults: Faults::NONE }
    }

    /// Looks at the next octets.
    pub fn feed(&mut self, input: &[u8]) {
        let mut rest = input;
        while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
            if at > 0 {
                self.plain(at);
            }
            let (Some(octet), Some(after)) = (rest.get(at), rest.get(at.saturating_add(1)..))
            else {
                return;
            };
            self.line_end(*octet);
            rest = after;
        }
        if !rest.is_empty() {
            self.plain(rest.len());
        }
    }

    /// What was wrong with the octets so far; a CR at the very end is yet to be judged.
    #[must_use]
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// What was wrong with the whole.
    #[must_use]
    pub const fn finish(mut self) -> Faults {
        if self.after_cr {
            self.faults.add(DataFault::BareCr);
        }
        self.faults
    }

    /// Passes over octets that are neither CR nor LF.
    const fn plain(&mut self, length: usize) {
        if self.after_cr {
            self.faults.add(DataFault::BareCr);
            self.after_cr = false;
        }
        self.grow(length);
    }

    /// Passes over a CR or an LF.
    const fn line_end(&mut self, octet: u8) {
        match (self.after_cr, octet) {
            (true, b'\n') => {
                self.grow(1);
                self.after_cr = false;
                self.line = 0;
            }
            (true, _) => {
                self.faults.add(DataFault::BareCr);
                self.grow(1);
            }
            (false, b'\n') => {
                self.faults.add(DataFault::BareLf);
                self.grow(1);
            }
            (false, _) => {
                self.grow(1);
                self.after_cr = true;
            }
        }
    }

    const fn grow(&mut self, length: usize) {
        self.line = self.line.saturating_add(length);
        if self.line > self.line_limit {
            self.faults.add(DataFault::LineTooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(parts: &[&[u8]]) -> Faults {
        let mut scan = ChunkScan::new(10);
        for part in parts {
            scan.feed(part);
        }
        scan.finish()
    }

    #[test]
    fn what_data_could_not_carry_is_a_fault() {
        for (octets, fault) in [
            (&b""[..], None),
            (b"x", None),
            (b"\r\n", None),
            (b"\r\n.\r\n", None),
            (b"12345678\r\n12345678\r\n", None),
            (b"x\n", Some(DataFault::BareLf)),
            (b"\n", Some(DataFault::BareLf)),
            (b"\r", Some(DataFault::BareCr)),
            (b"\r\r\n", Some(DataFault::BareCr)),
            (b"x\ry\r\n", Some(DataFault::BareCr)),
            (b"123456789\r\n", Some(DataFault::LineTooLong)),
            (b"12345678901", Some(DataFault::LineTooLong)),
        ] {
            assert_eq!(judged(&[octets]).gravest(), fault, "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn how_the_octets_are_cut_makes_no_difference(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..40),
            cut in 0..40_usize,
        ) {
            let cut = cut.min(octets.len());
            let (before, after) = octets.split_at(cut);
            prop_assert_eq!(judged(&[&octets]), judged(&[before, after]));
        }

        #[test]
        fn octets_without_fault_have_whole_line_ends(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..9),
        ) {
            if judged(&[&octets]).is_empty() {
                let text = String::from_utf8(octets).unwrap().replace("\r\n", "");
                prop_assert!(!text.contains(['\r', '\n']));
            }
        }
    }
}
