//! The rows of a message.

use mail::{QueueId, Reason};
use store::EntryId;
use store::rows::{EntryRow, ReasonNumber, decode_reason};

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::rows::MessageRow;

/// The row of a message.
pub(crate) fn message_row(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Option<MessageRow>, EngineError> {
    let row = engine.find(&Key::message(id))?;
    Ok(row.map(|row| MessageRow::decode(&row)).transpose()?)
}

/// The entries of a message.
pub(crate) fn entries_of(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Vec<(EntryId, EntryRow)>, EngineError> {
    let mut entries = Vec::new();
    let first = Key::entry(EntryId { id, number: 0 });
    for_each(engine, first, &Key::after_entries(id), |key, value| {
        entries.push((key.entry_id()?, EntryRow::decode(&value)?));
        Ok(())
    })?;
    Ok(entries)
}

/// A reason of an entry.
pub(crate) fn reason(
    engine: &dyn Lookup,
    entry: EntryId,
    which: Option<ReasonNumber>,
) -> Result<Option<Reason>, EngineError> {
    let Some(which) = which else { return Ok(None) };
    let row = engine.find(&Key::reason(entry, which.number.into()))?;
    Ok(row.map(|row| decode_reason(&row)).transpose()?)
}
