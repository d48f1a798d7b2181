//! The answers to what can be done with cached policies.

use serde::{Deserialize, Serialize};

use super::answer::Policy;

/// A policy after it was looked up anew.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refreshed {
    /// What is kept now.
    pub(crate) policy: Option<Policy>,
    /// Why it could not be fetched, now or in the last five minutes.
    pub(crate) error: Option<String>,
}

/// A policy that was forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Purged {
    /// The policy domain.
    pub(crate) domain: String,
}
