//! What those who make records and the one who writes them share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::address::MonthKey;
use crate::known::Known;

/// What those who make records and the one who writes them share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// What the files have, so that no record has to bring it.
    pub(crate) known: Known,
    /// The key of the present month; none until it is on the disk.
    key: RwLock<Option<Arc<MonthKey>>>,
    /// Whether something is missing that a record names.
    missed: AtomicBool,
}

impl Shared {
    /// Something is missing that a record names: it is given once more.
    pub(crate) fn miss(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// Whether something was missing since this was last asked.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed) && self.missed.swap(false, Ordering::Relaxed)
    }

    /// The key of the present month; none until it is on the disk.
    pub(crate) fn key(&self) -> Option<Arc<MonthKey>> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has addresses kept under this key from now on.
    pub(crate) fn set_key(&self, key: MonthKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
    }
}
