//! Why the admin interface does not do what it is asked for.

use mail::in_full;
use serde::{Deserialize, Serialize};

/// Why something was not done.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refusal {
    /// In words.
    pub error: String,
}

/// Why a word was not understood.
pub fn refusal<E: std::error::Error>(error: &E) -> Refusal {
    Refusal { error: in_full(error) }
}
