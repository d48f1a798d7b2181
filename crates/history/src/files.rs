//! The files of a history: segments and their keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;

use crate::address::KEY_LENGTH;
use crate::error::HistoryError;

/// What the name of a segment begins and ends with; between them stands the number of its first record.
const PREFIX: &str = "seg-";
const SUFFIX: &str = ".sqlite";

/// What SQLite keeps beside a database that is written.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What is added to the name of a file that is set aside.
const DAMAGED: &str = ".damaged";

/// The directory of a history.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

/// A segment's file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SegmentFile {
    /// The number of its first record.
    pub(crate) first: u64,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Files {
    /// The files in `dir`.
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Makes the directory, closed to others.
    pub(crate) fn create(&self) -> Result<(), HistoryError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(HistoryError::io(&self.dir))
    }

    /// All segments, the oldest first; none where there is no history.
    pub(crate) fn segments(&self) -> Result<Vec<SegmentFile>, HistoryError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HistoryError::io(&self.dir)(error)),
        };
        let mut segments = Vec::new();
        for entry in entries {
            let path = entry.map_err(HistoryError::io(&self.dir))?.path();
            segments.extend(first_of(&path).map(|first| SegmentFile { first, path }));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// The segment that begins with this record.
    pub(crate) fn segment(&self, first: u64) -> SegmentFile {
        SegmentFile { first, path: self.dir.join(format!("{PREFIX}{first:020}{SUFFIX}")) }
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<(), HistoryError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(HistoryError::io(&self.dir))
    }
}

impl SegmentFile {
    /// The key of its addresses.
    fn key_path(&self) -> PathBuf {
        self.path.with_extension("key")
    }

    /// Makes a key for its addresses.
    pub(crate) fn make_key(&self) -> Result<[u8; KEY_LENGTH], HistoryError> {
        let mut key = [0; KEY_LENGTH];
        rand::rng().fill_bytes(&mut key);
        let path = self.key_path();
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()));
        written.map_err(HistoryError::io(&path))?;
        Ok(key)
    }

    /// The key of its addresses; none where it is gone, so that no address can be looked for.
    pub(crate) fn key(&self) -> Result<Option<[u8; KEY_LENGTH]>, HistoryError> {
        let path = self.key_path();
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes.as_slice().try_into().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HistoryError::io(&path)(error)),
        }
    }

    /// How many bytes it takes, with what SQLite keeps beside it.
    pub(crate) fn size(&self) -> u64 {
        let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let beside = COMPANIONS.iter().map(|end| length(&with_end(&self.path, end)));
        beside.fold(length(&self.path), u64::saturating_add)
    }

    /// Unlinks it, with its key.
    pub(crate) fn unlink(&self) -> Result<(), HistoryError> {
        let beside = COMPANIONS.iter().map(|end| with_end(&self.path, end));
        // The key first: without it no address is found in what may be left.
        let all = [self.key_path(), self.path.clone()].into_iter().chain(beside);
        for path in all {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(HistoryError::io(&path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Sets it aside, for it is damaged; the name that it has then.
    pub(crate) fn set_aside(&self) -> Result<PathBuf, HistoryError> {
        for end in COMPANIONS {
            let beside = with_end(&self.path, end);
            if beside.exists() {
                fs::rename(&beside, with_end(&beside, DAMAGED))
                    .map_err(HistoryError::io(&beside))?;
            }
        }
        let aside = with_end(&self.path, DAMAGED);
        fs::rename(&self.path, &aside).map_err(HistoryError::io(&self.path))?;
        Ok(aside)
    }
}

/// The number in the name of a segment; none of another file.
fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// A path with something added to its name.
pub(crate) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
