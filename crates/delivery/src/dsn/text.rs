//! Lines of a notification that stay lines, whatever is put into them.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use smtp::Smtputf8;

/// The longest line, without its CRLF (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;

/// The longest text of one paragraph or field; what a host says may be longer.
const WORDS_MAX: usize = 2000;

/// Where text is folded.
const FOLD_AT: usize = 76;

/// What has been written, in one alphabet.
#[derive(Debug)]
pub(super) struct Text {
    written: String,
    smtputf8: Smtputf8,
}

impl Text {
    /// Nothing yet: ASCII, or UTF-8 for who asked for SMTPUTF8.
    pub(super) const fn new(smtputf8: Smtputf8) -> Self {
        Self { written: String::new(), smtputf8 }
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.written.into_bytes()
    }

    /// One line, which cannot end before its end or leave its alphabet.
    pub(super) fn line(&mut self, words: &str) {
        let words = self.clean(words);
        self.written.push_str(cut(&words, LINE_MAX));
        self.written.push_str("\r\n");
    }

    /// The headers of a part.
    pub(super) fn part(&mut self, boundary: &str, description: &str, name: &str, encoding: &str) {
        self.line(&format!("--{boundary}"));
        self.line(&format!("Content-Description: {description}"));
        self.line(&format!("Content-Type: {name}"));
        self.line(&format!("Content-Transfer-Encoding: {encoding}"));
        self.line("");
    }

    /// A paragraph of words, and an empty line.
    pub(super) fn paragraph(&mut self, words: &str) {
        self.folded(words, "");
        self.line("");
    }

    /// Breaks `words` into lines at blanks; every line but the first begins with `indent`.
    pub(super) fn folded(&mut self, words: &str, indent: &str) {
        let clean = self.clean(cut(words, WORDS_MAX));
        let mut current = String::new();
        for word in clean.split_ascii_whitespace() {
            let length = current.len().saturating_add(word.len());
            if !current.trim_start().is_empty() && length >= FOLD_AT {
                self.line(&current);
                indent.clone_into(&mut current);
            }
            if !current.trim_start().is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        self.line(&current);
    }

    /// The encoding of what is written here.
    pub(super) const fn encoding(&self) -> &'static str {
        match self.smtputf8 {
            Smtputf8::NotRequested => "7bit",
            Smtputf8::Requested => "8bit",
        }
    }

    /// The charset of what is written here.
    pub(super) const fn charset(&self) -> &'static str {
        match self.smtputf8 {
            Smtputf8::NotRequested => "us-ascii",
            Smtputf8::Requested => "utf-8",
        }
    }

    fn clean(&self, words: &str) -> String {
        let clean = |letter: char| match letter {
            '\t' | ' ' => letter,
            _ if letter.is_control() => ' ',
            _ if letter.is_ascii() || self.smtputf8 == Smtputf8::Requested => letter,
            _ => '?',
        };
        words.chars().map(clean).collect()
    }
}

/// The longest beginning of `text` that has at most `length` bytes.
fn cut(text: &str, length: usize) -> &str {
    text.get(..text.floor_char_boundary(length)).unwrap_or(text)
}

/// A date as RFC 5322 §3.3 writes it, in UTC.
pub(super) fn date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    rfc2822::to_string(&time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}
