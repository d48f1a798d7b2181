//! Looking into the index by hand.

use std::time::SystemTime;

use clock::time;
use mail::QueueId;
use store::rows::EntryRow;
use store::{Details, EntryDetails, EntryId, Filter, RecipientDetails, Summary};

use crate::filter::{admits, admits_entries, admits_entry, admits_recipient};
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
                found.extend(summary(engine, key.message_id()?, row, filter)?);
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
        entries.push(entry_details(engine, entry_id, &entry)?);
    }
    let path = paths.record(id, row.place);
    let file = path.strip_prefix(paths.root()).unwrap_or(&path);
    let file = match row.place {
        RecordLocation::Big => file.display().to_string(),
        RecordLocation::Segment { offset, .. } => format!("{} at {offset}", file.display()),
    };
    Ok(Some(Details { id, message: row.message, state: row.state, file, entries }))
}

/// A message in short, if its recipients meet the filter.
fn summary(
    engine: &dyn Lookup,
    id: QueueId,
    row: MessageRow,
    filter: &Filter,
) -> Result<Option<Summary>, EngineError> {
    let entries = entries_of(engine, id)?;
    if !admits_entries(filter, &entries) {
        return Ok(None);
    }
    let first = entries.first().and_then(|(_, entry)| entry.recipients.first());
    let meant = entries.iter().filter(|(_, entry)| admits_entry(filter, entry));
    let mut recipients =
        meant.flat_map(|(id, entry)| entry.recipients.iter().map(|one| (*id, one)));
    let with_reason =
        recipients.find(|(_, one)| one.reason.is_some() && admits_recipient(filter, one));
    let reason = match with_reason {
        Some((entry_id, one)) => reason(engine, entry_id, one.reason)?,
        None => None,
    };
    Ok(Some(Summary {
        id,
        message: row.message,
        state: row.state,
        recipients: row.open_recipients,
        first_recipient: first.map(|one| one.recipient.clone()),
        attempts: entries.iter().map(|(_, entry)| entry.attempts).max().unwrap_or(0),
        next_attempt: entries.iter().filter_map(|(_, entry)| entry.due).min().map(time),
        reason,
    }))
}

/// An entry in full.
fn entry_details(
    engine: &dyn Lookup,
    entry_id: EntryId,
    entry: &EntryRow,
) -> Result<EntryDetails, EngineError> {
    let mut recipients = Vec::new();
    for one in &entry.recipients {
        let reason = reason(engine, entry_id, one.reason)?;
        recipients.push(RecipientDetails { recipient: one.recipient.clone(), reason });
    }
    Ok(EntryDetails {
        destination: entry.destination()?.clone(),
        attempts: entry.attempts,
        next_attempt: entry.due.map(time),
        recipients,
    })
}
