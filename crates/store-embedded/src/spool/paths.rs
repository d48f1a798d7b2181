//! Where the files of a store are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mail::QueueId;

use crate::rows::{RecordFile, RecordLocation};
use crate::spool::files::{create_dir, sync_dir};

/// The names of all files of a store.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The files of the store in `root`.
    pub(crate) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Makes the directories, durably.
    pub(crate) fn create(&self) -> io::Result<()> {
        for dir in [self.spool(), self.big_dir(), self.tmp_dir(), self.quarantine_dir()] {
            create_dir(&dir)?;
        }
        for dir in [self.big_dir(), self.spool(), self.root.clone()] {
            sync_dir(&dir)?;
        }
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            Some(_) | None => Ok(()),
        }
    }

    /// The store's directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The index.
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// The file that says which format the store has.
    pub(crate) fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// The file that is locked while the store is open.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The file that is there while the store is closed, and was closed in order.
    pub(crate) fn closed(&self) -> PathBuf {
        self.root.join("closed")
    }

    /// The file that is given up when the disk is full.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The segments and what belongs to them.
    pub(crate) fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// Records with a file of their own.
    pub(crate) fn big_dir(&self) -> PathBuf {
        self.spool().join("big")
    }

    /// Records that are still being written.
    pub(crate) fn tmp_dir(&self) -> PathBuf {
        self.spool().join("tmp")
    }

    /// The register of spool files that were unlinked.
    pub(crate) fn unlinked(&self) -> PathBuf {
        self.spool().join("unlinked")
    }

    /// The register before that one.
    pub(crate) fn unlinked_before(&self) -> PathBuf {
        self.spool().join("unlinked.before")
    }

    /// Bytes that should have been records and are not.
    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Files with such bytes, and their lengths.
    pub(crate) fn quarantined(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let entries = match fs::read_dir(self.quarantine_dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            files.push((entry.path(), entry.metadata()?.len()));
        }
        files.sort();
        Ok(files)
    }

    /// The file that is there while the index is being rebuilt.
    pub(crate) fn rebuilding(&self) -> PathBuf {
        self.root.join("rebuilding")
    }

    /// A segment.
    pub(crate) fn segment(&self, segment: u32) -> PathBuf {
        self.spool().join(format!("seg-{segment:08x}"))
    }

    /// A record in a file of its own.
    pub(crate) fn big(&self, id: QueueId) -> PathBuf {
        self.big_dir().join(id.to_string())
    }

    /// A record that is still being written.
    pub(crate) fn tmp(&self, id: QueueId) -> PathBuf {
        self.tmp_dir().join(id.to_string())
    }

    /// The file that holds the record of message `id`.
    pub(crate) fn record(&self, id: QueueId, place: RecordLocation) -> PathBuf {
        self.record_file(place.file_of(id))
    }

    fn record_file(&self, file: RecordFile) -> PathBuf {
        match file {
            RecordFile::Big(id) => self.big(id),
            RecordFile::Segment(segment) => self.segment(segment),
        }
    }

    /// The settled log of a file with records.
    pub(crate) fn settled_log(&self, file: RecordFile) -> PathBuf {
        settled_log_of(&self.record_file(file))
    }

    /// The numbers of all segments there are, in order.
    pub(crate) fn segments(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for name in file_names(&self.spool())? {
            let number = name.strip_prefix("seg-").filter(|digits| digits.len() == 8);
            if let Some(Ok(number)) = number.map(|digits| u32::from_str_radix(digits, 16)) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The messages that have a file of their own, in order.
    pub(crate) fn bigs(&self) -> io::Result<Vec<QueueId>> {
        let names = file_names(&self.big_dir())?;
        let mut ids: Vec<QueueId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

/// The settled log of a spool file.
pub(crate) fn settled_log_of(file: &Path) -> PathBuf {
    file.with_extension("settled")
}

/// The names of the files in a directory.
fn file_names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
