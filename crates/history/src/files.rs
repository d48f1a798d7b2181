//! The files of a history: segments and their keys.

use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;

use crate::address::{AddressKey, KEY_LENGTH, MonthKey};
use crate::error::HistoryError;

/// What the name of a segment begins and ends with; between them stands the number of its first record.
const PREFIX: &str = "seg-";
const SUFFIX: &str = ".sqlite";

/// What SQLite keeps beside a database that is written.
pub(crate) const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What the name of a month's key begins and ends with.
const MONTH_KEY: &str = "addresses-";
const KEY: &str = ".key";

/// What is added to the name of a segment for the file with its digest.
const DIGEST: &str = ".sha256";

/// What is added to the name of a file that is set aside.
pub(crate) const DAMAGED: &str = ".damaged";

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
        let mut segments = Vec::new();
        for path in self.paths()? {
            segments.extend(SegmentFile::at(path));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// All files; none where there is no history.
    fn paths(&self) -> Result<Vec<PathBuf>, HistoryError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HistoryError::io(&self.dir)(error)),
        };
        let path = |entry: io::Result<DirEntry>| entry.map(|entry| entry.path());
        let paths: io::Result<Vec<PathBuf>> = entries.map(path).collect();
        paths.map_err(HistoryError::io(&self.dir))
    }

    /// The segment that begins with this record.
    pub(crate) fn segment(&self, first: u64) -> SegmentFile {
        SegmentFile { first, path: self.dir.join(format!("{PREFIX}{first:020}{SUFFIX}")) }
    }

    /// The key of a month; a new one where there is none, or half of one.
    pub(crate) fn month_key(&self, month: &str) -> Result<MonthKey, HistoryError> {
        let path = self.month_key_path(month);
        let octets = match read_key(&path)? {
            Some(octets) => octets,
            None => {
                let octets = make_key(&path)?;
                self.sync()?;
                octets
            }
        };
        Ok(MonthKey { month: month.to_owned(), key: AddressKey::new(&octets) })
    }

    /// All months that have a key.
    pub(crate) fn months(&self) -> Result<Vec<String>, HistoryError> {
        let paths = self.paths()?;
        Ok(paths.iter().filter_map(|path| month_in(path)).collect())
    }

    /// Unlinks the key of a month: no address is found any more that was kept under it.
    pub(crate) fn forget_month(&self, month: &str) -> Result<(), HistoryError> {
        unlink(&self.month_key_path(month))
    }

    /// The keys of all months.
    pub(crate) fn keys(&self) -> Result<Vec<AddressKey>, HistoryError> {
        let mut keys = Vec::new();
        for month in self.months()? {
            keys.extend(read_key(&self.month_key_path(&month))?.map(|key| AddressKey::new(&key)));
        }
        Ok(keys)
    }

    fn month_key_path(&self, month: &str) -> PathBuf {
        self.dir.join(format!("{MONTH_KEY}{month}{KEY}"))
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<(), HistoryError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(HistoryError::io(&self.dir))
    }
}

impl SegmentFile {
    /// The segment at this path; none where that is another file.
    pub(crate) fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let first = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
        Some(Self { first, path })
    }

    /// The key that a segment of format 1 has to itself.
    fn key_path(&self) -> PathBuf {
        self.path.with_extension("key")
    }

    /// The key that a segment of format 1 has to itself; none where it is gone.
    pub(crate) fn key(&self) -> Result<Option<AddressKey>, HistoryError> {
        Ok(read_key(&self.key_path())?.map(|key| AddressKey::new(&key)))
    }

    /// The file with its digest.
    pub(crate) fn digest_path(&self) -> PathBuf {
        with_end(&self.path, DIGEST)
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
        let all = [self.key_path(), self.path.clone(), self.digest_path()].into_iter();
        all.chain(beside).try_for_each(|path| unlink(&path))
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

/// The month in the name of a key; none of another file.
fn month_in(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.strip_prefix(MONTH_KEY)?.strip_suffix(KEY)?.to_owned())
}

/// Makes a key.
fn make_key(path: &Path) -> Result<[u8; KEY_LENGTH], HistoryError> {
    let mut key = [0; KEY_LENGTH];
    rand::rng().fill_bytes(&mut key);
    write_file(path, &key)?;
    Ok(key)
}

/// Writes a file, closed to others; it is on the disk when this returns.
pub(crate) fn write_file(path: &Path, octets: &[u8]) -> Result<(), HistoryError> {
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()));
    written.map_err(HistoryError::io(path))
}

/// Reads a key; none where there is none, or half of one.
fn read_key(path: &Path) -> Result<Option<[u8; KEY_LENGTH]>, HistoryError> {
    match fs::read(path) {
        Ok(octets) => Ok(octets.as_slice().try_into().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HistoryError::io(path)(error)),
    }
}

/// Unlinks a file, if it is there.
pub(crate) fn unlink(path: &Path) -> Result<(), HistoryError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HistoryError::io(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A path with something added to its name.
pub(crate) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
