//! What the committer does once a second: syncing settled logs, watching the disk, freeing space.

use std::fs;
use std::io::{self, Read};

use mail::QueueId;
use rustix::fs::{FallocateFlags, statvfs};
use rustix::io::Errno;
use store::Health;

use crate::batch::Batch;
use crate::committer::{Committer, Durable, GroupError};
use crate::key::Key;
use crate::rows::{Place, SegmentRow};
use crate::spool::unlinked::{rotate, segment_entry};
use crate::spool::{settled_log_of, sync_dir, unlink};

/// A segment in which nothing is alive is finished early when it is at least this long.
const FINISH_SIZE: u64 = 4 << 20;

/// Files that were unlinked.
#[derive(Debug, Default)]
pub(super) struct Gone {
    segments: Vec<u32>,
    /// Messages that had files of their own.
    bodies: Vec<QueueId>,
}

impl Gone {
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.bodies.is_empty()
    }

    /// Removes their rows.
    pub(super) fn forget(self, batch: &mut Batch<'_>) {
        batch.forget_segments(&self.segments);
        for id in self.bodies {
            batch.remove(Key::finished_body(id));
        }
    }
}

impl Committer {
    /// Does what is due once a second.
    pub(super) fn tick(&mut self) {
        if self.settled_logs.is_unsynced()
            && let Err(error) = self.settled_logs.sync()
        {
            tracing::warn!(%error, "settled logs not synced");
        }
        let health = self.space();
        if health != self.shared.health() {
            match health {
                Health::LowOnSpace => tracing::error!("disk nearly full: new mail is refused"),
                Health::Closed | Health::Failed | Health::Ready => {
                    tracing::info!("disk has room again: new mail is taken");
                }
            }
            self.shared.set_health(health);
        }
        self.look_for_blobs();
        if let Err(error) = self.housekeep() {
            self.fail(Vec::new(), &error);
        }
    }

    /// Complains if sled has put a value into a file of its own, which it never syncs.
    fn look_for_blobs(&self) {
        let blobs = fs::read_dir(self.shared.paths.index().join("blobs"));
        if blobs.is_ok_and(|mut blobs| blobs.next().is_some()) {
            tracing::error!("index holds a blob: it may not survive a power cut");
        }
    }

    /// Reserves ids, brings forward what is due too late, compacts segments, unlinks what is finished.
    fn housekeep(&mut self) -> Result<(), GroupError> {
        if self.index.is_none() {
            return Ok(());
        }
        self.reserve_ids()?;
        self.bring_forward()?;
        self.compact()?;
        self.unlink_finished()
    }

