//! The register of spool files that were unlinked because nothing in them was left to be done.
//!
//! A damaged index may go back in time without saying so. It then lists mail that left the queue
//! long ago, and whose file is gone. The register tells such mail from mail whose file was lost.
//! It holds the last unlinkings, 65,536 at least: when its file is full, it takes the place of the
//! one before, which is dropped.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::{fs, io};

use mail::QueueId;

use crate::spool::files::sync_dir;
use crate::spool::paths::Paths;
use crate::spool::settled_log::{ALL_RECIPIENTS, ENTRY_SIZE, SettledLogs, read_entries};

/// When the file is so long it is full.
const FULL: u64 = 65_536 * ENTRY_SIZE_BYTES;

/// [`ENTRY_SIZE`] as the length of a file.
const ENTRY_SIZE_BYTES: u64 = 16;

const _: () = assert!(ENTRY_SIZE == 16, "a register's entries are a settled log's");

/// In place of a recipient's number: the entry is about a segment, whose number is the id's.
const SEGMENT: u32 = 0;

/// What the register holds.
#[derive(Debug, Default)]
pub(crate) struct Unlinked {
    bodies: HashSet<QueueId>,
    segments: BTreeSet<u32>,
}

impl Unlinked {
    /// Reads the register; entries that a crash left torn or damaged are passed over.
    pub(crate) fn load(paths: &Paths) -> io::Result<Self> {
        let mut unlinked = Self::default();
        for path in [paths.unlinked(), paths.unlinked_before()] {
            for (number, kind) in read_entries(&path)? {
                match (kind, u32::try_from(number.number())) {
                    (ALL_RECIPIENTS, _) => drop(unlinked.bodies.insert(number)),
                    (SEGMENT, Ok(segment)) => drop(unlinked.segments.insert(segment)),
                    (_, _) => {}
                }
            }
        }
        Ok(unlinked)
    }

    /// Whether the message with this id had a file of its own and has left the queue.
    pub(crate) fn holds_body(&self, id: QueueId) -> bool {
        self.bodies.contains(&id)
    }

    /// The messages that had a file of their own and have left the queue, in no order.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = QueueId> {
        self.bodies.iter().copied()
    }

    /// Whether nothing was alive in this segment when it was unlinked.
    pub(crate) fn holds_segment(&self, segment: u32) -> bool {
        self.segments.contains(&segment)
    }

    /// The highest id of a message that is named.
    pub(crate) fn highest_body(&self) -> Option<QueueId> {
        self.bodies.iter().max().copied()
    }

    /// The last segment that is named.
    pub(crate) fn last_segment(&self) -> Option<u32> {
        self.segments.last().copied()
    }
}

/// The entry of a message whose own file is or will be unlinked.
pub(crate) const fn body_entry(id: QueueId) -> (QueueId, u32) {
    (id, ALL_RECIPIENTS)
}

/// The entry of a segment.
pub(crate) fn segment_entry(segment: u32) -> (QueueId, u32) {
    (QueueId::from_number(segment.into()), SEGMENT)
}

/// Lets a full register take the place of the one before.
pub(crate) fn rotate(paths: &Paths, logs: &mut SettledLogs) -> io::Result<()> {
    let path = paths.unlinked();
    if !is_full(&path)? {
        return Ok(());
    }
    logs.sync()?;
    logs.forget(&path);
    fs::rename(&path, paths.unlinked_before())?;
    sync_dir(&paths.spool())
}

/// Whether the register's file is full.
fn is_full(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len() >= FULL),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unlinkings_are_known_and_the_register_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().to_path_buf());
        paths.create().unwrap();
        let mut logs = SettledLogs::default();
        let id = |n: u64| QueueId::from_number(n << 32);
        for round in 0..5_u64 {
            let first = round * 65_536;
            let entries: Vec<_> = (first..first + 65_536).map(|n| body_entry(id(n))).collect();
            logs.append(paths.unlinked(), &entries).unwrap();
            rotate(&paths, &mut logs).unwrap();
            logs.append(paths.unlinked(), &[segment_entry(u32::try_from(round).unwrap())]).unwrap();
            let unlinked = Unlinked::load(&paths).unwrap();
            assert!(unlinked.holds_body(id(first)) && unlinked.holds_body(id(first + 65_535)));
            assert_eq!(unlinked.highest_body(), Some(id(first + 65_535)));
            assert_eq!(unlinked.last_segment(), Some(u32::try_from(round).unwrap()));
            assert!(unlinked.bodies().count() <= 2 * 65_536);
            let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
            assert!(length(&paths.unlinked()) + length(&paths.unlinked_before()) <= 2 * FULL);
        }
        let unlinked = Unlinked::load(&paths).unwrap();
        assert!(!unlinked.holds_body(id(0)) && unlinked.holds_segment(4));
    }

    #[test]
    fn segments_and_messages_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().to_path_buf());
        paths.create().unwrap();
        assert_eq!(Unlinked::load(&paths).unwrap().last_segment(), None);
        let entries = [body_entry(QueueId::from_number(3)), segment_entry(4)];
        SettledLogs::default().append(paths.unlinked(), &entries).unwrap();
        let unlinked = Unlinked::load(&paths).unwrap();
        assert!(unlinked.holds_body(QueueId::from_number(3)) && !unlinked.holds_segment(3));
        assert!(unlinked.holds_segment(4) && !unlinked.holds_body(QueueId::from_number(4)));
    }
}
