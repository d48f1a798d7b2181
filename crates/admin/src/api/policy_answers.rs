//! The answers to what can be done with cached policies.

use serde::{Deserialize, Serialize};

use crate::api::answers::Policy;

/// A policy after it was looked up anew.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refreshed {
    /// What is kept now.
    pub policy: Option<Policy>,
    /// Why it could not be fetched, now or in the last five minutes.
    pub error: Option<String>,
}

/// A policy that was forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Purged {
    /// The policy domain.
    pub domain: String,
}
