//! `[submission]` as it is typed.

use serde::{Deserialize, Serialize};

/// `[submission]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSubmission {
    /// The fields that a message gets where it lacks them.
    pub add: Vec<RawAddedField>,
    /// Whether Bcc fields are removed.
    pub remove_bcc: bool,
    /// What becomes of line ends that lack their CR.
    pub bare_newlines: RawBareNewlines,
}

/// What becomes of line ends that lack their CR.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawBareNewlines {
    /// The message is refused.
    Refuse,
    /// They get it.
    Repair,
}

/// A field that a message gets where it lacks it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawAddedField {
    /// When it was received.
    Date,
    /// The address of the user who hands it in.
    From,
    /// One that no other message has.
    MessageId,
}
