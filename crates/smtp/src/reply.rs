//! Replies (RFC 5321 §4.2) with enhanced codes (RFC 2034), as they are sent and as they are read.

use std::fmt::{self, Write as _};

use crate::enhanced::{Class, EnhancedCode, digit};

/// A three-digit reply code between 200 and 599.
///
/// The constants are the codes of RFC 5321 §4.2.3 and its extensions, named by what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// 214: help follows.
    pub const HELP: Self = Self(214);
    /// 220: the greeting, and the permission to start TLS (RFC 3207 §4).
    pub const READY: Self = Self(220);
    /// 221: goodbye.
    pub const CLOSING: Self = Self(221);
    /// 235: authenticated (RFC 4954 §6).
    pub const AUTHENTICATED: Self = Self(235);
    /// 250: done.
    pub const OK: Self = Self(250);
    /// 252: cannot verify, but will try to deliver.
    pub const CANNOT_VERIFY: Self = Self(252);
    /// 334: the next challenge (RFC 4954 §4).
    pub const CHALLENGE: Self = Self(334);
    /// 354: send the message, end it with a dot.
    pub const START_MAIL_INPUT: Self = Self(354);
    /// 421: the server closes the connection.
    pub const NOT_AVAILABLE: Self = Self(421);
    /// 450: the mailbox cannot be reached now.
    pub const MAILBOX_BUSY: Self = Self(450);
    /// 451: an error here, not in the command.
    pub const LOCAL_ERROR: Self = Self(451);
    /// 452: no room, or too many recipients.
    pub const INSUFFICIENT_STORAGE: Self = Self(452);
    /// 454: TLS or authentication cannot be had now (RFC 3207 §4, RFC 4954 §4.7).
    pub const TEMPORARY_FAILURE: Self = Self(454);
    /// 500: no such command, or a line too long.
    pub const UNRECOGNIZED: Self = Self(500);
    /// 501: the command is known, its arguments are wrong.
    pub const BAD_ARGUMENTS: Self = Self(501);
    /// 502: the command is known and not implemented.
    pub const NOT_IMPLEMENTED: Self = Self(502);
    /// 503: not now; another command has to come first.
    pub const BAD_SEQUENCE: Self = Self(503);
    /// 504: this value of a parameter is not implemented.
    pub const PARAMETER_NOT_IMPLEMENTED: Self = Self(504);
    /// 521: this host takes no mail (RFC 7504).
    pub const NO_MAIL: Self = Self(521);
    /// 530: authentication or TLS has to come first (RFC 4954 §6, RFC 3207 §4).
    pub const AUTHENTICATION_REQUIRED: Self = Self(530);
    /// 535: the credentials are wrong (RFC 4954 §6).
    pub const AUTHENTICATION_FAILED: Self = Self(535);
    /// 538: this mechanism needs TLS (RFC 4954 §6).
    pub const ENCRYPTION_REQUIRED: Self = Self(538);
    /// 550: refused: no such mailbox, or by policy.
    pub const REFUSED: Self = Self(550);
    /// 552: larger than may be stored.
    pub const TOO_LARGE: Self = Self(552);
    /// 553: this name of a mailbox is not allowed.
    pub const NAME_NOT_ALLOWED: Self = Self(553);
    /// 554: the transaction failed.
    pub const TRANSACTION_FAILED: Self = Self(554);
    /// 555: a parameter of MAIL or RCPT is not known.
    pub const UNKNOWN_PARAMETER: Self = Self(555);

    /// The code, if there can be such a one.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        if 200 <= code && code <= 599 { Some(Self(code)) } else { None }
    }

    /// The code as a number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// What the first digit says.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self.0 {
            0..300 => Severity::PositiveCompletion,
            300..400 => Severity::PositiveIntermediate,
            400..500 => Severity::TransientNegative,
            500.. => Severity::PermanentNegative,
        }
    }
}

impl ReplyCode {
    /// Its three digits, in ASCII.
    #[must_use]
    pub fn digits(self) -> [u8; 3] {
        [100, 10, 1].map(|place| digit(self.0 / place))
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().into_iter().try_for_each(|digit| f.write_char(char::from(digit)))
    }
}

/// The first digit of a reply (RFC 5321 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 2yz: done.
    PositiveCompletion,
    /// 3yz: accepted so far, go on.
    PositiveIntermediate,
    /// 4yz: not done, try again later.
    TransientNegative,
    /// 5yz: not done, do not try the same again.
    PermanentNegative,
}

