//! Proof that a message is kept.

use mail::QueueId;
use smtp::{Class, EnhancedCode, Reply, ReplyCode};

/// Proof that a message is in the queue, on disk, to stay.
///
/// Only [`Self::assertion`] makes one, which each store has in one place, after the disk has said so;
/// and only this makes the 250 to the end of the data. Nothing else can:
///
/// ```compile_fail,E0451
/// fn too_early(id: mail::QueueId) -> store::Committed {
///     store::Committed { id }
/// }
/// ```
///
/// and what it proves stays readable:
///
/// ```
/// fn log(committed: &store::Committed) -> mail::QueueId {
///     committed.id()
/// }
/// ```
#[derive(Debug)]
pub struct Committed {
    id: QueueId,
}

impl Committed {
    /// A store's word that message `id` is durable. Only where a store has just heard that from its
    /// disk: nothing else can tell, and a client that has its 250 does not send again.
    #[must_use]
    pub const fn assertion(id: QueueId) -> Self {
        Self { id }
    }

    /// The message.
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.id
    }

    /// The answer to the end of the data: the only 250 to it there is.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let ok = EnhancedCode::new(Class::Success, 0, 0);
        Reply::new(ReplyCode::OK, Some(ok), &format!("queued as {}", self.id))
    }
}
