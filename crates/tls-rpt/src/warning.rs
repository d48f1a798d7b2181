//! What a lenient reading of a record overlooked.

use thiserror::Error;

use crate::destination_error::DestinationError;

/// More warnings than this are not kept: the text is untrusted, and may be all faults.
const WARNINGS_MAX: usize = 32;

/// A value, and what had to be overlooked to read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parsed<T, W = Warning> {
    /// What was read.
    pub value: T,
    /// What was overlooked, in the order of the text; empty when the text is as RFC 8460 has it.
    pub warnings: Vec<W>,
}

/// A deviation of a record that was overlooked. Destinations and fields are counted from one.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Warning {
    /// A blank stands between the version and its delimiter: the ABNF of RFC 8460 §3 has room for
    /// it, its text has not.
    #[error("a blank stands before the first semicolon")]
    BlankAfterVersion,
    /// Two delimiters or commas stand together.
    #[error("two delimiters stand together")]
    EmptyField,
    /// A `!` in a destination is not encoded (RFC 8460 §3).
    #[error("destination {number} holds a \"!\" that is not encoded")]
    ExclamationMark {
        /// Which destination.
        number: usize,
    },
    /// A destination has a fragment, which was cut off.
    #[error("destination {number} has a fragment, which was cut off")]
    Fragment {
        /// Which destination.
        number: usize,
    },
    /// Header fields of a `mailto` URI were ignored.
    #[error("destination {number} has header fields, which were ignored")]
    MailHeaders {
        /// Which destination.
        number: usize,
    },
    /// A field that is not known breaks the grammar of extensions.
    #[error("field {number} is malformed and was ignored")]
    MalformedExtension {
        /// Which field.
        number: usize,
    },
    /// An extension field is named like `rua` but for the case, and means nothing.
    #[error("field {number} is \"rua\" in the wrong case and was ignored")]
    OtherCase {
        /// Which field.
        number: usize,
    },
    /// A destination was named before.
    #[error("destination {number} is a repetition")]
    Repeated {
        /// Which destination.
        number: usize,
    },
    /// A destination has a limit of size as DMARC has it, which was ignored.
    #[error("destination {number} has a limit of size, which only DMARC knows")]
    SizeLimit {
        /// Which destination.
        number: usize,
    },
    /// More destinations than are used.
    #[error("destination {number} and all later ones were ignored: 5 are used")]
    TooManyDestinations {
        /// The first one that is not used.
        number: usize,
    },
    /// More fields than are read.
    #[error("field {number} and all later ones were ignored: 256 are read")]
    TooManyFields {
        /// The first one that was not read.
        number: usize,
    },
    /// Blanks follow the last field.
    #[error("blanks follow the last field")]
    TrailingWhitespace,
    /// A destination is not used.
    #[error("destination {number} is not used: {why}")]
    Unusable {
        /// Which destination.
        number: usize,
        /// What is wrong with it.
        why: DestinationError,
    },
}

impl Warning {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BlankAfterVersion => "blank after version",
            Self::EmptyField => "empty field",
            Self::ExclamationMark { .. } => "exclamation mark",
            Self::Fragment { .. } => "fragment",
            Self::MailHeaders { .. } => "mail headers",
            Self::MalformedExtension { .. } => "malformed extension",
            Self::OtherCase { .. } => "other case",
            Self::Repeated { .. } => "repeated",
            Self::SizeLimit { .. } => "size limit",
            Self::TooManyDestinations { .. } => "too many destinations",
            Self::TooManyFields { .. } => "too many fields",
            Self::TrailingWhitespace => "trailing whitespace",
            Self::Unusable { .. } => "unusable",
        }
    }
}

/// Warnings as they come up, not too many.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    /// Keeps a warning.
    pub(crate) fn add(&mut self, warning: Warning) {
        if self.0.len() < WARNINGS_MAX {
            self.0.push(warning);
        }
    }

    /// The value that was read in spite of them.
    pub(crate) fn about<T>(self, value: T) -> Parsed<T> {
        Parsed { value, warnings: self.0 }
    }
}
