//! The header section of a message while it passes, split into fields (RFC 5322 §2.2).

use smtp::split_field;

/// Cuts a header section into fields.
///
/// The section ends with an empty line, or before the first line that neither is a field nor
/// continues one: that line is the first of the body then.
#[derive(Debug, Default)]
pub(crate) struct FieldSplitter {
    /// The line at hand, without its end so far.
    line: Vec<u8>,
    /// The field that the lines before are.
    field: Vec<u8>,
}

/// Where the header section is after some bytes.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Reach<'a> {
    /// It has ended: what belongs to the body, a line that was taken before and the rest.
    Body(Vec<u8>, &'a [u8]),
    /// It goes on.
    Header,
}

/// What a line of a header section is.
enum LineKind {
    Continuation,
    Empty,
    Field,
    Other,
}

impl FieldSplitter {
    /// Takes the next bytes; gives each field that is whole to `keep`, with its line ends.
    pub(crate) fn feed<'a>(
        &mut self,
        mut bytes: &'a [u8],
        keep: &mut impl FnMut(&[u8]),
    ) -> Reach<'a> {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at_checked(at.saturating_add(1)).unwrap_or((bytes, b""));
            self.line.extend_from_slice(line);
            bytes = rest;
            if self.line.ends_with(b"\r\n") && self.end_line(keep) == Section::Ended {
                return Reach::Body(std::mem::take(&mut self.line), bytes);
            }
        }
        self.line.extend_from_slice(bytes);
        Reach::Header
    }

    /// The message has ended within its header section; what belongs to the body.
    pub(crate) fn finish(mut self, keep: &mut impl FnMut(&[u8])) -> Vec<u8> {
        if !self.line.is_empty() && self.end_line(keep) == Section::Ended {
            return self.line;
        }
        self.end_field(keep);
        Vec::new()
    }

    /// Judges the line at hand; an ended section leaves in it what belongs to the body.
    fn end_line(&mut self, keep: &mut impl FnMut(&[u8])) -> Section {
        match kind(&self.line, &self.field) {
            LineKind::Continuation => self.field.append(&mut self.line),
            LineKind::Empty => {
                self.end_field(keep);
                self.line.clear();
                return Section::Ended;
            }
            LineKind::Field => {
                self.end_field(keep);
                self.field.append(&mut self.line);
            }
            LineKind::Other => {
                self.end_field(keep);
                return Section::Ended;
            }
        }
        Section::GoesOn
    }

    fn end_field(&mut self, keep: &mut impl FnMut(&[u8])) {
        if !self.field.is_empty() {
            keep(&self.field);
            self.field.clear();
        }
    }
}

/// Whether the header section goes on after a line.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Section {
    Ended,
    GoesOn,
}

/// What a line is after a field; the first of a section has none before it and continues nothing.
fn kind(line: &[u8], before: &[u8]) -> LineKind {
    match line {
        b"\r\n" => LineKind::Empty,
        [b' ' | b'\t', ..] if !before.is_empty() => LineKind::Continuation,
        line if split_field(line).is_some() => LineKind::Field,
        _ => LineKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fields and the body of a message that comes in these pieces.
    fn split(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let (mut fields, mut body) = (Vec::new(), Vec::new());
        let mut keep = |field: &[u8]| fields.push(field.escape_ascii().to_string());
        let mut splitter = Some(FieldSplitter::default());
        for piece in pieces {
            let Some(open) = &mut splitter else {
                body.extend_from_slice(piece);
                continue;
            };
            if let Reach::Body(line, rest) = open.feed(piece, &mut keep) {
                body = [&line, rest].concat();
                splitter = None;
            }
        }
        if let Some(open) = splitter {
            body = open.finish(&mut keep);
        }
        (fields, body.escape_ascii().to_string())
    }

    #[test]
    fn a_message_is_cut_into_fields_and_body() {
        for (message, fields, body) in [
            (
                &b"A: b\r\n c\r\nD : e\r\n\r\nx\r\n"[..],
                &["A: b\r\n c\r\n", "D : e\r\n"][..],
                "x\r\n",
            ),
            (b"A: b\r\n", &["A: b\r\n"], ""),
            (b"A: b", &["A: b"], ""),
            (b"A: b\r\n c", &["A: b\r\n c"], ""),
            (b"\r\nx", &[], "x"),
            (b" x\r\n", &[], " x\r\n"),
            (b"words\r\nA: b\r\n", &[], "words\r\nA: b\r\n"),
            (b"A: b\r\nwords\r\n\r\n", &["A: b\r\n"], "words\r\n\r\n"),
            (b"A: b\nc\r\nD: e\r\n\r\n", &["A: b\nc\r\n", "D: e\r\n"], ""),
            (b"", &[], ""),
        ] {
            let shown = |text: &str| text.as_bytes().escape_ascii().to_string();
            let (found, rest) = split(&[message]);
            assert_eq!(found, fields.iter().map(|field| shown(field)).collect::<Vec<_>>());
            assert_eq!(rest, shown(body));
        }
    }

    proptest! {
        #[test]
        fn where_a_message_is_cut_makes_no_difference(
            message in "(A|:| |\r\n|\n|\u{fc}|x){0,14}", cut in 0..40_usize,
        ) {
            let message = message.as_bytes();
            let (one, other) = message.split_at(cut.min(message.len()));
            let whole = split(&[message]);
            prop_assert_eq!(&split(&[one, other]), &whole);
            // Nothing is lost but the empty line.
            let (fields, body) = whole;
            let parted = [fields.concat(), body].concat().replace("\\r\\n", "");
            let shown = message.escape_ascii().to_string().replace("\\r\\n", "");
            prop_assert_eq!(parted, shown);
        }
    }
}
