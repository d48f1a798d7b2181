//! Bringing an index up to date from the journal, after a process that did not close it.

use std::collections::{BTreeMap, HashSet};

use mail::QueueId;
use store::Waiting;

use crate::index::{Engine, EngineError, write_in_parts};
use crate::key::Key;
use crate::recovery::error::RecoveryError;
use crate::rows::StoreRow;
use crate::spool::journal::Changes;
use crate::spool::scan::{Bodies, Found, Whole, scan};
use crate::spool::{Mark, Paths};

/// The engine is given what was read whenever there are so many rows.
const ROWS: usize = 16_384;

/// What a reading of the journal gives.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The store's row by now.
    pub(crate) row: StoreRow,
    /// Up to where the engine knew the spool by itself.
    pub(crate) from: Mark,
    /// Messages that left the queue in what was read.
    pub(crate) gone: HashSet<QueueId>,
    /// What recipients wait for, where that was counted.
    pub(crate) waiting: Option<Waiting>,
}

impl Replayed {
    /// Nothing was read: the engine knows everything.
    pub(crate) fn nothing(row: StoreRow) -> Self {
        Self { row, from: (row.mark_segment, row.mark_offset), gone: HashSet::new(), waiting: None }
    }
}

/// Makes the changes of all groups that the engine has not heard of, in their order, as far as they
/// follow each other.
///
/// A commit group may have been being written when the process ended, and its end have reached the disk
/// before its beginning: it was never acknowledged. So a commit group counts only if all of it is whole, or if
/// anything stands behind it in its segment: a commit group that brings mail is synced before the next one begins, so what
/// is not whole in it was damaged later, and is found out when it is read.
pub(crate) fn replay(
    paths: &Paths,
    store: u64,
    engine: &dyn Engine,
    row: StoreRow,
) -> Result<Replayed, RecoveryError> {
    let from = (row.mark_segment, row.mark_offset);
    let replayed = Replayed { row, from, gone: HashSet::new(), waiting: None };
    let mut replay =
        Replay { engine, replayed, rows: BTreeMap::new(), is_whole: true, doubtful: None };
    for segment in paths.segments()?.into_iter().filter(|segment| *segment >= from.0) {
        // A segment may also be begun because what stands at the end of the one before was refused.
        replay.doubtful = None;
        let mut whole = Whole::from(if segment == from.0 { from.1 } else { 0 });
        scan(&paths.segment(segment), store, whole.end(), Bodies::Check, |found| {
            let found = whole.pass(found);
            replay.is_whole &= whole.until_now();
            match found {
                Found::Changes { end, changes, .. } => {
                    whole.begin_again();
                    Ok(replay.take(*changes, (segment, end))?)
                }
                Found::Record(_) => Ok(replay.believe()?),
                Found::Damage { .. } | Found::Torn { .. } => Ok::<(), RecoveryError>(()),
            }
        })?;
    }
    replay.flush()?;
    let groups = replay.replayed.row.groups.saturating_sub(row.groups);
    if groups > 0 {
        tracing::info!(groups, "journal replayed");
    }
    Ok(replay.replayed)
}

/// A reading of the journal.
#[derive(Debug)]
struct Replay<'a> {
    engine: &'a dyn Engine,
    replayed: Replayed,
    /// Rows to be written.
    rows: BTreeMap<Key, Option<Vec<u8>>>,
    /// Whether all is whole since the last group.
    is_whole: bool,
    /// A commit group that is not whole, and where it ends.
    doubtful: Option<(Changes, Mark)>,
}

impl Replay<'_> {
    /// Takes the changes of a commit group, whose record ends at `mark`.
    fn take(&mut self, changes: Changes, mark: Mark) -> Result<(), EngineError> {
        self.believe()?;
        if std::mem::replace(&mut self.is_whole, true) {
            return self.make(changes, mark);
        }
        self.doubtful = Some((changes, mark));
        Ok(())
    }

    /// Something stands behind the group that was not whole: it was synced.
    fn believe(&mut self) -> Result<(), EngineError> {
        match self.doubtful.take() {
            Some((changes, mark)) => self.make(changes, mark),
            None => Ok(()),
        }
    }

    /// Makes the changes of a commit group, if it is the next one that the engine has not heard of: where
    /// one is missing, none after it counts.
    fn make(&mut self, changes: Changes, mark: Mark) -> Result<(), EngineError> {
        let Changes { row, writes } = changes;
        if Some(row.groups) != self.replayed.row.groups.checked_add(1) {
            return Ok(());
        }
        let (mark_segment, mark_offset) = mark;
        self.replayed.row = StoreRow { mark_segment, mark_offset, ..row };
        for (key, value) in writes {
            if value.is_none() && key.is_message() {
                self.replayed.gone.insert(key.message_id()?);
            }
            self.rows.insert(key, value);
        }
        if self.rows.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    /// Gives the engine what was read, the store's own row last.
    fn flush(&mut self) -> Result<(), EngineError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let (store, row) = (Key::store(), self.replayed.row.encode());
        let rows = rows.iter().map(|(key, value)| (key, value.as_deref()));
        write_in_parts(self.engine, rows.chain([(&store, Some(row.as_slice()))]))
    }
}
