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
