//! What is said of those who are told when a person is needed.

use serde::{Deserialize, Serialize};

/// What came of a test of one destination.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TestedDestination {
    /// Its name.
    pub name: String,
    /// Why the test could not be sent; absent: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
