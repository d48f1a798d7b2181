//! How urgent a notice is.

use serde::{Deserialize, Serialize};

/// How urgent a notice is; the more urgent is the greater.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Somebody should look at it today.
    #[default]
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
