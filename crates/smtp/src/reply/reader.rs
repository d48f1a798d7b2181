//! Reading a peer's reply, line by line.

use crate::enhanced::EnhancedCode;
use crate::reply::{Reply, ReplyCode};

/// Puts together the lines of one reply (RFC 5321 §4.2.1).
///
/// All lines must carry one code: a peer whose first line says 250 and whose last says 550 has not
/// said anything.
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
#[derive(Debug, Default)]
pub struct ReplyReader {
    code: Option<ReplyCode>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// A reader that waits for the first line of a reply.
    #[must_use]
    pub const fn new() -> Self {
        Self { code: None, lines: Vec::new() }
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
        if self.code.is_some_and(|first| first != code) {
            return Err(ReplyError::CodesDiffer);
        }
        if self.lines.len() == Reply::MAX_LINES {
            return Err(ReplyError::TooManyLines);
        }
        self.code = Some(code);
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        if last == Last::No {
            return Ok(None);
        }
        self.code = None;
        Ok(Some(whole(code, &std::mem::take(&mut self.lines))))
    }
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

fn whole(code: ReplyCode, lines: &[String]) -> Reply {
    let enhanced = lines
        .first()
        .and_then(|line| line.split(' ').next())
        .and_then(EnhancedCode::parse)
        .filter(|e| code.severity().class() == Some(e.class()));
    let Some(enhanced) = enhanced else {
        return Reply::multiline(code, None, lines);
    };
    let prefix = enhanced.to_string();
    let texts = lines.iter().map(|line| match line.strip_prefix(&prefix) {
        Some("") => "",
        Some(rest) => rest.strip_prefix(' ').unwrap_or(line),
        None => line,
    });
    Reply::multiline(code, Some(enhanced), texts)
}

/// Why a line belongs to no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The lines of one reply carry different codes.
    #[error("the lines of a reply carry different codes")]
    CodesDiffer,
    /// It does not begin with a code from 200 to 599 and a blank or hyphen.
    #[error("malformed reply line")]
    Malformed,
    /// The reply does not end.
    #[error("reply of more than 100 lines")]
    TooManyLines,
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
    fn lines_with_different_codes_are_no_reply() {
        assert_eq!(read(&["250-ok", "550 no"]), Err(ReplyError::CodesDiffer));
        assert_eq!(read(&["550-no", "250-ok"]), Err(ReplyError::CodesDiffer));
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
    fn a_reply_that_does_not_end_is_given_up() {
        let mut lines = vec!["250-x"; Reply::MAX_LINES];
        assert_eq!(read(&lines), Ok(None));
        lines.push("250 x");
        assert_eq!(read(&lines), Err(ReplyError::TooManyLines));
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
