//! The end of the committer.

use std::sync::Arc;

use store::Health;

use crate::batch::Batch;
use crate::committer::commit_log::CommitLog;
use crate::committer::group::GroupError;
use crate::committer::unlinking::unlink_files;
use crate::shared::Shared;

/// Says that the queue is closed when the committer ends, even by a panic.
#[derive(Debug)]
pub(super) struct CloseAtLast(pub(super) Arc<Shared>);

impl Drop for CloseAtLast {
    fn drop(&mut self) {
        if self.0.health() != Health::Closed {
            tracing::error!("queue writer ended unexpectedly: the queue is closed");
        }
        self.0.set_health(Health::Closed);
        self.0.set_engine(None);
    }
}

/// Writes what the next start should find.
pub(super) fn finish_rows(log: &mut CommitLog) -> Result<(), GroupError> {
    log.settled_logs.sync()?;
    log.segments.finish_current()?;
    log.flush_all()?;
    // From here on nothing is journaled: the engine knows everything.
    let gone = unlink_files(log)?;
    let index = log.index()?;
    let mut batch = Batch::new(index.as_ref(), &mut log.ledger);
    gone.forget(&mut batch);
    batch.release_ids(log.shared.ids.last());
    batch.mark(log.segments.end());
    batch.keep_waiting()?;
    let sealed = batch.seal()?;
    Ok(sealed.commit(index.engine())?)
}
