//! The policy file (RFC 8461 §3.2).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::MxHost;
use crate::parsed::{Parsed, Warning, Warnings};
use crate::pattern::{MxPattern, MxPatterns};
use crate::policy::line::Line;

mod line;

/// The only version there is (RFC 8461 §3.2).
const VERSION: &[u8] = b"STSv1";

/// The longest `max_age`: about one year (RFC 8461 §3.2).
pub const MAX_AGE_MAX: Duration = Duration::from_secs(31_557_600);

/// The most `mx` values that are kept of one policy.
///
/// A file of 64 KiB (RFC 8461 §3.3) has room for some 8,000. Policies in use name a few hosts, most
/// of them by a wildcard; a host that only a later value names counts as not named.
pub const MX_PATTERNS_MAX: usize = 1000;

/// How much of a bad `mx` value a warning shows.
const SHOWN_MAX: usize = 80;

/// What a domain asks of those who send to it.
///
/// ```
/// use mta_sts::{Mode, MxHost, Policy};
///
/// let file = b"version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 604800\n";
/// let policy = Policy::parse(file)?.value;
/// assert_eq!(policy.mode(), Mode::Enforce);
/// assert!(policy.admits(&MxHost::parse("mail.example.com")?));
/// assert_eq!(policy.to_string().as_bytes(), file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    mode: Mode,
    max_age: Duration,
    mx: MxPatterns,
}

impl Policy {
    /// A policy of these values; parts of a second in `max_age` are dropped.
    ///
    /// # Errors
    ///
    /// [`PolicyError::NoMx`] where a policy that is not `none` names no host,
    /// [`PolicyError::TooManyMx`] where it has more than [`MX_PATTERNS_MAX`] patterns, and
    /// [`PolicyError::MaxAge`] where `max_age` is above [`MAX_AGE_MAX`].
    pub fn new(mode: Mode, max_age: Duration, mx: Vec<MxPattern>) -> Result<Self, PolicyError> {
        if max_age > MAX_AGE_MAX {
            return Err(PolicyError::MaxAge);
        }
        if mode != Mode::None && mx.is_empty() {
            return Err(PolicyError::NoMx);
        }
        if mx.len() > MX_PATTERNS_MAX {
            return Err(PolicyError::TooManyMx);
        }
        let max_age = Duration::from_secs(max_age.as_secs());
        Ok(Self { mode, max_age, mx: MxPatterns::new(mx) })
    }

    /// Reads a policy file.
    ///
    /// Fields stand in any order; unknown ones are ignored, and of a repeated one that is not `mx`
    /// the first counts, whatever the later ones say (RFC 8461 §3.2). Accepted with a warning: a
    /// UTF-8 byte order mark, blank lines, a malformed line that names no known key, a dot at the
    /// end of an `mx` or an underscore in it, some bad `mx` beside good ones, a `max_age` above the
    /// maximum. Of more than [`MX_PATTERNS_MAX`] `mx` values the first are kept.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] where a field is missing or there is any doubt about the version, the mode
    /// or the `max_age`.
    pub fn parse(file: &[u8]) -> Result<Parsed<Self>, PolicyError> {
        let mut warnings = Warnings::default();
        let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        if text.len() < file.len() {
            warnings.add(Warning::ByteOrderMark);
        }
        let mut fields = Fields::default();
        for (number, text) in (1..).zip(lines(text)) {
            fields.add(number, Line::read(text), &mut warnings)?;
        }
        Ok(warnings.about(fields.finish()?))
    }

    /// What the policy asks for (RFC 8461 §5).
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// For how long the policy may be applied after it was fetched (RFC 8461 §3.2).
    #[must_use]
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The hosts that it names.
    #[must_use]
    pub fn mx(&self) -> &[MxPattern] {
        self.mx.listed()
    }

    /// Whether one of the policy's `mx` patterns names `host` (RFC 8461 §4.1).
    #[must_use]
    pub fn admits(&self, host: &MxHost) -> bool {
        self.mx.name(host)
    }
}

/// The policy as a file to publish.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version: STSv1\nmode: {}\n", self.mode)?;
        for pattern in self.mx() {
            writeln!(f, "mx: {pattern}")?;
        }
        writeln!(f, "max_age: {}", self.max_age.as_secs())
    }
}

/// What a policy asks for (RFC 8461 §5).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is sent but over a verified session.
    Enforce,
    /// The domain is as if it had no policy; this is how one is withdrawn (RFC 8461 §8.3).
    None,
    /// Failures are reported, and mail is sent all the same.
    Testing,
}

