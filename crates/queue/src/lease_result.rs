//! What has come of a lease.

use mail::Outcome;
use store::RecordBytes;

/// What has come of a lease, and what is kept of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseResult {
    /// What became of each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// The delivery records of the attempt, in the commit that settles it.
    pub records: Vec<RecordBytes>,
}

impl From<Vec<Outcome>> for LeaseResult {
    /// Without records.
    fn from(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, records: Vec::new() }
    }
}
