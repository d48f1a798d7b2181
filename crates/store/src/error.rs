//! What can go wrong with a store, one enum per operation, and what to answer.

use std::error::Error;
use std::io;

use mail::in_full;
use smtp::{Class, EnhancedCode, Reply, ReplyCode};

/// The queue takes no draft.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The queue is closed or being closed.
    #[error("the queue is closed")]
    Closed,
    /// The store has failed and is being opened again.
    #[error("the queue's store has failed")]
    Failed,
    /// The file system is nearly full.
    #[error("not enough disk space is free")]
    LowOnSpace,
    /// The envelope names nobody.
    #[error("the envelope has no recipient")]
    NoRecipients,
    /// The envelope is longer than a record may hold.
    #[error("the envelope has too many recipients")]
    TooManyRecipients,
}

impl BeginError {
    /// What to answer to MAIL or DATA.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Closed => Reply::new(
                ReplyCode::NOT_AVAILABLE,
                Some(EnhancedCode::new(Class::PersistentTransient, 3, 2)),
                "shutting down, try again later",
            ),
            Self::Failed => storage_failed(),
            Self::LowOnSpace => storage_full(),
            Self::NoRecipients => Reply::new(
                ReplyCode::TRANSACTION_FAILED,
                Some(EnhancedCode::new(Class::Permanent, 5, 1)),
                "no valid recipients",
            ),
            Self::TooManyRecipients => Reply::new(
                ReplyCode::INSUFFICIENT_STORAGE,
                Some(EnhancedCode::new(Class::PersistentTransient, 5, 3)),
                "too many recipients",
            ),
        }
    }
}

/// A draft did not become a message; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The queue is closed or being closed.
    #[error("the queue is closed")]
    Closed,
    /// The store has failed.
    #[error("the queue's store has failed")]
    Failed,
    /// The body could not be written.
    #[error("the body could not be written")]
    Io(#[from] io::Error),
    /// The store has failed because the file system is full.
    #[error("not enough disk space is free")]
    LowOnSpace,
}

impl CommitError {
    /// What to answer after the end of the data; a full disk is "insufficient system storage"
    /// (RFC 5321 §4.2.3).
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Io(error) if is_full(error) => storage_full(),
            Self::LowOnSpace => storage_full(),
            Self::Closed | Self::Failed | Self::Io(_) => storage_failed(),
        }
    }
}

/// Whether the operating system had no room for what was to be written.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The answer while the store cannot be written.
fn storage_failed() -> Reply {
    Reply::new(
        ReplyCode::LOCAL_ERROR,
        Some(EnhancedCode::new(Class::PersistentTransient, 3, 0)),
        "mail cannot be stored now, try again later",
    )
}

/// The answer while there is no room (RFC 3463: mail system full).
fn storage_full() -> Reply {
    Reply::new(
        ReplyCode::INSUFFICIENT_STORAGE,
        Some(EnhancedCode::new(Class::PersistentTransient, 3, 1)),
        "not enough disk space, try again later",
    )
}

/// The store could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue is closed or being closed.
    #[error("the queue is closed")]
    Closed,
    /// The store has failed and is being opened again.
    #[error("the queue's store has failed")]
    Failed,
    /// The index could not be read.
    #[error("the index could not be read")]
    Index(#[source] IndexError),
    /// The index of a queue that is only looked at is damaged.
    #[error(
        "the index is damaged: `queue verify` shows the damage, and starting the relay rebuilds it"
    )]
    Damaged(#[source] IndexError),
    /// A value's key is empty, too long or holds a NUL.
    #[error("invalid key: empty, longer than 512 bytes, or with a NUL")]
    Key,
    /// There is not one outcome for each recipient of the lease.
    #[error("{given} outcomes for {recipients} recipients")]
    OutcomeCount {
        /// How many outcomes were given.
        given: usize,
        /// How many recipients the lease has.
        recipients: usize,
    },
}

/// What the index said when it failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct IndexError(Box<dyn Error + Send + Sync>);

impl IndexError {
    /// What a store's own index said.
    #[must_use]
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// Whether the operating system had no room for what was to be written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let cause = self.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        cause.is_some_and(is_full)
    }
}

/// A body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The record in the spool is damaged; the message is quarantined.
    #[error("the message's copy in the spool is damaged: {0}")]
    Damaged(String),
    /// The message is no longer in the queue.
    #[error("the message is no longer in the queue")]
    Gone,
    /// The spool could not be read.
    #[error("the spool could not be read")]
    Io(#[from] io::Error),
    /// The index could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BodyError {
    /// The error with its causes, as one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        in_full(self)
    }
}

impl StoreError {
    /// The error with its causes, as one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        in_full(self)
    }
}
