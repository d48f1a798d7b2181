//! A kind of session, as sessions are added up.

use std::sync::Arc;

use crate::failure::FailureDetail;
use crate::policy::AppliedPolicy;

/// What sessions have in common that are counted together.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Row {
    /// The policy they were made under. A session that two policies applied to is in two rows.
    pub policy: Arc<AppliedPolicy>,
    /// How they failed; none where they succeeded.
    pub failure: Option<FailureDetail>,
}
