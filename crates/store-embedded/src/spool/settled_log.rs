//! Settled logs: what is settled in a spool file, for the day the index is lost.
//!
//! Entries are written at once and synced within a second. A rebuild reads them, so that it sends
//! again at most what was settled in the second before a power cut. They are never needed while
//! the index is whole.

use store::rows::Decoder;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mail::QueueId;

/// The length of an entry: id, recipient, checksum.
pub(super) const ENTRY_SIZE: usize = 16;

/// In place of a recipient's number: all of them.
pub(crate) const ALL_RECIPIENTS: u32 = u32::MAX;

/// How many settled logs are kept open.
const OPEN_MOST: usize = 64;

/// The settled logs that are being written.
#[derive(Debug, Default)]
pub(crate) struct SettledLogs {
    open: HashMap<PathBuf, File>,
    unsynced: HashSet<PathBuf>,
}

impl SettledLogs {
    /// Writes entries to the settled log at `path`.
    pub(crate) fn append(&mut self, path: PathBuf, entries: &[(QueueId, u32)]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(entries.len().saturating_mul(ENTRY_SIZE));
        for (id, recipient) in entries {
            put_entry(&mut bytes, *id, *recipient);
        }
        if self.open.len() >= OPEN_MOST && !self.open.contains_key(&path) {
            self.sync()?;
            self.open.clear();
        }
        let file = match self.open.entry(path.clone()) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(closed) => closed.insert(open_whole(&path)?),
        };
        self.unsynced.insert(path);
        file.write_all(&bytes)
    }

    /// Whether anything is not synced yet.
    pub(crate) fn is_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        for path in &self.unsynced {
            if let Some(file) = self.open.get(path) {
                file.sync_data()?;
            }
        }
        self.unsynced.clear();
        Ok(())
    }

    /// Closes a settled log whose spool file is unlinked.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.open.remove(path);
        self.unsynced.remove(path);
    }
}

/// What a settled log says.
#[derive(Debug, Default)]
pub(crate) struct SettledLog(HashSet<(QueueId, u32)>);

impl SettledLog {
    /// Reads a settled log; entries that a crash left torn or damaged are passed over.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        Ok(Self(read_entries(path)?.into_iter().collect()))
    }

    /// Whether this recipient of the message is settled.
    pub(crate) fn holds(&self, id: QueueId, recipient: u32) -> bool {
        self.0.contains(&(id, recipient)) || self.0.contains(&(id, ALL_RECIPIENTS))
    }

    /// The messages that are named, each once.
    pub(crate) fn messages(&self) -> BTreeSet<QueueId> {
        self.0.iter().map(|(id, _)| *id).collect()
    }

    /// The highest id that is named.
    pub(crate) fn highest(&self) -> Option<QueueId> {
        self.0.iter().map(|(id, _)| *id).max()
    }
}

/// Opens a settled log to append to it, past an entry that a crash left torn.
fn open_whole(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    if !length.is_multiple_of(ENTRY_SIZE) {
        let missing = length.next_multiple_of(ENTRY_SIZE).saturating_sub(length);
        file.write_all(&vec![0; missing])?;
    }
    Ok(file)
}

/// The whole entries of a file; none where there is no file.
pub(super) fn read_entries(path: &Path) -> io::Result<Vec<(QueueId, u32)>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(bytes.chunks_exact(ENTRY_SIZE).filter_map(read_entry).collect())
}

/// Adds one entry.
fn put_entry(bytes: &mut Vec<u8>, id: QueueId, recipient: u32) {
    let begin = bytes.len();
    bytes.extend_from_slice(&id.number().to_be_bytes());
    bytes.extend_from_slice(&recipient.to_be_bytes());
    let sum = crc32c::crc32c(bytes.get(begin..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_be_bytes());
}

/// Reads an entry whose checksum is right.
fn read_entry(bytes: &[u8]) -> Option<(QueueId, u32)> {
    let mut input = Decoder::new(bytes, "settled log entry");
    let (id, recipient, sum) = (input.u64().ok()?, input.u32().ok()?, input.u32().ok()?);
    let covered = bytes.get(..ENTRY_SIZE.checked_sub(4)?)?;
    (sum == crc32c::crc32c(covered)).then_some((QueueId::from_number(id), recipient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_damaged_entry_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.settled");
        let mut logs = SettledLogs::default();
        let ids = [1, 2, 3].map(QueueId::from_number);
        logs.append(path.clone(), &[(ids[0], 0), (ids[1], 5), (ids[2], ALL_RECIPIENTS)]).unwrap();
        assert!(logs.is_unsynced());
        logs.sync().unwrap();
        assert!(!logs.is_unsynced());
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        bytes.extend_from_slice(&[0; 9]);
        fs::write(&path, bytes).unwrap();
        let settled = SettledLog::load(&path).unwrap();
        assert!(settled.holds(ids[0], 0) && !settled.holds(ids[0], 1));
        assert!(!settled.holds(ids[1], 5));
        assert!(settled.holds(ids[2], 0) && settled.holds(ids[2], 77));
        assert_eq!(settled.highest(), Some(ids[2]));
    }

    #[test]
    fn entries_after_a_torn_one_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.settled");
        fs::write(&path, [7; 5]).unwrap();
        let id = QueueId::from_number(9);
        SettledLogs::default().append(path.clone(), &[(id, 3)]).unwrap();
        assert!(SettledLog::load(&path).unwrap().holds(id, 3));
    }

    #[test]
    fn a_missing_log_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let settled = SettledLog::load(&dir.path().join("none")).unwrap();
        assert!(!settled.holds(QueueId::from_number(1), 0));
    }
}
