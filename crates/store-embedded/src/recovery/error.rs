//! Why a store could not be recovered.

use std::io;

use crate::index::EngineError;

/// The spool could not be read into the index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] EngineError),
    /// The spool failed.
    #[error("the spool could not be read")]
    Spool(#[from] io::Error),
}

impl From<RecoveryError> for EngineError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Index(error) => error,
            RecoveryError::Spool(error) => Self::Io(error),
        }
    }
}
