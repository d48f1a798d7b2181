//! What can go wrong with reports on this side.

use queue::{BeginError, CommitError};
use store::StoreError;

use crate::tallies::TallyError;

/// Reports could not be kept, read or put into the queue; nothing is lost, and they stay due.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The queue takes no message.
    #[error("the queue takes no message")]
    Begin(#[from] BeginError),
    /// A message could not be put into the queue.
    #[error("a message could not be queued")]
    Commit(#[from] CommitError),
    /// The store has failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A tally could not be had.
    #[error("a tally is not available")]
    Tally(#[from] TallyError),
    /// What is kept is not a report that this version can read.
    #[error("a kept report cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A report could not be put into words.
    #[error("a report cannot be written")]
    Unwritable(#[source] serde_json::Error),
}
