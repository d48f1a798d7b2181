//! The lock of a node's directory: one process has it.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::OpenError;

/// A lock of the node's directory, held until it is dropped. Who finds it held has settings that are another
/// relay's too: two nodes with one note of their token would declare each other dead.
///
/// It is let go by name and not by closing the file: a program that is being started holds copies of all open
/// files until it runs.
#[derive(Debug)]
pub(crate) struct NodeLock(File);

impl NodeLock {
    /// Takes the directory, which is made where it is not there.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let failed = |error| OpenError::Note { path: path.clone(), error };
        fs::create_dir_all(dir).map_err(failed)?;
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Drop for NodeLock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "node not unlocked before its file is closed");
        }
    }
}
