//! What can go wrong with the history's files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The history could not be read or written.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Segment {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A segment does not hold what it should.
    #[error("{path}: {what}", path = .path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A segment of a later version of this program.
    #[error("{path}: its format is {format}, and this program knows {known} at most", path = .path.display())]
    TooNew {
        /// Which one.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The highest that is known.
        known: u32,
    },
    /// A segment of an earlier version, whose records cannot be shown without those of other mail.
    #[error("{path}: an earlier version of this program wrote it: `history verify` checks it as a whole", path = .path.display())]
    Unprovable {
        /// Which one.
        path: PathBuf,
    },
    /// The thread that read or wrote has ended.
    #[error("the history's thread has ended; the log says why")]
    Ended,
}

impl HistoryError {
    /// The operating system's error at `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// SQLite's error at `path`.
    pub(crate) fn segment(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        |source| Self::Segment { path: path.to_path_buf(), source }
    }

    /// Whether the file itself is at fault, so that another one is begun.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged { .. } => true,
            Self::Segment { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
                    || matches!(
                        source,
                        rusqlite::Error::FromSqlConversionFailure(..)
                            | rusqlite::Error::InvalidColumnType(..)
                            | rusqlite::Error::QueryReturnedNoRows
                    )
            }
            Self::Ended | Self::Io { .. } | Self::TooNew { .. } | Self::Unprovable { .. } => false,
        }
    }
}
