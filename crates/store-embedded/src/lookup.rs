//! Finding lots that may be claimed, and what the index holds about them.

use store::{Claimed, Demand, Entry, EntryRecipient, LotId, Next, StoreError};

use crate::claims::Sought;
use crate::index::{EngineError, Lookup};
use crate::key::{DuePlace, Key};
use crate::rows::{LotRow, MessageRow, ReasonNumber, decode_reason};
use crate::shared::{Handle, Shared};

/// Claims lots of one destination that are due, at most `limit`.
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

/// Adds lots of a destination that are due at `now` to `entries`, until there are `most` of them; says
/// what there is behind them.
fn fill(
    shared: &Shared,
    engine: &dyn Lookup,
    destination: &str,
    most: usize,
    now: u64,
    entries: &mut Vec<Entry>,
) -> Result<Next, EngineError> {
    while entries.len() < most {
        let scan = |from| Shared::read_due(engine, destination, from);
        let sought = shared.claims().claim(destination, now, scan)?;
        let Sought::Due(place) = sought else {
            return Ok(sought.next());
        };
        match find(engine, destination, place) {
            Ok(Some(found)) => entries.push(found),
            Ok(None) => shared.release(destination, place.lot, None),
            Err(error) => {
                shared.abandon(destination, place.lot);
                return Err(error);
            }
        }
    }
    Ok(shared.claims().next(destination, now))
}

/// What the index holds about a lot that is due; none if it was settled or moved meanwhile.
fn find(
    engine: &dyn Lookup,
    destination: &str,
    place: DuePlace,
) -> Result<Option<Entry>, EngineError> {
    let row = engine.find(&Key::lot(place.lot))?;
    let message = engine.find(&Key::message(place.lot.id))?;
    let (Some(row), Some(message)) = (row, message) else {
        return vanished(engine, destination, place);
    };
    let row = LotRow::decode(&row)?;
    if row.due != Some(place.due) {
        return vanished(engine, destination, place);
    }
    let message = MessageRow::decode(&message)?.message;
    let mut reasons = Vec::new();
    for number in 0..row.reasons {
        if let Some(reason) = engine.find(&Key::reason(place.lot, number))? {
            reasons.push(decode_reason(&reason)?);
        }
    }
    let destination = row.destination()?.clone();
    let reason_of = |one: Option<ReasonNumber>| reasons.get(usize::from(one?.number)).cloned();
    let recipients = row.recipients.into_iter().map(|entry| EntryRecipient {
        place: entry.index,
        recipient: entry.recipient,
        reason: reason_of(entry.reason),
        delay: entry.delay,
    });
    Ok(Some(Entry {
        id: place.lot,
        message,
        destination,
        recipients: recipients.collect(),
        attempts: row.attempts,
        by_hand: row.by_hand,
    }))
}

/// A lot in the due index that has no row: fine while a batch goes by, damage if it stays.
fn vanished(
    engine: &dyn Lookup,
    destination: &str,
    DuePlace { due, lot }: DuePlace,
) -> Result<Option<Entry>, EngineError> {
    if engine.find(&Key::due(destination, due, lot))?.is_none() {
        return Ok(None);
    }
    match engine.find(&Key::lot(lot))? {
        Some(row) if LotRow::decode(&row)?.due == Some(due) => Ok(None),
        Some(_) | None => {
            let LotId { id, lot } = lot;
            Err(EngineError::Damaged(format!("{id} lot {lot} is due and is not there")))
        }
    }
}