impl Mode {
    /// The word in a policy file; nothing else means this mode, not even in another case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::None => "none",
            Self::Testing => "testing",
        }
    }

    fn read(value: &[u8]) -> Option<Self> {
        [Self::Enforce, Self::None, Self::Testing]
            .into_iter()
            .find(|mode| mode.as_str().as_bytes() == value)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a file is not a policy.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PolicyError {
    /// A carriage return stands inside a known field: a line break that is none may hide another.
    #[error("line {line}: a carriage return stands inside a known field")]
    ControlInKnownField {
        /// Where it stands.
        line: usize,
    },
    /// A line that is not a field may have been meant as a known one.
    #[error("line {line}: malformed, and may have been meant as a known field")]
    MalformedKnownField {
        /// Where it stands.
        line: usize,
    },
    /// `max_age` is missing or not a number of seconds of one to ten digits.
    #[error("max_age is missing or not a number of seconds")]
    MaxAge,
    /// `mode` is missing or not one of the three words.
    #[error("mode is missing or none of \"enforce\", \"testing\", \"none\"")]
    Mode,
    /// A policy that is to be applied names no host.
    #[error("the policy names no mx host")]
    NoMx,
    /// It has more than [`MX_PATTERNS_MAX`] patterns; a file that does is cut instead.
    #[error("the policy has more than 1000 mx patterns")]
    TooManyMx,
    /// `version` is missing or not `STSv1`.
    #[error("version is missing or not \"STSv1\"")]
    Version,
}

impl PolicyError {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::ControlInKnownField { .. } => "control in known field",
            Self::MalformedKnownField { .. } => "malformed known field",
            Self::MaxAge => "max_age",
            Self::Mode => "mode",
            Self::NoMx => "no mx",
            Self::TooManyMx => "too many mx",
            Self::Version => "version",
        }
    }
}

/// Lines end in LF or CRLF; after the last one the end may be missing (RFC 8461 §3.2).
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let ended = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        ended.unwrap_or(line)
    })
}

/// What has been read so far. Of each field but `mx` the first counts, good or bad.
#[derive(Debug, Default)]
struct Fields {
    version: Option<()>,
    mode: Option<Mode>,
    max_age: Option<Duration>,
    mx: Vec<MxPattern>,
    /// The first valid extension that looks like a known field, by its line: not a fault beside
    /// the real one, and the likely reason where that is missing.
    other_case: Option<usize>,
}

impl Fields {
    fn add(
        &mut self,
        number: usize,
        line: Line<'_>,
        warnings: &mut Warnings,
    ) -> Result<(), PolicyError> {
        match line {
            Line::Blank => warnings.add(Warning::BlankLine { line: number }),
            Line::Control => return Err(PolicyError::ControlInKnownField { line: number }),
            Line::Doubtful => return Err(PolicyError::MalformedKnownField { line: number }),
            Line::Malformed => warnings.add(Warning::MalformedExtension { number }),
            Line::MaxAge(value) if self.max_age.is_none() => {
                let max_age = read_max_age(value, warnings).ok_or(PolicyError::MaxAge)?;
                self.max_age = Some(max_age);
            }
            Line::Mode(value) if self.mode.is_none() => {
                self.mode = Some(Mode::read(value).ok_or(PolicyError::Mode)?);
            }
            Line::Version(value) if self.version.is_none() => {
                self.version = Some((value == VERSION).then_some(()).ok_or(PolicyError::Version)?);
            }
            // Of a repeated field the first counts, whatever the later ones say (RFC 8461 §3.2).
            Line::Extension | Line::MaxAge(_) | Line::Mode(_) | Line::Version(_) => {}
            Line::Mx(value) => self.add_mx(value, number, warnings),
            Line::NoColon => warnings.add(Warning::LineWithoutColon { line: number }),
            Line::OtherCase => {
                warnings.add(Warning::OtherCase { number });
                self.other_case.get_or_insert(number);
            }
        }
        Ok(())
    }

    fn add_mx(&mut self, value: &[u8], line: usize, warnings: &mut Warnings) {
        if self.mx.len() == MX_PATTERNS_MAX {
            return warnings.add_once(Warning::TooManyMx { line });
        }
        self.mx.extend(read_mx(value, line, warnings));
    }

    fn finish(self) -> Result<Policy, PolicyError> {
        let missing =
            |error| self.other_case.map_or(error, |line| PolicyError::MalformedKnownField { line });
        self.version.ok_or_else(|| missing(PolicyError::Version))?;
        let mode = self.mode.ok_or_else(|| missing(PolicyError::Mode))?;
        let max_age = self.max_age.ok_or_else(|| missing(PolicyError::MaxAge))?;
        Policy::new(mode, max_age, self.mx)
    }
}

/// `1*10(DIGIT)` seconds, at most [`MAX_AGE_MAX`].
fn read_max_age(value: &[u8], warnings: &mut Warnings) -> Option<Duration> {
    if !(1..=10).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = str::from_utf8(value).ok()?.parse().ok()?;
    let given = Duration::from_secs(seconds);
    if given > MAX_AGE_MAX {
        warnings.add(Warning::MaxAgeClamped { given: seconds });
    }
    Some(given.min(MAX_AGE_MAX))
}

/// A pattern that cannot be read names no host; others may.
fn read_mx(value: &[u8], line: usize, warnings: &mut Warnings) -> Option<MxPattern> {
    let text = String::from_utf8_lossy(value);
    let Ok(pattern) = MxPattern::parse_leniently(&text) else {
        let value = text.chars().take(SHOWN_MAX).collect();
        warnings.add(Warning::BadMx { line, value });
        return None;
    };
    if text.ends_with('.') {
        warnings.add(Warning::TrailingDot { line });
    }
    if pattern.has_underscore() {
        warnings.add(Warning::Underscore { line });
    }
    Some(pattern)
}

#[cfg(test)]
mod tests;