impl Severity {
    /// The class an enhanced code must have beside it; none goes with 3yz (RFC 2034 §4).
    pub(crate) const fn class(self) -> Option<Class> {
        match self {
            Self::PositiveCompletion => Some(Class::Success),
            Self::PositiveIntermediate => None,
            Self::TransientNegative => Some(Class::PersistentTransient),
            Self::PermanentNegative => Some(Class::Permanent),
        }
    }
}

/// A reply: a code and at least one line of text.
///
/// Text is made fit for a reply line when the reply is made: a control character becomes a blank,
/// a character beyond ASCII a question mark, and a line is cut where it would grow past 512 octets.
///
/// ```
/// use smtp::{Class, EnhancedCode, Reply, ReplyCode};
///
/// let ok = EnhancedCode::new(Class::Success, 0, 0);
/// let reply = Reply::new(ReplyCode::OK, Some(ok), "queued as 4f2a");
/// assert_eq!(reply.to_string(), "250 2.0.0 queued as 4f2a\r\n");
///
/// let ehlo = Reply::multiline(ReplyCode::OK, None, ["relay.example", "PIPELINING"]);
/// assert_eq!(ehlo.to_string(), "250-relay.example\r\n250 PIPELINING\r\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    code: ReplyCode,
    enhanced: Option<EnhancedCode>,
    /// Never empty; each line fit to be sent.
    lines: Vec<String>,
}

impl Reply {
    /// The most octets of a reply line, CRLF included (RFC 5321 §4.5.3.1.5).
    pub const MAX_LINE_OCTETS: usize = 512;
    /// The most lines of a reply that is made here, and of one that is read the most that are kept
    /// as they come; our own bound, above any list of EHLO keywords.
    pub const MAX_LINES: usize = 100;

    /// A reply of one line.
    ///
    /// An enhanced code whose class is not the code's is left out (RFC 2034 §4).
    #[must_use]
    pub fn new(code: ReplyCode, enhanced: Option<EnhancedCode>, text: &str) -> Self {
        Self::multiline(code, enhanced, [text])
    }

    /// A reply of as many lines as `lines` has, but at least one and at most
    /// [`MAX_LINES`](Self::MAX_LINES).
    #[must_use]
    pub fn multiline<I>(code: ReplyCode, enhanced: Option<EnhancedCode>, lines: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let lines = lines.into_iter().take(Self::MAX_LINES);
        Self::of_lines(code, enhanced, lines.map(|line| line.as_ref().to_owned()).collect())
    }

    /// The same of any number of lines, which somebody else has bounded.
    pub(crate) fn of_lines(
        code: ReplyCode,
        enhanced: Option<EnhancedCode>,
        lines: Vec<String>,
    ) -> Self {
        let enhanced = enhanced.filter(|e| code.severity().class() == Some(e.class()));
        let room =
            Self::MAX_LINE_OCTETS - "250 \r\n".len() - enhanced.map_or(0, |e| e.octets() + 1);
        let mut lines: Vec<String> = lines.into_iter().map(|line| fit(line, room)).collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Self { code, enhanced, lines }
    }

    /// The three digits.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced code.
    #[must_use]
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// What the first digit says.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// The lines of text, without codes.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The whole reply on one line, without CRLF: for logs, the queue and reports.
    #[must_use]
    pub fn one_line(&self) -> String {
        let enhanced = self.enhanced.map_or_else(String::new, prefix);
        format!("{} {enhanced}{}", self.code, self.lines.join(" "))
    }

