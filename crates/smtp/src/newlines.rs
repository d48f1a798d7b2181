//! Bare LF made whole line ends (RFC 5321 §2.3.8).

/// Puts the CR before each LF that lacks it, however the octets are cut. A CR without LF stays: what it
/// was meant for is not clear.
///
/// It is for a message whose end has been found, and never for finding it: an end of data that a repair
/// makes would be the one that SMTP smuggling lives on.
///
/// ```
/// let mut repair = smtp::NewlineRepair::of_chunks();
/// let mut whole = Vec::new();
/// repair.feed(b"Subject: x\n\nbody\r", &mut whole);
/// repair.feed(b"\n.\n", &mut whole);
/// assert_eq!(whole, b"Subject: x\r\n\r\nbody\r\n.\r\n");
/// ```
#[derive(Debug)]
pub struct NewlineRepair {
    last: Last,
    dots: Dots,
}

/// What the last octet was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    BareLf,
    Cr,
    Other,
}

/// What becomes of a dot that begins a line behind a bare LF.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dots {
    Kept,
    TakenAway,
}

impl NewlineRepair {
    /// Stands before the first octet of a message that was counted.
    #[must_use]
    pub const fn of_chunks() -> Self {
        Self { last: Last::Other, dots: Dots::Kept }
    }

    /// Stands before the first octet of what [`EndOfData`](crate::EndOfData) gives. A client whose lines
    /// end in LF has doubled the dots that begin those lines (RFC 5321 §4.5.2), and here they become
    /// single.
    #[must_use]
    pub const fn of_data() -> Self {
        Self { last: Last::Other, dots: Dots::TakenAway }
    }

    /// Takes the next octets and appends them with whole line ends to `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|octet| *octet == b'\n') {
            let line = match (self.last, self.dots, line.strip_prefix(b".")) {
                (Last::BareLf, Dots::TakenAway, Some(rest)) => rest,
                (Last::BareLf | Last::Cr | Last::Other, Dots::Kept | Dots::TakenAway, _) => line,
            };
            let Some(before) = line.strip_suffix(b"\n") else {
                out.extend_from_slice(line);
                self.last = if line.ends_with(b"\r") { Last::Cr } else { Last::Other };
                continue;
            };
            out.extend_from_slice(before);
            let whole = before.last().map_or(self.last == Last::Cr, |last| *last == b'\r');
            out.extend_from_slice(if whole { b"\n" } else { b"\r\n" });
            self.last = if whole { Last::Other } else { Last::BareLf };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(parts: &[&[u8]]) -> Vec<u8> {
        let (mut repair, mut out) = (NewlineRepair::of_chunks(), Vec::new());
        for part in parts {
            repair.feed(part, &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn every_lf_follows_a_cr_and_nothing_else_is_changed(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.')], 0..40),
            cut in 0..40_usize,
        ) {
            let (before, after) = octets.split_at(cut.min(octets.len()));
            let whole = repaired(&[before, after]);
            let text = String::from_utf8(whole.clone()).unwrap();
            prop_assert!(!text.replace("\r\n", "").contains('\n'));
            let plain = String::from_utf8(octets.clone()).unwrap();
            prop_assert_eq!(text.replace("\r\n", "\n"), plain.replace("\r\n", "\n"));
            prop_assert_eq!(repaired(&[&whole]), whole);
        }
    }

    #[test]
    fn doubled_dots_behind_a_bare_lf_become_single_however_the_octets_are_cut() {
        let octets = b"a\n..b\n.\n\n..\r\n..c\n...";
        for cut in 0..octets.len() {
            let (before, after) = octets.split_at(cut);
            let (mut repair, mut out) = (NewlineRepair::of_data(), Vec::new());
            repair.feed(before, &mut out);
            repair.feed(after, &mut out);
            assert_eq!(out, b"a\r\n.b\r\n\r\n\r\n.\r\n..c\r\n..", "cut at {cut}");
        }
    }
}
