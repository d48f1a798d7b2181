//! Files of the spool that nothing needs any more are unlinked.

use mail::QueueId;

use crate::batch::Batch;
use crate::committer::commit_log::CommitLog;
use crate::committer::group::{Durable, GroupError};
use crate::key::Key;
use crate::rows::{RecordFile, SegmentRow};
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

/// Unlinks what is finished, then forgets it.
pub(super) fn unlink_finished(log: &mut CommitLog) -> Result<(), GroupError> {
    let (current, size) = log.segments.end();
    let is_empty = |row: Option<&SegmentRow>| row.is_none_or(|row| row.messages == 0);
    if size >= FINISH_SIZE && is_empty(log.ledger.segments.get(&current)) {
        log.segments.finish_current()?;
    }
    let gone = unlink_files(log)?;
    if gone.is_empty() {
        return Ok(());
    }
    let index = log.index()?;
    let mut batch = Batch::new(index.as_ref(), &mut log.ledger);
    gone.forget(&mut batch);
    let sealed = batch.seal()?;
    log.conclude(sealed, Durable::Soon).map(drop)
}

/// Unlinks segments in which nothing is alive and whose journal is flushed, and the files
/// of messages that are gone.
pub(super) fn unlink_files(log: &mut CommitLog) -> Result<Gone, GroupError> {
    let finished = log.ledger.segments.iter().filter(|(_, row)| row.messages == 0);
    let mut segments: Vec<u32> =
        finished.map(|(number, _)| *number).filter(|n| log.is_flushed(*n)).collect();
    if segments.is_empty() && log.finished_bodies.is_empty() {
        return Ok(Gone::default());
    }
    // What made them finished must not be lost when they are gone.
    log.sync()?;
    register(log, &segments);
    let bodies = unlink_bodies(log);
    segments.retain(|number| unlink_segment(log, *number));
    // The rows go only after the files are gone for good: a file without a row is read again.
    sync_dir(&log.shared.paths.spool())?;
    sync_dir(&log.shared.paths.big_dir())?;
    Ok(Gone { segments, bodies })
}

/// Unlinks a segment; whether it is gone. If not, the next process tries again, for its row stays.
fn unlink_segment(log: &mut CommitLog, segment: u32) -> bool {
    let path = log.shared.paths.segment(segment);
    let settled_log = settled_log_of(&path);
    log.settled_logs.forget(&settled_log);
    let unlinked = unlink(&path).and_then(|()| unlink(&settled_log));
    if let Err(error) = &unlinked {
        tracing::warn!(segment, %error, "segment not unlinked");
        log.ledger.segments.remove(&segment);
    }
    unlinked.is_ok()
}

/// Makes durable that these segments, and all messages that are gone, are meant to be gone. An
/// error costs no mail: an index that has gone back in time would list them as damaged.
fn register(log: &mut CommitLog, segments: &[u32]) {
    let paths = log.shared.paths.clone();
    let entries: Vec<_> = segments.iter().map(|number| segment_entry(*number)).collect();
    let written = log
        .settled_logs
        .append(paths.unlinked(), &entries)
        .and_then(|()| log.settled_logs.sync())
        .and_then(|()| rotate(&paths, &mut log.settled_logs));
    if let Err(error) = written {
        tracing::warn!(%error, "unlinked files not registered");
    }
}

/// Unlinks the files of messages that are gone; which ones.
fn unlink_bodies(log: &mut CommitLog) -> Vec<QueueId> {
    let mut bodies = std::mem::take(&mut log.finished_bodies);
    bodies.retain(|id| {
        let settled_log = log.shared.paths.settled_log(RecordFile::Big(*id));
        log.settled_logs.forget(&settled_log);
        let unlinked = unlink(&log.shared.paths.big(*id)).and_then(|()| unlink(&settled_log));
        if let Err(error) = &unlinked {
            tracing::warn!(queue_id = %id, %error, "body not unlinked");
        }
        unlinked.is_ok()
    });
    bodies
}