    /// Appends the reply as it goes over the wire, every line with its codes and CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let enhanced = self.enhanced.map_or(0, |enhanced| enhanced.octets() + 1);
        let beside_text = "250 \r\n".len() + enhanced;
        out.reserve(self.lines.iter().map(|line| line.len() + beside_text).sum());
        let mut lines = self.lines.iter().peekable();
        while let Some(line) = lines.next() {
            out.extend_from_slice(&self.code.digits());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(enhanced) = self.enhanced {
                out.extend(enhanced.written());
                out.push(b' ');
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// The reply as it goes over the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Vec::new();
        self.write_to(&mut written);
        f.write_str(&String::from_utf8_lossy(&written))
    }
}

fn prefix(enhanced: EnhancedCode) -> String {
    format!("{enhanced} ")
}

/// At most `room` characters of `text`, each one that may stand in a reply line.
fn fit(text: String, room: usize) -> String {
    if text.len() <= room && text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return text;
    }
    text.chars()
        .take(room)
        .map(|c| match c {
            c if c.is_control() => ' ',
            c if c.is_ascii() => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reply_reader::ReplyReader;

    #[test]
    fn the_first_digit_says_how_it_stands() {
        let table = [
            (199, None),
            (200, Some(Severity::PositiveCompletion)),
            (299, Some(Severity::PositiveCompletion)),
            (354, Some(Severity::PositiveIntermediate)),
            (400, Some(Severity::TransientNegative)),
            (499, Some(Severity::TransientNegative)),
            (599, Some(Severity::PermanentNegative)),
            (600, None),
            (0, None),
            (u16::MAX, None),
        ];
        for (code, severity) in table {
            assert_eq!(ReplyCode::new(code).map(ReplyCode::severity), severity, "{code}");
        }
    }

    #[test]
    fn every_line_carries_both_codes() {
        let refused = EnhancedCode::new(Class::Permanent, 7, 1);
        let reply = Reply::multiline(ReplyCode::REFUSED, Some(refused), ["no", "", "thanks"]);
        assert_eq!(reply.to_string(), "550-5.7.1 no\r\n550-5.7.1 \r\n550 5.7.1 thanks\r\n");
        assert_eq!(reply.one_line(), "550 5.7.1 no  thanks");
        let mut wire = b"250 before\r\n".to_vec();
        reply.write_to(&mut wire);
        assert!(wire.ends_with(b"\r\n550 5.7.1 thanks\r\n"));
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_left_out() {
        let permanent = Some(EnhancedCode::new(Class::Permanent, 7, 1));
        for code in [ReplyCode::OK, ReplyCode::CHALLENGE, ReplyCode::LOCAL_ERROR] {
            assert_eq!(Reply::new(code, permanent, "x").to_string(), format!("{code} x\r\n"));
        }
        assert_eq!(Reply::new(ReplyCode::REFUSED, permanent, "").enhanced(), permanent);
    }

    #[test]
    fn a_reply_has_at_least_one_line_and_at_most_a_hundred() {
        let none = Reply::multiline(ReplyCode::OK, None, [""; 0]);
        assert_eq!(none.to_string(), "250 \r\n");
        let many = Reply::multiline(ReplyCode::OK, None, std::iter::repeat("x"));
        assert_eq!(many.lines().len(), Reply::MAX_LINES);
    }

    #[test]
    fn text_cannot_add_a_line_or_leave_ascii() {
        let reply = Reply::new(ReplyCode::REFUSED, None, "no\r\n250 jörg\0\tx\u{85}\u{7f}");
        assert_eq!(reply.to_string(), "550 no  250 j?rg  x  \r\n");
    }

    #[test]
    fn a_line_is_cut_at_512_octets() {
        let enhanced = EnhancedCode::new(Class::Success, 999, 999);
        let reply =
            Reply::multiline(ReplyCode::OK, Some(enhanced), ["ä".repeat(600), "b".repeat(600)]);
        for line in reply.to_string().split_inclusive("\r\n") {
            assert_eq!(line.len(), Reply::MAX_LINE_OCTETS);
        }
    }

    proptest! {
        #[test]
        fn a_written_reply_reads_as_itself(
            code in 200..=599_u16,
            numbers in prop::option::of((0..=999_u16, 0..=999_u16)),
            lines in prop::collection::vec("|[^0-9][\\PC\r\n\0]{0,40}|[a-z ]{500,600}", 1..6),
        ) {
            let code = ReplyCode::new(code).unwrap();
            let class = code.severity().class().unwrap_or(Class::Success);
            let enhanced = numbers.map(|(s, d)| EnhancedCode::new(class, s, d));
            let reply = Reply::multiline(code, enhanced, &lines);
            let mut reader = ReplyReader::new();
            let mut read = None;
            for line in reply.to_string().split_terminator("\r\n") {
                prop_assert!(line.len() <= 510 && !line.contains(['\r', '\n', '\0']));
                prop_assert_eq!(&read, &None);
                read = reader.line(line.as_bytes()).unwrap();
            }
            prop_assert_eq!(read, Some(reply));
        }
    }
}
