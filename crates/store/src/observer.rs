//! Who is told of what the committer does: metrics, tests.

use std::fmt::Debug;
use std::time::Duration;

/// Is told of what the committer does, from its own thread; must not block.
pub trait Observer: Debug + Send + Sync {
    /// A commit group has become durable.
    fn committed(&self, group: CommitGroup);

    /// A commit group failed; nobody in it was acknowledged.
    fn failed(&self);

    /// Something has happened in a store that several processes share.
    fn shared(&self, event: SharedEvent);

    /// What was journaled has been flushed to the index's own files.
    fn flushed(&self, flushed: Flushed);
}

/// What happens in a store that several processes share, and in no other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SharedEvent {
    /// The database was not reached, or did not answer in time.
    DatabaseNotReached,
    /// This process was declared dead: others may have its mail.
    DeclaredDead,
    /// A group whose COMMIT had no reply was found committed.
    GroupFoundCommitted,
    /// A group whose COMMIT had no reply was found not to be committed, and is done again.
    GroupFoundUndone,
    /// This process has declared another one dead, whose mail is free.
    NodeTakenOver,
    /// A settlement came after another process had taken the entry over: its mail may arrive twice.
    SettlementLost,
}

impl SharedEvent {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DatabaseNotReached,
        Self::DeclaredDead,
        Self::GroupFoundCommitted,
        Self::GroupFoundUndone,
        Self::NodeTakenOver,
        Self::SettlementLost,
    ];
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
