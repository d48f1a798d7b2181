//! Which entries and recipients meet a filter.

use crate::query::Filter;
use crate::rows::entry::{EntryRow, RowRecipient};

/// Whether an entry meets a filter.
#[must_use]
pub fn admits_entry(filter: &Filter, entry: &EntryRow) -> bool {
    let is_there = |destination| entry.destination() == Ok(destination);
    filter.destination.as_ref().is_none_or(is_there)
        && (filter.reason.is_none()
            || entry.recipients.iter().any(|one| admits_recipient(filter, one)))
}

/// Whether a recipient waits for what is wished.
#[must_use]
pub fn admits_recipient(filter: &Filter, recipient: &RowRecipient) -> bool {
    filter.admits_reason(recipient.reason.map(|reason| reason.class))
}
