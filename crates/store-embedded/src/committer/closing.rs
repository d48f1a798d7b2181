//! The end of the committer.

use std::sync::Arc;

use store::Health;

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
