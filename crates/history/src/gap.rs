//! Gaps: what the history does not have, and why.

use serde::{Deserialize, Serialize};

/// Attempts that have no record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// When that was found, in milliseconds since 1970.
    pub found_at: u64,
    /// Why they have none.
    pub why: WhyGap,
    /// How many they are, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Since when, where that is known, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The file that was set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Why attempts have no record.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyGap {
    /// A file of the history was damaged and is set aside.
    Damaged,
    /// History was switched off.
    Disabled,
    /// The store's index was lost.
    IndexLost,
    /// The history could not be written for so long that the store could keep no more.
    NotWritten,
    /// A record in the store could not be read.
    Unreadable,
}

impl WhyGap {
    /// The same in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Damaged => "a file was damaged and is set aside",
            Self::Disabled => "history was switched off",
            Self::IndexLost => "the queue's index was lost",
            Self::NotWritten => "the history could not be written",
            Self::Unreadable => "a record could not be read",
        }
    }
}
