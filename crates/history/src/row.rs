//! A record as it stands in a segment: the text that the chain is made of.

use serde::{Deserialize, Serialize};

use crate::facts::Attempt;
use crate::gap::Gap;

/// The text of a record. What many attempts share stands elsewhere in the segment, once, and is named
/// by its SHA-256.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Row {
    /// An attempt.
    Attempt(Box<AttemptRow>),
    /// Attempts that have no record.
    Gap(GapRow),
}

/// An attempt.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AttemptRow {
    /// The record's number.
    pub(crate) number: u64,
    /// What the policy asked for: the SHA-256 of its text.
    pub(crate) decision: String,
    /// The session, if there was one: the SHA-256 of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// Whether what it names was in a segment that was damaged before it was kept.
    #[serde(default, skip_serializing_if = "Lost::is_not")]
    pub(crate) lost: Lost,
    /// The attempt by itself.
    #[serde(flatten)]
    pub(crate) attempt: Attempt,
}

/// Whether what a record names was lost before it was kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Lost(pub(crate) bool);

impl Lost {
    /// Whether all of it was there.
    const fn is_not(&self) -> bool {
        !self.0
    }
}

/// A gap.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct GapRow {
    /// The record's number.
    pub(crate) number: u64,
    /// The gap.
    #[serde(flatten)]
    pub(crate) gap: Gap,
}

impl Row {
    /// The record's number.
    pub(crate) const fn number(&self) -> u64 {
        match self {
            Self::Attempt(row) => row.number,
            Self::Gap(row) => row.number,
        }
    }
}
