//! Looking into the index by hand.

use std::time::SystemTime;

use clock::time;
use mail::{QueueId, Reason};
use store::{Details, Filter, LotDetails, LotId, RecipientDetails, Summary};

use crate::filter::{admits, admits_lot, admits_lots, admits_recipient};
use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::rows::{LotRow, MessageRow, Place, ReasonNumber, decode_reason};
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
    let mut lots = Vec::new();
    for (lot_id, lot) in lots_of(engine, id)? {
        lots.push(lot_details(engine, lot_id, &lot)?);
    }
    let path = paths.record(id, row.place);
    let file = path.strip_prefix(paths.root()).unwrap_or(&path);
    let file = match row.place {
        Place::Big => file.display().to_string(),
        Place::Segment { offset, .. } => format!("{} at {offset}", file.display()),
    };
    Ok(Some(Details { id, message: row.message, state: row.state, file, lots }))
}

/// The row of a message.
pub(crate) fn message_row(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Option<MessageRow>, EngineError> {
    let row = engine.find(&Key::message(id))?;
    Ok(row.map(|row| MessageRow::decode(&row)).transpose()?)
}

/// The lots of a message.
pub(crate) fn lots_of(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Vec<(LotId, LotRow)>, EngineError> {
    let mut lots = Vec::new();
    let first = Key::lot(LotId { id, lot: 0 });
    for_each(engine, first, &Key::after_lots(id), |key, value| {
        lots.push((key.lot_id()?, LotRow::decode(&value)?));
        Ok(())
    })?;
    Ok(lots)
}

/// A reason of a lot.
pub(crate) fn reason(
    engine: &dyn Lookup,
    lot: LotId,
    which: Option<ReasonNumber>,
) -> Result<Option<Reason>, EngineError> {
    let Some(which) = which else { return Ok(None) };
    let row = engine.find(&Key::reason(lot, which.number.into()))?;
    Ok(row.map(|row| decode_reason(&row)).transpose()?)
}

/// A message in short, if its recipients meet the filter.
fn summary(
    engine: &dyn Lookup,
    id: QueueId,
    row: MessageRow,
    filter: &Filter,
) -> Result<Option<Summary>, EngineError> {
    let lots = lots_of(engine, id)?;
    if !admits_lots(filter, &lots) {
        return Ok(None);
    }
    let first = lots.first().and_then(|(_, lot)| lot.recipients.first());
    let meant = lots.iter().filter(|(_, lot)| admits_lot(filter, lot));
    let mut recipients = meant.flat_map(|(id, lot)| lot.recipients.iter().map(|one| (*id, one)));
    let told = recipients.find(|(_, one)| one.reason.is_some() && admits_recipient(filter, one));
    let reason = match told {
        Some((lot_id, entry)) => reason(engine, lot_id, entry.reason)?,
        None => None,
    };
    Ok(Some(Summary {
        id,
        message: row.message,
        state: row.state,
        recipients: row.open_recipients,
        first_recipient: first.map(|entry| entry.recipient.clone()),
        attempts: lots.iter().map(|(_, lot)| lot.attempts).max().unwrap_or(0),
        next_attempt: lots.iter().filter_map(|(_, lot)| lot.due).min().map(time),
        reason,
    }))
}

/// A lot in full.
fn lot_details(
    engine: &dyn Lookup,
    lot_id: LotId,
    lot: &LotRow,
) -> Result<LotDetails, EngineError> {
    let mut recipients = Vec::new();
    for entry in &lot.recipients {
        let reason = reason(engine, lot_id, entry.reason)?;
        recipients.push(RecipientDetails { recipient: entry.recipient.clone(), reason });
    }
    Ok(LotDetails {
        destination: lot.destination()?.clone(),
        attempts: lot.attempts,
        next_attempt: lot.due.map(time),
        recipients,
    })
}
