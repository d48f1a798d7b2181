//! Finding entries that may be claimed, and what the index holds about them.

use store::rows::{EntryRow, ReasonNumber, decode_reason};
use store::{Claimed, Demand, EntryId, EntryRecipient, Next, QueueEntry, StoreError};

use crate::claims::Sought;
use crate::index::{EngineError, Lookup};
use crate::key::{DuePosition, Key};
use crate::rows::MessageRow;
use crate::shared::{Handle, Shared};

/// Claims entries of one destination that are due, at most `limit`.
pub(crate) fn claim(handle: &Handle, demand: &Demand, limit: usize) -> Result<Claimed, StoreError> {
    let (shared, destination) = (&handle.shared, demand.destination.as_ref());
    let (most, now, mut entries) = (demand.most.min(limit), shared.now(), Vec::new());
    match handle.read(|engine| fill(shared, engine, destination, most, now, &mut entries)) {
        Ok(next) => Ok(Claimed { entries, next }),
        Err(error) => {
            for entry in entries {
                shared.release(destination, entry.id, Some(now));
            }
            Err(error)
        }
    }
}

/// Adds entries of a destination that are due at `now` to `entries`, until there are `most` of them; says
/// what there is behind them.
fn fill(
    shared: &Shared,
    engine: &dyn Lookup,
    destination: &str,
    most: usize,
    now: u64,
    entries: &mut Vec<QueueEntry>,
) -> Result<Next, EngineError> {
    while entries.len() < most {
        let scan = |from| Shared::read_due(engine, destination, from);
        let sought = shared.claims().claim(destination, now, scan)?;
        let Sought::Due(place) = sought else {
            return Ok(sought.next());
        };
        match find(engine, destination, place) {
            Ok(Some(found)) => entries.push(found),
            Ok(None) => shared.release(destination, place.entry, None),
            Err(error) => {
                shared.abandon(destination, place.entry);
                return Err(error);
            }
        }
    }
    Ok(shared.claims().next(destination, now))
}

/// What the index holds about an entry that is due; none if it was settled or moved meanwhile.
fn find(
    engine: &dyn Lookup,
    destination: &str,
    place: DuePosition,
) -> Result<Option<QueueEntry>, EngineError> {
    let row = engine.find(&Key::entry(place.entry))?;
    let message = engine.find(&Key::message(place.entry.id))?;
    let (Some(row), Some(message)) = (row, message) else {
        return vanished(engine, destination, place);
    };
    let row = EntryRow::decode(&row)?;
    if row.due != Some(place.due) {
        return vanished(engine, destination, place);
    }
    let message = MessageRow::decode(&message)?.message;
    let mut reasons = Vec::new();
    for number in 0..row.reasons {
        if let Some(reason) = engine.find(&Key::reason(place.entry, number))? {
            reasons.push(decode_reason(&reason)?);
        }
    }
    let destination = row.destination()?.clone();
    let reason_of = |one: Option<ReasonNumber>| reasons.get(usize::from(one?.number)).cloned();
    let recipients = row.recipients.into_iter().map(|one| EntryRecipient {
        place: one.index,
        recipient: one.recipient,
        reason: reason_of(one.reason),
        delay: one.delay,
    });
    Ok(Some(QueueEntry {
        id: place.entry,
        message,
        destination,
        recipients: recipients.collect(),
        attempts: row.attempts,
        by_hand: row.by_hand,
    }))
}

/// An entry in the due index that has no row: fine while a batch goes by, damage if it stays.
fn vanished(
    engine: &dyn Lookup,
    destination: &str,
    DuePosition { due, entry }: DuePosition,
) -> Result<Option<QueueEntry>, EngineError> {
    if engine.find(&Key::due(destination, due, entry))?.is_none() {
        return Ok(None);
    }
    match engine.find(&Key::entry(entry))? {
        Some(row) if EntryRow::decode(&row)?.due == Some(due) => Ok(None),
        Some(_) | None => {
            let EntryId { id, number } = entry;
            Err(EngineError::Damaged(format!("{id} entry {number} is due and is not there")))
        }
    }
}
