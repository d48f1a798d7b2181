//! What can go wrong when a queue is opened.

use std::io;
use std::path::PathBuf;

use store::{IndexError, StoreError, is_full};

use crate::index::EngineError;

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Index(IndexError::new(error))
    }
}

/// The queue could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{}: the queue is open in another process", dir.display())]
    Locked {
        /// The queue's directory.
        dir: PathBuf,
    },
    /// The index of a queue that is only looked at is damaged.
    #[error(
        "{}: the index is damaged: `queue verify` shows the damage, and starting the relay \
         rebuilds it from the spool", dir.display()
    )]
    Damaged {
        /// The queue's directory.
        dir: PathBuf,
        /// What is wrong with it.
        #[source]
        source: IndexError,
    },
    /// The index could not be opened or rebuilt.
    #[error("{}: the index could not be opened", dir.display())]
    Index {
        /// The queue's directory.
        dir: PathBuf,
        /// What went wrong.
        #[source]
        source: IndexError,
    },
    /// A file or directory could not be read or written.
    #[error("{}: could not be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A later version of the program wrote the store.
    #[error(
        "{}: the queue has format {found}, this program knows format {known}: \
         a later version wrote it", dir.display()
    )]
    NewerFormat {
        /// The queue's directory.
        dir: PathBuf,
        /// The store's format.
        found: u32,
        /// The last format that this program can read.
        known: u32,
    },
    /// The copy of the index that is read while no process has the queue open has no room.
    #[error(
        "{}: {needed} bytes would have to be free there to read a copy of the index; \
         TMPDIR names another directory", dir.display()
    )]
    NoRoomForCopy {
        /// Where the copy would be.
        dir: PathBuf,
        /// How many bytes it takes, with those that must stay free.
        needed: u64,
    },
    /// The file that names the format says something else.
    #[error("{}: not the directory of a queue", dir.display())]
    NotAQueue {
        /// The queue's directory.
        dir: PathBuf,
    },
}

impl OpenError {
    /// Whether there was no room for what opening writes.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Index { source, .. } => source.is_full(),
            Self::Io { source, .. } => is_full(source),
            Self::Damaged { .. }
            | Self::Locked { .. }
            | Self::NewerFormat { .. }
            | Self::NoRoomForCopy { .. }
            | Self::NotAQueue { .. } => false,
        }
    }
}
