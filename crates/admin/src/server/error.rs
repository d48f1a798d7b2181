//! Why an answer cannot be given.

use std::io;

use delivery::RemovalError;
use history::HistoryError;
use mta_sts::Undecided;
use queue::{BodyError, StoreError};
use reporting::ReportError;
use thiserror::Error;
use tokio::task::JoinError;

/// An answer cannot be given.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The message cannot be read.
    #[error("the message cannot be read")]
    Body(#[from] BodyError),
    /// What is to be kept cannot be written down.
    #[error("the exception cannot be written down")]
    Encoding(#[source] serde_json::Error),
    /// The history cannot be read.
    #[error("the history cannot be read")]
    History(#[from] HistoryError),
    /// The spool's quarantine cannot be read.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] io::Error),
    /// The sender cannot be told.
    #[error("the sender cannot be notified, so the message stays in the queue")]
    Removal(#[from] RemovalError),
    /// The policies cannot be read.
    #[error("the policy cannot be read")]
    Policy(#[from] mta_sts::StoreError),
    /// Whether there is a policy cannot be told.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// The queue cannot be read.
    #[error("the queue cannot be read")]
    Queue(#[from] StoreError),
    /// The TLS reports cannot be read or sent.
    #[error("the TLS reports cannot be read or sent")]
    Reports(#[from] ReportError),
    /// Our own mistake.
    #[error("the queue could not be read")]
    Task(#[from] JoinError),
}
