//! The canonicalisation "relaxed" of fields and bodies (RFC 6376 §3.4.2, §3.4.4).

/// The name of a field in lower case, which is its canonical form, and what stands behind the colon;
/// none without a colon.
pub(crate) fn field_name(field: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let colon = memchr::memchr(b':', field)?;
    let (name, value) = field.split_at_checked(colon)?;
    Some((name.trim_ascii_end().to_ascii_lowercase(), value.get(1..)?))
}

/// Brings the value of a field, folded as it may be and with its line end, to the form that is signed:
/// on one line, each run of blanks as one space, none at its ends.
pub(crate) fn relaxed_value(value: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(value.len());
    let mut blank = false;
    for octet in value {
        match octet {
            // An unfolded value: the line ends of a folded one stand before a blank.
            b' ' | b'\t' | b'\r' | b'\n' => blank = true,
            octet => {
                if blank && !canonical.is_empty() {
                    canonical.push(b' ');
                }
                blank = false;
                canonical.push(*octet);
            }
        }
    }
    canonical
}

/// A body on its way to the form that is signed: each run of blanks as one space, none at the end
/// of a line, no empty lines at the end, and a line end there unless nothing is left.
///
/// Where the body is cut makes no difference, and nothing of it is kept but what is in doubt: a kind,
/// and empty lines as a count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RelaxedBody {
    /// Line ends that count if anything follows.
    lines: u64,
    doubt: Doubt,
    has_begun: bool,
}

/// What has come last and may turn out to be nothing.
#[derive(Clone, Copy, Debug, Default)]
enum Doubt {
    /// Blanks, which count if anything but a line end follows.
    Blank,
    /// The same, and then a CR, which belongs to a line end if LF follows.
    BlankCr,
    /// Such a CR.
    Cr,
    #[default]
    Nothing,
}

impl RelaxedBody {
    /// Appends the canonical form of `bytes` to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((&octet, after)) = rest.split_first() {
            rest = after;
            match (octet, self.doubt) {
                (b'\n', Doubt::BlankCr | Doubt::Cr) => {
                    self.doubt = Doubt::Nothing;
                    self.lines = self.lines.saturating_add(1);
                }
                (b' ' | b'\t', Doubt::Blank | Doubt::Nothing) => self.doubt = Doubt::Blank,
                (b'\r', Doubt::Blank) => self.doubt = Doubt::BlankCr,
                (b'\r', Doubt::Nothing) => self.doubt = Doubt::Cr,
                (b' ' | b'\t' | b'\r', Doubt::BlankCr | Doubt::Cr) => {
                    self.put(b"\r", out);
                    self.doubt = if octet == b'\r' { Doubt::Cr } else { Doubt::Blank };
                }
                (_, doubt) => {
                    if matches!(doubt, Doubt::BlankCr | Doubt::Cr) {
                        self.put(b"\r", out);
                    }
                    let end = memchr::memchr3(b' ', b'\t', b'\r', rest).unwrap_or(rest.len());
                    let (run, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
                    self.put(&[octet], out);
                    out.extend_from_slice(run);
                    rest = after;
                }
            }
        }
    }

    /// Appends what the end of the body adds.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        if matches!(self.doubt, Doubt::BlankCr | Doubt::Cr) {
            self.put(b"\r", out);
        }
        if self.has_begun {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes octets that are neither blanks nor a line end, and what was in doubt before them.
    fn put(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.has_begun = true;
        for _line in 0..std::mem::take(&mut self.lines) {
            out.extend_from_slice(b"\r\n");
        }
        if matches!(std::mem::take(&mut self.doubt), Doubt::Blank | Doubt::BlankCr) {
            out.push(b' ');
        }
        out.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut relaxed, mut out) = (RelaxedBody::default(), Vec::new());
        for piece in pieces {
            relaxed.feed(piece, &mut out);
        }
        relaxed.finish(&mut out);
        out
    }

    /// The words of RFC 6376 §3.4.4, step by step over the whole body.
    fn by_the_words(body: &[u8]) -> Vec<u8> {
        let text: String = body.iter().copied().map(char::from).collect();
        let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        for line in &mut lines {
            *line = line.trim_end_matches([' ', '\t']).replace('\t', " ");
            while line.contains("  ") {
                *line = line.replace("  ", " ");
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let ended = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        ended.chars().map(|c| u8::try_from(c).unwrap()).collect()
    }

    #[test]
    fn the_example_of_the_rfc_is_canonicalised_as_it_says() {
        // RFC 6376 §3.4.5.
        assert_eq!(body(&[b" C \r\nD \t E\r\n\r\n\r\n"]), b" C\r\nD E\r\n");
        let field = |field: &[u8]| {
            let (name, value) = field_name(field).unwrap();
            [name, relaxed_value(value)].join(&b':')
        };
        assert_eq!(field(b"A: X\r\n"), b"a:X");
        assert_eq!(field(b"B : Y\t\r\n\tZ  \r\n"), b"b:Y Z");
    }

    #[test]
    fn what_is_left_of_a_body_of_blanks_is_nothing() {
        for nothing in [&b""[..], b"\r\n", b" ", b"\t\r\n \r\n", b"\r\n\r\n\r\n"] {
            assert_eq!(body(&[nothing]), b"", "{nothing:?}");
        }
    }

    #[test]
    fn a_body_without_a_last_line_end_gets_one_and_bare_ones_stay() {
        for (from, to) in [
            (&b"x"[..], &b"x\r\n"[..]),
            (b"x ", b"x\r\n"),
            (b"x\r", b"x\r\r\n"),
            (b"x\n", b"x\n\r\n"),
            (b"x \r y\r\r\n", b"x \r y\r\r\n"),
            (b"\r\nx", b"\r\nx\r\n"),
            (b" x", b" x\r\n"),
        ] {
            assert_eq!(body(&[from]).escape_ascii().to_string(), to.escape_ascii().to_string());
        }
    }

    proptest! {
        #[test]
        fn a_body_is_canonicalised_as_the_words_say_however_it_is_cut(
            text in "( |\t|\r\n|\r\n|x|y|\u{fc}){0,40}", cut in 0..90_usize,
        ) {
            let whole = text.as_bytes();
            let (one, other) = whole.split_at(cut.min(whole.len()));
            prop_assert_eq!(body(&[one, other]), by_the_words(whole));
        }

        #[test]
        fn canonicalising_twice_changes_nothing(bytes in "( |\t|\r|\n|\r\n|x){0,40}") {
            let once = body(&[bytes.as_bytes()]);
            prop_assert_eq!(&body(&[&once]), &once);
        }
    }
}
