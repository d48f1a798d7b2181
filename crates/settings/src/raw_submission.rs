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
