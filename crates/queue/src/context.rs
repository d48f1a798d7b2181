//! What a queue, its drafts and its leases share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use clock::{Clock, millis};
use store::Store;

use crate::settings::{QueueSettings, QueueTuning};
use crate::turns::TurnTable;

/// What all parts of a queue share.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where the mail is.
    pub(crate) store: Arc<dyn Store>,
    /// Whose turn it is.
    pub(crate) turns: Arc<TurnTable>,
    pub(crate) clock: Arc<dyn Clock>,
    settings: QueueSettings,
    tuning: RwLock<QueueTuning>,
}

impl Context {
    /// The parts of a queue over `store`.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        settings: QueueSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tuning = RwLock::new(settings.tuning());
        Self { store, turns: Arc::default(), clock, settings, tuning }
    }

    /// The time now, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis(self.clock.now())
    }

    /// What may change while the queue is in use, as it is now.
    pub(crate) fn tuning(&self) -> QueueTuning {
        *self.tuning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what may change while the queue is in use.
    pub(crate) fn tune(&self, tuning: QueueTuning) {
        *self.tuning.write().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    /// When an entry whose lease was dropped is due again.
    pub(crate) fn rest_after_drop(&self) -> u64 {
        let rest = self.settings.rest_after_drop;
        millis(self.clock.now().checked_add(rest).unwrap_or(SystemTime::UNIX_EPOCH))
    }
}
