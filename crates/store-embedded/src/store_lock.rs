//! The lock of a store: one process writes to it, or any number look at it.

use std::fs::{File, TryLockError};
use std::io;

use crate::error::OpenError;
use crate::spool::Paths;

/// A lock of the store's file, held until it is dropped.
///
/// It is let go by name and not by closing the file: a program that is being started holds copies of
/// all open files until it runs, and with them a lock that nobody let go.
#[derive(Debug)]
pub(crate) struct StoreLock(File);

impl StoreLock {
    /// Keeps all other processes out of a store.
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] if another has it open.
    pub(crate) fn alone(paths: &Paths) -> Result<Self, OpenError> {
        let file = File::options().write(true).create(true).truncate(false).open(paths.lock());
        let file = file.map_err(|source| OpenError::Io { path: paths.lock(), source })?;
        Self::held(file.try_lock(), file, paths)
    }

    /// Keeps those who write out of a store, not others who look; none where it has no file for that.
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] if a process writes to it.
    pub(crate) fn shared(paths: &Paths) -> Result<Option<Self>, OpenError> {
        match File::open(paths.lock()) {
            Ok(file) => Self::held(file.try_lock_shared(), file, paths).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError::Io { path: paths.lock(), source }),
        }
    }

    /// The lock, if it could be had.
    fn held(locked: Result<(), TryLockError>, file: File, of: &Paths) -> Result<Self, OpenError> {
        match locked {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { dir: of.root().to_path_buf() })
            }
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path: of.lock(), source }),
        }
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "store not unlocked before its file is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_let_go_though_a_program_that_is_being_started_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().to_path_buf());
        let lock = StoreLock::alone(&paths).unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(StoreLock::shared(&paths), Err(OpenError::Locked { .. })));
        drop(lock);
        let lookers = [StoreLock::shared(&paths).unwrap(), StoreLock::shared(&paths).unwrap()];
        assert!(matches!(StoreLock::alone(&paths), Err(OpenError::Locked { .. })));
        drop((lookers, inherited));
        StoreLock::alone(&paths).unwrap();
    }
}
