//! Who is told of what the committer does: metrics, tests.

use std::fmt::Debug;
use std::time::Duration;

/// Is told of what the committer does, from its own thread; must not block.
pub trait Observer: Debug + Send + Sync {
    /// A commit group has become durable.
    fn committed(&self, group: CommitGroup);

    /// A commit group failed; nobody in it was acknowledged.
    fn failed(&self);

    /// What was journaled has been flushed to the index's own files.
    fn flushed(&self, flushed: Flushed);
}

/// What was flushed to the index's own files at a time.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    /// How many rows.
    pub rows: usize,
    /// How long that took, with its syncs.
    pub took: Duration,
}

/// A commit group that has become durable: all that waited when it began.
#[derive(Clone, Copy, Debug)]
pub struct CommitGroup {
    /// How many pieces of work it did: messages taken, leases settled, edits.
    pub jobs: usize,
    /// How many of them were messages taken.
    pub messages: usize,
    /// How long writing it to the spool and syncing that took; `None` where it is synced with a
    /// later one, because nobody waits for it.
    pub spool: Option<Duration>,
}
