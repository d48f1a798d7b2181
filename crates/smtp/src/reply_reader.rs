//! Reading a peer's reply, line by line.

use crate::enhanced::EnhancedCode;
use crate::reply::{Reply, ReplyCode};

/// Puts together the lines of one reply (RFC 5321 §4.2.1).
///
/// The code on the last line is the reply's. All lines must agree with it in their first digit: a
/// peer whose first line says 250 and whose last says 550 has not said anything.
///
/// A reply has no greatest number of lines in RFC 5321, so it is never refused for its length: text
/// is kept up to a bound, and what lies beyond is read and forgotten.
///
/// ```
/// use smtp::ReplyReader;
///
/// let mut reader = ReplyReader::new();
/// assert_eq!(reader.line(b"250-mx.example.net")?, None);
/// let reply = reader.line(b"250 STARTTLS")?.expect("the last line ends the reply");
/// assert_eq!(reply.lines().collect::<Vec<_>>(), ["mx.example.net", "STARTTLS"]);
/// # Ok::<(), smtp::ReplyError>(())
/// ```
#[derive(Debug)]
pub struct ReplyReader {
    /// The code of the line before, if the reply has begun.
    code: Option<ReplyCode>,
    lines: Vec<String>,
    /// How much text `lines` holds.
    octets: usize,
    /// How many of the lines beyond the bound were kept.
    picked: usize,
    pick: fn(&str) -> bool,
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyReader {
    /// The most text of a reply that is kept; our own bound, eight lines of the greatest length.
    pub const KEPT_OCTETS: usize = 4096;
    /// The most lines that are kept beyond that because somebody asked for them.
    pub const PICKED_LINES: usize = 64;

    /// A reader that waits for the first line of a reply.
    #[must_use]
    pub const fn new() -> Self {
        Self::picking(none)
    }

    /// A reader that also keeps those lines beyond the bound for which `pick` holds, each once: a
    /// keyword of an EHLO reply counts wherever it stands.
    #[must_use]
    pub const fn picking(pick: fn(&str) -> bool) -> Self {
        Self { code: None, lines: Vec::new(), octets: 0, picked: 0, pick }
    }

    /// Takes the next line, without its CRLF; gives the reply when that was its last.
    ///
    /// An enhanced code is taken from the first line, and only if its class is the code's; it is
    /// left out of the text of each line that begins with it.
    ///
    /// # Errors
    ///
    /// The line belongs to no reply. What follows on this connection cannot be trusted.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, last, text) = split(line).ok_or(ReplyError::Malformed)?;
        if self.code.is_some_and(|before| before.severity() != code.severity()) {
            self.forget();
            return Err(ReplyError::CodesDiffer);
        }
        self.code = Some(code);
        self.keep(text);
        match last {
            Last::No => Ok(None),
            Last::Yes => Ok(self.begun()),
        }
    }

    /// The reply as far as it was read, if it has begun and all its lines agree so far; a reader
    /// that begins again is left.
    ///
    /// For the one place where a reply that breaks off still decides: behind the final dot a code
    /// that was said is believed, because asking again would deliver the message twice.
    pub fn begun(&mut self) -> Option<Reply> {
        let code = self.code?;
        let reply = whole(code, std::mem::take(&mut self.lines));
        self.forget();
        Some(reply)
    }

    /// Keeps a line's text if there is room for it.
    fn keep(&mut self, text: &[u8]) {
        let text = text.get(..Reply::MAX_LINE_OCTETS).unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let octets = self.octets.saturating_add(text.len());
        if octets <= Self::KEPT_OCTETS && self.lines.len() < Reply::MAX_LINES {
            self.octets = octets;
        } else if self.picked < Self::PICKED_LINES
            && (self.pick)(&text)
            && !self.lines.iter().any(|line| *line == text)
        {
            self.picked = self.picked.saturating_add(1);
        } else {
            return;
        }
        self.lines.push(text.into_owned());
    }

    fn forget(&mut self) {
        *self = Self::picking(self.pick);
    }
}

