//! What the committer does once a second besides its work: looking for blobs, reserving ids.

use std::fs;

use crate::batch::Batch;
use crate::committer::commit_log::CommitLog;
use crate::committer::group::{Durable, GroupError};
use crate::shared::Shared;

/// Complains if sled has put a value into a file of its own, which it never syncs.
pub(super) fn look_for_blobs(shared: &Shared) {
    let blobs = fs::read_dir(shared.paths.index().join("blobs"));
    if blobs.is_ok_and(|mut blobs| blobs.next().is_some()) {
        tracing::error!("index holds a blob: it may not survive a power cut");
    }
}

/// Reserves ids ahead of the clock, if it is time.
pub(super) fn reserve_ids(log: &mut CommitLog) -> Result<(), GroupError> {
    let Some(reserved) = log.shared.ids.wants(log.shared.clock.now()) else { return Ok(()) };
    let index = log.index()?;
    let mut batch = Batch::new(index.as_ref(), &mut log.ledger);
    batch.reserve_ids(reserved);
    let sealed = batch.seal()?;
    log.conclude(sealed, Durable::First)?;
    log.shared.ids.reserve(reserved);
    Ok(())
}
