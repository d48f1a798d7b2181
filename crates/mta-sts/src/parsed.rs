//! What a lenient reading accepted, and what it overlooked.
//!
//! Rejecting a record or a policy means sending *unprotected*, so a closed list of harmless
//! deviations from the ABNF of RFC 8461 §3.1 and §3.2 is accepted with a [`Warning`]. A warning
//! never changes the mode, the id or the `max_age` that the rest of the text says.

use thiserror::Error;

/// More warnings than this are not kept: the text is a peer's, and may be all faults.
const WARNINGS_MAX: usize = 32;

/// A value, and what had to be overlooked to read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parsed<T> {
    /// What was read.
    pub value: T,
    /// What was overlooked, in the order of the text; empty when the text keeps to the ABNF.
    pub warnings: Vec<Warning>,
}

/// A deviation that was overlooked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Warning {
    /// Some `mx` value is not a pattern; others are.
    #[error("line {line}: {value:?} is not an mx pattern and was ignored")]
    BadMx {
        /// Where it stands.
        line: usize,
        /// What was written, shortened.
        value: String,
    },
    /// A line of a policy holds nothing.
    #[error("line {line} is blank")]
    BlankLine {
        /// Where it stands.
        line: usize,
    },
    /// The policy begins with a UTF-8 byte order mark.
    #[error("the policy begins with a byte order mark")]
    ByteOrderMark,
    /// Two delimiters of a record stand together.
    #[error("two delimiters stand together")]
    EmptyField,
    /// A line of a policy is neither a field nor blank.
    #[error("line {line} has no colon and was ignored")]
    LineWithoutColon {
        /// Where it stands.
        line: usize,
    },
    /// A field that this version does not know breaks the grammar of extensions.
    #[error("extension field {number} is malformed and was ignored")]
    MalformedExtension {
        /// Its line in a policy, its place among the fields in a record; counted from one.
        number: usize,
    },
    /// A `max_age` above the maximum of one year was taken for the maximum (RFC 8461 §3.2).
    #[error("max_age {given} is above the maximum and was taken as 31557600")]
    MaxAgeClamped {
        /// What the policy says, in seconds.
        given: u64,
    },
    /// An extension field is named like a known one but for the case, and means nothing.
    #[error("field {number} is a known one in the wrong case and was ignored")]
    OtherCase {
        /// Its line in a policy, its place among the fields in a record; counted from one.
        number: usize,
    },
    /// More `mx` values than are kept; this one and all later ones were ignored.
    #[error("line {line}: this mx value and all later ones were ignored: 1000 are kept")]
    TooManyMx {
        /// Where the first of them stands.
        line: usize,
    },
    /// An `mx` value ends in a dot.
    #[error("line {line}: the mx value ends in a dot")]
    TrailingDot {
        /// Where it stands.
        line: usize,
    },
    /// Blanks follow the last field of a record.
    #[error("blanks follow the last field")]
    TrailingWhitespace,
    /// An `mx` value has an underscore, which RFC 5321 §4.1.2 does not allow in a domain.
    #[error("line {line}: the mx value has an underscore")]
    Underscore {
        /// Where it stands.
        line: usize,
    },
}

impl Warning {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BadMx { .. } => "bad mx",
            Self::BlankLine { .. } => "blank line",
            Self::ByteOrderMark => "BOM",
            Self::EmptyField => "empty field",
            Self::LineWithoutColon { .. } => "line without colon",
            Self::MalformedExtension { .. } => "malformed extension",
            Self::MaxAgeClamped { .. } => "max_age clamped",
            Self::OtherCase { .. } => "other case",
            Self::TooManyMx { .. } => "too many mx",
            Self::TrailingDot { .. } => "trailing dot",
            Self::TrailingWhitespace => "trailing whitespace",
            Self::Underscore { .. } => "underscore",
        }
    }
}

/// Warnings as they come up, not too many.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(crate) fn add(&mut self, warning: Warning) {
        if self.0.len() < WARNINGS_MAX {
            self.0.push(warning);
        }
    }

    /// Adds a warning that means all of its kind that follow.
    pub(crate) fn add_once(&mut self, warning: Warning) {
        let kind = std::mem::discriminant(&warning);
        if !self.0.iter().any(|one| std::mem::discriminant(one) == kind) {
            self.add(warning);
        }
    }

    pub(crate) fn about<T>(self, value: T) -> Parsed<T> {
        Parsed { value, warnings: self.0 }
    }
}

/// `name = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")`, the same in a record and a policy.
pub(crate) fn is_extension_name(name: &[u8]) -> bool {
    let tail = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    name.len() <= 32
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().skip(1).all(tail)
}

/// WSP of RFC 5234: what may stand around delimiters.
const fn is_blank(byte: &u8) -> bool {
    matches!(*byte, b' ' | b'\t')
}

/// `bytes` without the blanks around it.
pub(crate) fn trim_blanks(bytes: &[u8]) -> &[u8] {
    trim_blanks_end(trim_blanks_start(bytes))
}

/// `bytes` without the blanks before it.
pub(crate) fn trim_blanks_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// `bytes` without the blanks after it.
pub(crate) fn trim_blanks_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}
