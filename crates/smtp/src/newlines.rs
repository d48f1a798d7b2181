//! Bare LF made whole line ends (RFC 5321 §2.3.8).

/// Puts the CR before each LF that lacks it, however the octets are cut. A CR without LF stays: what it
/// was meant for is not clear.
///
/// It is for a message whose end has been found, and never for finding it: an end of data that a repair
/// makes would be the one that SMTP smuggling lives on.
///
/// ```
/// let mut repair = smtp::NewlineRepair::new();
/// let mut whole = Vec::new();
/// repair.feed(b"Subject: x\n\nbody\r", &mut whole);
/// repair.feed(b"\n.\n", &mut whole);
/// assert_eq!(whole, b"Subject: x\r\n\r\nbody\r\n.\r\n");
/// ```
#[derive(Debug, Default)]
pub struct NewlineRepair {
    /// Whether the last octet was a CR.
    after_cr: bool,
}

impl NewlineRepair {
    /// Stands before the first octet.
    #[must_use]
    pub const fn new() -> Self {
        Self { after_cr: false }
    }

    /// Takes the next octets and appends them with whole line ends to `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|octet| *octet == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(before) => {
                    out.extend_from_slice(before);
                    let whole = before.last().map_or(self.after_cr, |last| *last == b'\r');
                    out.extend_from_slice(if whole { b"\n" } else { b"\r\n" });
                    self.after_cr = false;
                }
                None => {
                    out.extend_from_slice(line);
                    self.after_cr = line.ends_with(b"\r");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(parts: &[&[u8]]) -> Vec<u8> {
        let (mut repair, mut out) = (NewlineRepair::new(), Vec::new());
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
}
