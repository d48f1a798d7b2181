//! Who is told of what the committer does: metrics, tests.

use std::fmt::Debug;
use std::time::Duration;

/// Is told of what the committer does, from its own thread; must not block.
pub trait Observer: Debug + Send + Sync {
    /// A round of work has become durable.
    fn committed(&self, round: Round);

    /// A round of work failed; nobody in it was acknowledged.
    fn failed(&self);
}

/// A round of work that has become durable: all that waited when it began.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// How many pieces of work it did: messages taken, leases settled, edits.
    pub jobs: usize,
    /// How many of them were messages taken.
    pub messages: usize,
    /// How long appending to the spool and syncing it took; `None` where it brought no message.
    pub spool: Option<Duration>,
    /// How long writing the index and syncing it took.
    pub index: Duration,
}
