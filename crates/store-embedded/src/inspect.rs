//! Looking into the index by hand.

use std::time::SystemTime;

use mail::QueueId;
use store::rows::{entry_details, summary};
use store::{Details, Filter, Summary};

use crate::filter::admits;
use crate::index::{EngineError, Lookup};
use crate::key::Key;
use crate::message_rows::{entries_of, message_row, reason};
use crate::rows::{MessageRow, RecordLocation};
use crate::spool::Paths;

/// How many messages are read at a time.
const SLICE: usize = 512;

/// Up to `limit` messages of an index that meet `filter`, oldest first, after `after` if given.
pub(crate) fn list(
    engine: &dyn Lookup,
    filter: &Filter,
    after: Option<QueueId>,
    limit: usize,
    now: SystemTime,
) -> Result<Vec<Summary>, EngineError> {
    let mut from = after.map_or_else(|| Key::first(b'M'), |id| Key::message(id).next());
    let mut found = Vec::new();
    while found.len() < limit {
        let rows = engine.scan(&from, &Key::end(b'M'), SLICE)?;
        let Some((last, _)) = rows.last() else { break };
        from = last.next();
        for (key, value) in rows {
            let row = MessageRow::decode(&value)?;
            if found.len() < limit && admits(filter, &row, now) {
                let id = key.message_id()?;
                let entries = entries_of(engine, id)?;
                let named = (id, row.message, row.state);
                let look_up = |entry, which| reason(engine, entry, Some(which));
                found.extend(summary(named, row.open_recipients, &entries, filter, look_up)?);
            }
        }
    }
    Ok(found)
}

/// All that an index has about one message.
pub(crate) fn show(
    engine: &dyn Lookup,
    paths: &Paths,
    id: QueueId,
) -> Result<Option<Details>, EngineError> {
    let Some(row) = message_row(engine, id)? else { return Ok(None) };
    let mut entries = Vec::new();
    for (entry_id, entry) in entries_of(engine, id)? {
        entries.push(entry_details(&entry, |which| reason(engine, entry_id, Some(which)))?);
    }
    let path = paths.record(id, row.place);
    let file = path.strip_prefix(paths.root()).unwrap_or(&path);
    let file = match row.place {
        RecordLocation::Big => file.display().to_string(),
        RecordLocation::Segment { offset, .. } => format!("{} at {offset}", file.display()),
    };
    Ok(Some(Details { id, message: row.message, state: row.state, file, entries }))
}