    /// Whether there is room enough for new mail; the reserve is taken again before there is.
    pub(super) fn space(&self) -> Health {
        let (reserve, min_free) = (self.shared.settings.reserve, self.shared.tuning().min_free);
        let free = match statvfs(self.shared.paths.root()) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                tracing::warn!(%error, "free disk space unknown");
                return Health::Ready;
            }
        };
        if free < min_free {
            return Health::LowOnSpace;
        }
        if reserve == 0 || self.shared.paths.reserve().exists() {
            return Health::Ready;
        }
        // Twice the reserve: taking it again must not be what fills the disk.
        if free < min_free.saturating_add(reserve.saturating_mul(2)) {
            return Health::LowOnSpace;
        }
        match self.take_reserve() {
            Ok(()) => Health::Ready,
            Err(error) => {
                tracing::warn!(%error, "disk reserve allocation failed");
                Health::LowOnSpace
            }
        }
    }

    /// Writes the reserve file, whole or not at all.
    fn take_reserve(&self) -> io::Result<()> {
        let size = self.shared.settings.reserve;
        let path = self.shared.paths.reserve();
        let mut file = fs::File::create(&path)?;
        let taken = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP) => io::copy(&mut io::repeat(0).take(size), &mut file).map(|_| ()),
            taken => taken.map_err(io::Error::from),
        };
        if taken.is_err() {
            unlink(&path)?;
        }
        taken
    }

    /// Gives the reserve up, so that the store can open and delete on a full disk.
    pub(super) fn give_up_reserve(&self) {
        if let Err(error) = unlink(&self.shared.paths.reserve()) {
            tracing::warn!(%error, "disk reserve release failed");
        }
    }

    /// Reserves ids ahead of the clock, if it is time.
    fn reserve_ids(&mut self) -> Result<(), GroupError> {
        let Some(reserved) = self.shared.ids.wants(self.shared.clock.now()) else { return Ok(()) };
        let index = self.index()?;
        let mut batch = Batch::new(index.as_ref(), &mut self.ledger);
        batch.reserve_ids(reserved);
        let sealed = batch.seal()?;
        self.conclude(sealed, Durable::First)?;
        self.shared.ids.reserve(reserved);
        Ok(())
    }

    /// Unlinks what is finished, then forgets it.
    fn unlink_finished(&mut self) -> Result<(), GroupError> {
        let (current, size) = self.segments.end();
        let is_empty = |row: Option<&SegmentRow>| row.is_none_or(|row| row.messages == 0);
        if size >= FINISH_SIZE && is_empty(self.ledger.segments.get(&current)) {
            self.segments.finish_current()?;
        }
        let gone = self.unlink_files()?;
        if gone.is_empty() {
            return Ok(());
        }
        let index = self.index()?;
        let mut batch = Batch::new(index.as_ref(), &mut self.ledger);
        gone.forget(&mut batch);
        let sealed = batch.seal()?;
        self.conclude(sealed, Durable::Soon).map(drop)
    }

    /// Unlinks segments in which nothing is alive and whose journal is flushed, and the files
    /// of messages that are gone.
    pub(super) fn unlink_files(&mut self) -> Result<Gone, GroupError> {
        let finished = self.ledger.segments.iter().filter(|(_, row)| row.messages == 0);
        let mut segments: Vec<u32> =
            finished.map(|(number, _)| *number).filter(|n| self.is_flushed(*n)).collect();
        if segments.is_empty() && self.finished_bodies.is_empty() {
            return Ok(Gone::default());
        }
        // What made them finished must not be lost when they are gone.
        self.sync()?;
        self.register(&segments);
        let bodies = self.unlink_bodies();
        segments.retain(|number| self.unlink_segment(*number));
        // The rows go only after the files are gone for good: a file without a row is read again.
        sync_dir(&self.shared.paths.spool())?;
        sync_dir(&self.shared.paths.big_dir())?;
        Ok(Gone { segments, bodies })
    }

    /// Unlinks a segment; whether it is gone. If not, the next process tries again, for its row stays.
    fn unlink_segment(&mut self, segment: u32) -> bool {
        let path = self.shared.paths.segment(segment);
        let log = settled_log_of(&path);
        self.settled_logs.forget(&log);
        self.stuck.remove(&segment);
        let unlinked = unlink(&path).and_then(|()| unlink(&log));
        if let Err(error) = &unlinked {
            tracing::warn!(segment, %error, "segment not unlinked");
            self.ledger.segments.remove(&segment);
        }
        unlinked.is_ok()
    }

    /// Whether a segment is finished and its journal flushed.
    pub(super) fn is_flushed(&self, segment: u32) -> bool {
        let is_known = self.writer.as_ref().is_some_and(|writer| segment < writer.mark().0);
        is_known && !self.segments.is_current(segment)
    }

    /// Makes durable that these segments, and all messages that are gone, are meant to be gone. An
    /// error costs no mail: an index that has gone back in time would list them as damaged.
    fn register(&mut self, segments: &[u32]) {
        let paths = self.shared.paths.clone();
        let entries: Vec<_> = segments.iter().map(|number| segment_entry(*number)).collect();
        let written = self
            .settled_logs
            .append(paths.unlinked(), &entries)
            .and_then(|()| self.settled_logs.sync())
            .and_then(|()| rotate(&paths, &mut self.settled_logs));
        if let Err(error) = written {
            tracing::warn!(%error, "unlinked files not registered");
        }
    }

    /// Unlinks the files of messages that are gone; which ones.
    fn unlink_bodies(&mut self) -> Vec<QueueId> {
        let mut bodies = std::mem::take(&mut self.finished_bodies);
        bodies.retain(|id| {
            let log = self.shared.paths.settled_log(*id, Place::Big);
            self.settled_logs.forget(&log);
            let unlinked = unlink(&self.shared.paths.big(*id)).and_then(|()| unlink(&log));
            if let Err(error) = &unlinked {
                tracing::warn!(queue_id = %id, %error, "body not unlinked");
            }
            unlinked.is_ok()
        });
        bodies
    }
}
