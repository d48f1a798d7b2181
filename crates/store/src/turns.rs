//! What a store says of what is due.

use std::fmt::Debug;

use crate::claim::Due;
use crate::entry_id::EntryId;

/// Who decides whose turn it is, and learns from a store what becomes due. Called by the store's own
/// threads: it must not wait, nor ask the store.
pub trait Turns: Debug + Send + Sync {
    /// Entries are due that may be new.
    fn due(&self, due: &[Due]);

    /// A claimed entry is settled. Nobody can have claimed it again when this is called.
    fn settled(&self, destination: &str, entry: EntryId);

    /// The store is open again, and these are all destinations that have entries.
    fn reopened(&self, due: Vec<Due>);

    /// The store's health is another one.
    fn health_changed(&self);
}
