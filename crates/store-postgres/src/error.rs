//! What can go wrong with the database.

use mail::QueueId;
use store::rows::Malformed;
use store::{CommitError, IndexError, StoreError};
use tokio_postgres::error::SqlState;

/// A statement came to nothing, or nobody knows what it came to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The server did not answer in time; the connection is given up.
    #[error("the database did not answer in time")]
    Late,
    /// Pieces of a message that were sent before its end are not there any more.
    #[error("pieces of message {0} were lost before it was committed")]
    Pieces(QueueId),
    /// What a row holds is not what the store writes.
    #[error("the database holds a malformed row")]
    Row(#[from] Malformed),
    /// The server, or the connection to it.
    #[error("database")]
    Server(#[from] tokio_postgres::Error),
}

/// What a failed transaction means for what it was to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing of it is done, and the same may be tried again at once.
    Again,
    /// The server refuses it: nothing of it is done.
    Refused,
    /// The connection is gone: nobody knows.
    Unknown,
}

impl QueryError {
    /// What the failure of a statement means for its transaction.
    pub(crate) fn verdict(&self) -> Verdict {
        let Self::Server(error) = self else {
            return match self {
                Self::Pieces(_) | Self::Row(_) => Verdict::Refused,
                Self::Late | Self::Server(_) => Verdict::Unknown,
            };
        };
        match error.code() {
            Some(code) if is_repeatable(code) => Verdict::Again,
            Some(code) if is_farewell(code) => Verdict::Unknown,
            Some(_) => Verdict::Refused,
            None => Verdict::Unknown,
        }
    }

    /// Whether the server has no room left.
    pub(crate) fn is_full(&self) -> bool {
        let Self::Server(error) = self else { return false };
        let full = [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY];
        error.code().is_some_and(|code| full.contains(code))
    }

    /// The error with its causes, as one line.
    pub(crate) fn in_full(&self) -> String {
        mail::in_full(self)
    }
}

/// Whether two transactions were in each other's way.
fn is_repeatable(code: &SqlState) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
}

/// Whether the server ends the connection, or takes no writes: another may.
fn is_farewell(code: &SqlState) -> bool {
    let ends = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::QUERY_CANCELED,
    ];
    ends.contains(code) || code.code().starts_with("08")
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error.verdict() {
            Verdict::Again | Verdict::Refused => Self::Index(IndexError::new(error)),
            Verdict::Unknown => {
                tracing::debug!(error = %error.in_full(), "the database was not reached");
                Self::Failed
            }
        }
    }
}

impl From<QueryError> for CommitError {
    fn from(error: QueryError) -> Self {
        if error.is_full() { Self::LowOnSpace } else { Self::Failed }
    }
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server was reached that takes writes.
    #[error("no database server was reached: {0}")]
    Connect(String),
    /// The tables are of a format that this program does not know.
    #[error(
        "the store has format {found}, this program knows {known}: upgrade this node, or open a store of its own"
    )]
    Format {
        /// What was found.
        found: i32,
        /// What is known.
        known: i32,
    },
    /// There are no tables, and none are to be made.
    #[error("schema {0} holds no store: make one with `sts-relay store init`")]
    Missing(String),
    /// Another process is this node.
    #[error("{}: another process is running with this data directory", dir.display())]
    Locked {
        /// The node's directory.
        dir: std::path::PathBuf,
    },
    /// The note of this node's token could not be read or written.
    #[error("{path}: {error}")]
    Note {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The server refused a statement.
    #[error("the database refused: {0}")]
    Refused(String),
    /// A standby is required to confirm each commit, and there is none.
    #[error(
        "the server has no synchronous standby: set synchronous_standby_names there, or store.postgres.standby = \"any\""
    )]
    Standby,
    /// 1,024 nodes are there already.
    #[error("1024 nodes share the store already: end one first")]
    Slots,
}

impl From<QueryError> for OpenError {
    fn from(error: QueryError) -> Self {
        match error.verdict() {
            Verdict::Again | Verdict::Refused => Self::Refused(error.in_full()),
            Verdict::Unknown => Self::Connect(error.in_full()),
        }
    }
}
