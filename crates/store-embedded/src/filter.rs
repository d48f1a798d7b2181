//! Which messages are meant: of a list, a count or a change of many.

use std::time::SystemTime;

use store::rows::{EntryRow, admits_entry};
use store::{EntryId, Filter, Matching};

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::message_rows::entries_of;
use crate::rows::MessageRow;

/// Whether a message's own row meets a filter.
pub(crate) fn admits(filter: &Filter, row: &MessageRow, now: SystemTime) -> bool {
    filter.admits_message(&row.message, &row.state, now)
}

/// Whether its entries do: one of them is enough.
pub(crate) fn admits_entries(filter: &Filter, entries: &[(EntryId, EntryRow)]) -> bool {
    filter.needs_no_recipient() || entries.iter().any(|(_, entry)| admits_entry(filter, entry))
}

/// How many messages of an index meet `filter`.
pub(crate) fn matching(
    engine: &dyn Lookup,
    filter: &Filter,
    now: SystemTime,
) -> Result<Matching, EngineError> {
    let mut found = Matching::default();
    for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, value| {
        let id = key.message_id()?;
        if admits(filter, &MessageRow::decode(&value)?, now)
            && (filter.needs_no_recipient() || admits_entries(filter, &entries_of(engine, id)?))
        {
            found = Matching { messages: found.messages.saturating_add(1), last: Some(id) };
        }
        Ok(())
    })?;
    Ok(found)
}
