//! A copy of the index to look at: sled writes when it opens, and who only looks changes nothing.
//!
//! It lies outside of the queue, where it cannot fill the disk that mail is kept on.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::error::OpenError;
use crate::recovery::io_error;

/// How many names are tried that other processes may have left.
const NAMES: u32 = 100;

/// A copy of the index that is removed in the end.
#[derive(Debug)]
pub(super) struct IndexCopy(PathBuf);

impl IndexCopy {
    /// Copies the index to a new directory in `scratch`, if at least `kept_free` bytes stay free
    /// there.
    pub(super) fn new(index: &Path, scratch: &Path, kept_free: u64) -> Result<Self, OpenError> {
        let size = size_of(index).map_err(|source| io_error(index, source))?;
        let needed = size.saturating_add(kept_free);
        let room = statvfs(scratch).map_err(|error| io_error(scratch, error.into()))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < needed {
            return Err(OpenError::NoRoomForCopy { dir: scratch.to_path_buf(), needed });
        }
        let copy = Self(new_dir(scratch).map_err(|source| io_error(scratch, source))?);
        copy_dir(index, &copy.path()).map_err(|source| io_error(&copy.0, source))?;
        Ok(copy)
    }

    /// Where the copy is.
    pub(super) fn path(&self) -> PathBuf {
        self.0.join("index")
    }
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "copy of the index not removed");
        }
    }
}

/// Makes a directory that nobody else has made or may look into: the index names who writes to
/// whom.
fn new_dir(scratch: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    for number in 0..NAMES {
        let dir = scratch.join(format!("sts-relay-index-{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| dir),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The bytes of all files in a directory.
fn size_of(dir: &Path) -> io::Result<u64> {
    let mut size = 0_u64;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.metadata()?;
        let more = if file.is_dir() { size_of(&entry.path())? } else { file.len() };
        size = size.saturating_add(more);
    }
    Ok(size)
}

/// Copies a directory with all that is in it.
fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
