//! `[staging]` as it is typed.

use serde::{Deserialize, Serialize};

/// `[staging]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawStaging {
    /// Who gets all mail that is not for allowed recipients.
    pub redirect_to: Vec<String>,
    /// Whose mail is let through: addresses and domains.
    pub allow: Vec<String>,
    /// What becomes of mail for others.
    pub others: RawOthers,
    /// Whether all mail is held.
    pub hold_all: bool,
}

/// What becomes of mail for recipients that are not allowed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawOthers {
    /// It is accepted and held.
    #[default]
    Hold,
    /// The recipient is refused.
    Refuse,
}