/// Picks no line.
const fn none(_line: &str) -> bool {
    false
}

/// Whether a line is the last of its reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

fn split(line: &[u8]) -> Option<(ReplyCode, Last, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let digits = std::str::from_utf8(digits).ok()?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let code = ReplyCode::new(digits.parse().ok()?)?;
    match rest {
        [] => Some((code, Last::Yes, rest)),
        [b' ', text @ ..] => Some((code, Last::Yes, text)),
        [b'-', text @ ..] => Some((code, Last::No, text)),
        [_, ..] => None,
    }
}

fn whole(code: ReplyCode, lines: Vec<String>) -> Reply {
    let enhanced = lines
        .first()
        .and_then(|line| line.split(' ').next())
        .and_then(EnhancedCode::parse)
        .filter(|e| code.severity().class() == Some(e.class()));
    let Some(enhanced) = enhanced else {
        return Reply::of_lines(code, None, lines);
    };
    let texts = lines.into_iter().map(|line| without(line, enhanced));
    Reply::of_lines(code, Some(enhanced), texts.collect())
}

/// A line without the enhanced code that it begins with, if it does.
fn without(mut line: String, enhanced: EnhancedCode) -> String {
    let octets = enhanced.octets();
    let begins = line.bytes().take(octets).eq(enhanced.written());
    match line.as_bytes().get(octets) {
        None if begins => String::new(),
        Some(b' ') if begins => {
            drop(line.drain(..=octets));
            line
        }
        Some(_) | None => line,
    }
}

/// Why a line belongs to no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The lines of one reply carry codes of different classes.
    #[error("the lines of a reply carry different codes")]
    CodesDiffer,
    /// It does not begin with a code from 200 to 599 and a blank or hyphen.
    #[error("malformed reply line")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Reply>, ReplyError> {
        let mut reader = ReplyReader::new();
        let mut last = Ok(None);
        for line in lines {
            assert_eq!(last, Ok(None), "the reply ended before {line}");
            last = reader.line(line.as_bytes());
        }
        last
    }

    #[test]
    fn a_reply_is_read_with_its_enhanced_code() {
        let table: [(&[&str], &str); 10] = [
            (&["250 ok"], "250 ok"),
            (&["250"], "250 "),
            (&["250 "], "250 "),
            (&["550 5.7.1 no"], "550 5.7.1 no"),
            (&["550 5.7.1"], "550 5.7.1 "),
            (&["550-5.7.1 no", "550 5.7.1 never"], "550 5.7.1 no never"),
            (&["550-5.7.1 no", "550 never"], "550 5.7.1 no never"),
            (&["550-no", "550 5.7.1 never"], "550 no 5.7.1 never"),
            (&["550 5.7.10.2 no"], "550 5.7.10.2 no"),
            (&["250 2.1.5jörg"], "250 2.1.5j?rg"),
        ];
        for (lines, whole) in table {
            assert_eq!(read(lines).unwrap().unwrap().one_line(), whole, "{lines:?}");
        }
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_only_text() {
        let reply = read(&["250 5.7.1 ok"]).unwrap().unwrap();
        assert_eq!(reply.enhanced(), None);
        assert_eq!(reply.lines().collect::<Vec<_>>(), ["5.7.1 ok"]);
    }

    #[test]
    fn lines_with_codes_of_different_classes_are_no_reply() {
        for lines in [["250-ok", "550 no"], ["550-no", "250-ok"], ["450-later", "550 no"]] {
            assert_eq!(read(&lines), Err(ReplyError::CodesDiffer), "{lines:?}");
        }
    }

    #[test]
    fn of_codes_of_one_class_the_last_lines_is_the_replys() {
        for (lines, whole) in [
            (["220-mx.example.net", "250 ready"], "250 mx.example.net ready"),
            (["550-5.7.1 no", "554 5.7.1 never"], "554 5.7.1 no never"),
        ] {
            assert_eq!(read(&lines).unwrap().unwrap().one_line(), whole, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_reply_line_is_refused() {
        for line in [
            "", "2", "25", "ok", "199 x", "600 x", "000 x", "999 x", "2500 x", "250x", "250+x",
            " 250 x", "-50 x", "+50 x", "2 0 x", "250\tx", "ÄÖ x",
        ] {
            assert_eq!(read(&[line]), Err(ReplyError::Malformed), "{line:?}");
        }
        assert_eq!(ReplyReader::new().line(b"\xff\xff\xff x"), Err(ReplyError::Malformed));
    }

    #[test]
    fn a_reply_is_as_long_as_its_host_likes_and_only_the_beginning_of_its_text_is_kept() {
        for (line, count, kept) in [
            (format!("250-{}", "x".repeat(93)), 50, 44),
            ("250-short".to_owned(), 100_000, Reply::MAX_LINES),
            (format!("250-{}", "x".repeat(2_000)), 10_000, 8),
            ("250-".to_owned(), 1_000, Reply::MAX_LINES),
        ] {
            let mut reader = ReplyReader::new();
            for _ in 0..count {
                assert_eq!(reader.line(line.as_bytes()), Ok(None));
            }
            let reply = reader.line(b"250 2.0.0 queued").unwrap().unwrap();
            assert_eq!((reply.code(), reply.lines().len()), (ReplyCode::OK, kept), "{count}");
        }
    }

    #[test]
    fn a_picked_line_is_kept_once_wherever_it_stands() {
        let mut reader = ReplyReader::picking(|text| text.starts_with("SIZE"));
        for number in 0..500 {
            assert_eq!(reader.line(format!("250-X{number}").as_bytes()), Ok(None));
        }
        for _ in 0..100 {
            assert_eq!(reader.line(b"250-SIZE 1000"), Ok(None));
        }
        let reply = reader.line(b"250 OTHER").unwrap().unwrap();
        assert_eq!(reply.lines().len(), Reply::MAX_LINES + 1);
        assert_eq!(reply.lines().last(), Some("SIZE 1000"));
        let mut reader = ReplyReader::picking(|_| true);
        for number in 0..100_000 {
            assert_eq!(reader.line(format!("250-X{number}").as_bytes()), Ok(None));
        }
        let most = Reply::MAX_LINES + ReplyReader::PICKED_LINES;
        assert_eq!(reader.line(b"250 x").unwrap().unwrap().lines().len(), most);
    }

    #[test]
    fn what_was_said_of_a_reply_that_breaks_off_is_known_unless_its_lines_differ() {
        let mut reader = ReplyReader::new();
        assert_eq!(reader.begun(), None);
        assert_eq!(reader.line(b"250-2.0.0 queued"), Ok(None));
        assert_eq!(reader.line(b"this is no line of a reply"), Err(ReplyError::Malformed));
        assert_eq!(reader.begun().unwrap().one_line(), "250 2.0.0 queued");
        assert_eq!(reader.begun(), None);
        assert_eq!(reader.line(b"250-queued"), Ok(None));
        assert_eq!(reader.line(b"550 or not"), Err(ReplyError::CodesDiffer));
        assert_eq!(reader.begun(), None);
    }

    #[test]
    fn one_reader_reads_one_reply_after_the_other() {
        let mut reader = ReplyReader::new();
        assert!(reader.line(b"250 one").unwrap().is_some());
        assert!(reader.line(b"354-two").unwrap().is_none());
        assert_eq!(reader.line(b"354 three").unwrap().unwrap().one_line(), "354 two three");
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd_to_be_judged(lines in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..30),
                "(250|550)[ -]([245]\\.[0-9]\\.[0-9] )?\\PC{0,10}".prop_map(String::into_bytes),
            ],
            0..8,
        )) {
            let mut reader = ReplyReader::new();
            for line in lines {
                if let Ok(Some(reply)) = reader.line(&line) {
                    prop_assert!(reply.lines().len() >= 1);
                }
            }
        }
    }
}
