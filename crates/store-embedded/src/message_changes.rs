//! What happens to messages: the changes that each event makes to the index.

use std::collections::HashSet;

use clock::time;
use mail::{DelayNotice, Message, Outcome, QueueId, Reason, State};
use store::rows::{
    EntryRow, Malformed, RowRecipient, count_recipients, divide, encode_reason, first_state,
    leave_deferred,
};
use store::{ByHand, Due, EntryId, EntrySettlement, Settled};

use crate::batch::Batch;
use crate::index::EngineError;
use crate::key::Key;
use crate::records;
use crate::rows::{MessageRow, RecordLocation};
use crate::spool::settled_log::ALL_RECIPIENTS;
use crate::waiting::{count_in, count_out};

/// Adds a message that is not there yet, with all its entries. An entry without recipients keeps its
/// number free.
pub(crate) fn add(
    batch: &mut Batch<'_>,
    id: QueueId,
    place: RecordLocation,
    envelope_size: u32,
    message: Message,
    entries: &[EntryRow],
) -> Result<(), EngineError> {
    let numbered = (0_u32..).zip(entries).filter(|(_, entry)| !entry.recipients.is_empty());
    let count = u32::try_from(entries.len()).map_err(|_cause| Malformed("number of entries"))?;
    let open = u32::try_from(numbered.clone().count()).unwrap_or(u32::MAX);
    let recipients = count_recipients(entries);
    let row = MessageRow {
        place,
        envelope_size,
        message,
        state: first_state(entries),
        entries: count,
        open_entries: open,
        open_recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
    };
    batch.put_new(Key::message(id), row.encode())?;
    for (number, entry) in numbered {
        let entry_id = EntryId { id, number };
        batch.put_new(Key::entry(entry_id), entry.encode())?;
        put_due(batch, entry_id, entry)?;
    }
    count_message(batch, &row);
    Ok(())
}

/// Settles an entry: what is done leaves the queue, what is deferred is due again later.
pub(crate) fn settle(
    batch: &mut Batch<'_>,
    settlement: &EntrySettlement,
) -> Result<Settled, EngineError> {
    let EntrySettlement { entry: entry_id, recipients, outcomes, records, retry, .. } = settlement;
    let entry_id = *entry_id;
    let Some(mut message) = batch.message(entry_id.id)? else { return Ok(Settled::GONE) };
    let Some(mut entry) = batch.entry(entry_id)? else { return Ok(Settled::GONE) };
    if !entry.recipients.iter().map(|one| one.index).eq(recipients.iter().copied()) {
        return settle_others(batch, settlement, message.place);
    }
    // What waited for the store may have been settled before it failed.
    if entry.attempts < retry.attempts {
        records::add(batch, records)?;
    }
    remove_due(batch, entry_id, &entry)?;
    let (deferred, done) = divide(&entry.recipients, outcomes);
    let finished = u32::try_from(done.len()).unwrap_or(u32::MAX);
    message.open_recipients = message.open_recipients.saturating_sub(finished);
    batch.ledger.row.recipients = batch.ledger.row.recipients.saturating_sub(finished.into());
    for index in done {
        batch.effects.settled.push((message.place, entry_id.id, index));
    }
    remove_reasons(batch, entry_id, &entry);
    if deferred.is_empty() {
        close_entry(batch, entry_id, &mut message)?;
        return Ok(Settled {
            deferred: 0,
            next_attempt: None,
            message_gone: message.open_entries == 0,
        });
    }
    batch.put(Key::message(entry_id.id), message.encode())?;
    entry.attempts = retry.attempts;
    entry.by_hand = ByHand { planned: None, attempts: retry.by_hand };
    entry.due = (message.state == State::Queued).then_some(retry.due);
    put_reasons(batch, entry_id, &mut entry, deferred)?;
    batch.put(Key::entry(entry_id), entry.encode())?;
    put_due(batch, entry_id, &entry)?;
    Ok(Settled {
        deferred: entry.recipients.len(),
        next_attempt: entry.due.map(time),
        message_gone: false,
    })
}

/// Notes for which recipients of an entry, by their places in the message, the delay notice was
/// sent.
pub(crate) fn delay_notices_sent(
    batch: &mut Batch<'_>,
    entry_id: EntryId,
    places: &[u32],
) -> Result<(), EngineError> {
    if places.is_empty() {
        return Ok(());
    }
    let Some(mut entry) = batch.entry(entry_id)? else { return Ok(()) };
    for one in entry.recipients.iter_mut().filter(|one| places.contains(&one.index)) {
        one.delay = DelayNotice::Sent;
    }
    batch.put(Key::entry(entry_id), entry.encode())
}

/// Settles recipients whose entry has changed since it was leased, because the index was rebuilt
/// meanwhile: those that are done leave the queue, the others stay as they are.
fn settle_others(
    batch: &mut Batch<'_>,
    settlement: &EntrySettlement,
    place: RecordLocation,
) -> Result<Settled, EngineError> {
    let EntrySettlement { entry: EntryId { id, .. }, recipients, outcomes, records, .. } =
        settlement;
    let id = *id;
    let done: HashSet<u32> = recipients
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| !matches!(outcome, Outcome::Deferred(_)))
        .map(|(index, _)| *index)
        .collect();
    if forget_settled(batch, id, |index| done.contains(&index))? > 0 || done.is_empty() {
        records::add(batch, records)?;
    }
    batch.effects.settled.extend(done.iter().map(|index| (place, id, *index)));
    let message_gone = batch.message(id)?.is_none();
    let deferred = recipients.len().saturating_sub(done.len());
    Ok(Settled { deferred, next_attempt: None, message_gone })
}

/// Removes recipients of a message that are known to be settled; how many there were.
pub(crate) fn forget_settled(
    batch: &mut Batch<'_>,
    id: QueueId,
    is_settled: impl Fn(u32) -> bool,
) -> Result<u32, EngineError> {
    let Some(mut message) = batch.message(id)? else { return Ok(0) };
    let mut forgotten = 0_u32;
    for number in 0..message.entries {
        let entry_id = EntryId { id, number };
        let Some(mut entry) = batch.entry(entry_id)? else { continue };
        let before = entry.clone();
        entry.recipients.retain(|recipient| !is_settled(recipient.index));
        let fewer = before.recipients.len().saturating_sub(entry.recipients.len());
        let fewer = u32::try_from(fewer).unwrap_or(u32::MAX);
        if fewer == 0 {
            continue;
        }
        forgotten = forgotten.saturating_add(fewer);
        message.open_recipients = message.open_recipients.saturating_sub(fewer);
        batch.ledger.row.recipients = batch.ledger.row.recipients.saturating_sub(fewer.into());
        if entry.recipients.is_empty() {
            remove_due(batch, entry_id, &before)?;
            remove_reasons(batch, entry_id, &before);
            close_entry(batch, entry_id, &mut message)?;
        } else {
            count_out(&mut batch.ledger.waiting, &before);
            count_in(&mut batch.ledger.waiting, &entry);
            batch.put(Key::entry(entry_id), entry.encode())?;
            batch.put(Key::message(id), message.encode())?;
        }
    }
    Ok(forgotten)
}

/// Makes an entry due at `due` that is due later than may be.
pub(crate) fn make_due(
    batch: &mut Batch<'_>,
    entry_id: EntryId,
    due: u64,
) -> Result<(), EngineError> {
    let Some(mut entry) = batch.entry(entry_id)? else { return Ok(()) };
    remove_due(batch, entry_id, &entry)?;
    entry.due = entry.due.map(|before| before.min(due));
    entry.by_hand.planned = None;
    batch.put(Key::entry(entry_id), entry.encode())?;
    put_due(batch, entry_id, &entry)
}

/// Makes an entry due at `due` if it is due later, because an operator asked for it; whether there
/// was one that is not held.
pub(crate) fn reschedule(
    batch: &mut Batch<'_>,
    entry_id: EntryId,
    due: u64,
) -> Result<bool, EngineError> {
    let Some(mut entry) = batch.entry(entry_id)? else { return Ok(false) };
    let Some(planned) = entry.due else { return Ok(false) };
    if planned <= due {
        return Ok(true);
    }
    remove_due(batch, entry_id, &entry)?;
    entry.due = Some(due);
    entry.by_hand.planned = Some(planned);
    batch.put(Key::entry(entry_id), entry.encode())?;
    put_due(batch, entry_id, &entry)?;
    Ok(true)
}

/// Puts a message into a state; a queued one is due at `due`. Whether anything changed.
pub(crate) fn set_state(
    batch: &mut Batch<'_>,
    id: QueueId,
    state: State,
    due: u64,
) -> Result<bool, EngineError> {
    let Some(mut message) = batch.message(id)? else { return Ok(false) };
    if message.state == state {
        return Ok(false);
    }
    message.state = state;
    batch.put(Key::message(id), message.encode())?;
    for number in 0..message.entries {
        let entry_id = EntryId { id, number };
        let Some(mut entry) = batch.entry(entry_id)? else { continue };
        remove_due(batch, entry_id, &entry)?;
        entry.due = (message.state == State::Queued).then_some(due);
        entry.by_hand = ByHand { planned: None, ..entry.by_hand };
        batch.put(Key::entry(entry_id), entry.encode())?;
        put_due(batch, entry_id, &entry)?;
    }
    Ok(true)
}

/// Removes a message with all that is left of it; whether there was one.
pub(crate) fn delete(batch: &mut Batch<'_>, id: QueueId) -> Result<bool, EngineError> {
    let Some(mut message) = batch.message(id)? else { return Ok(false) };
    for number in 0..message.entries {
        let entry_id = EntryId { id, number };
        let Some(entry) = batch.entry(entry_id)? else { continue };
        remove_due(batch, entry_id, &entry)?;
        remove_reasons(batch, entry_id, &entry);
        close_entry(batch, entry_id, &mut message)?;
    }
    batch.effects.settled.push((message.place, id, ALL_RECIPIENTS));
    let left = u64::from(message.open_recipients);
    batch.ledger.row.recipients = batch.ledger.row.recipients.saturating_sub(left);
    Ok(true)
}

/// A message's record is in the spool, and the message is not to be in the queue.
pub(crate) fn leave_out(
    batch: &mut Batch<'_>,
    id: QueueId,
    place: RecordLocation,
) -> Result<(), EngineError> {
    batch.effects.settled.push((place, id, ALL_RECIPIENTS));
    if place == RecordLocation::Big {
        batch.put(Key::finished_body(id), Vec::new())?;
        batch.effects.finished_bodies.push(id);
    }
    Ok(())
}

/// A message's record has been copied to another place.
pub(crate) fn relocate(
    batch: &mut Batch<'_>,
    id: QueueId,
    place: RecordLocation,
) -> Result<bool, EngineError> {
    let Some(mut message) = batch.message(id)? else { return Ok(false) };
    batch.count_place_out(&message);
    message.place = place;
    batch.count_place_in(&message);
    batch.put(Key::message(id), message.encode())?;
    Ok(true)
}

/// Removes an entry that has no recipient left, and its message with the last one.
fn close_entry(
    batch: &mut Batch<'_>,
    entry: EntryId,
    message: &mut MessageRow,
) -> Result<(), EngineError> {
    batch.remove(Key::entry(entry));
    message.open_entries = message.open_entries.saturating_sub(1);
    batch.ledger.row.entries = batch.ledger.row.entries.saturating_sub(1);
    if message.open_entries > 0 {
        return batch.put(Key::message(entry.id), message.encode());
    }
    batch.remove(Key::message(entry.id));
    batch.ledger.row.messages = batch.ledger.row.messages.saturating_sub(1);
    batch.ledger.row.bytes = batch.ledger.row.bytes.saturating_sub(message.record_size());
    batch.count_place_out(message);
    if message.place == RecordLocation::Big {
        batch.put(Key::finished_body(entry.id), Vec::new())?;
        batch.effects.finished_bodies.push(entry.id);
    }
    Ok(())
}

/// Counts a new message.
fn count_message(batch: &mut Batch<'_>, message: &MessageRow) {
    let row = &mut batch.ledger.row;
    row.messages = row.messages.saturating_add(1);
    row.entries = row.entries.saturating_add(message.open_entries.into());
    row.recipients = row.recipients.saturating_add(message.open_recipients.into());
    row.bytes = row.bytes.saturating_add(message.record_size());
    batch.count_place_in(message);
}

/// Enters an entry into the due index, and counts what its recipients wait for.
fn put_due(batch: &mut Batch<'_>, entry_id: EntryId, entry: &EntryRow) -> Result<(), EngineError> {
    count_in(&mut batch.ledger.waiting, entry);
    if let Some(due) = entry.due {
        let destination = entry.destination()?.to_string();
        batch.put_new(Key::due(&destination, due, entry_id), Vec::new())?;
        batch.effects.due.push(Due { destination, at: due });
    }
    Ok(())
}

/// Takes an entry out of the due index, and out of the count of what its recipients wait for.
fn remove_due(
    batch: &mut Batch<'_>,
    entry_id: EntryId,
    entry: &EntryRow,
) -> Result<(), EngineError> {
    count_out(&mut batch.ledger.waiting, entry);
    if let Some(due) = entry.due {
        let destination = entry.destination()?.to_string();
        batch.remove(Key::due(&destination, due, entry_id));
    }
    Ok(())
}

/// Writes the reasons of the recipients that are left: each different one once.
fn put_reasons(
    batch: &mut Batch<'_>,
    entry_id: EntryId,
    entry: &mut EntryRow,
    deferred: Vec<(RowRecipient, &Reason)>,
) -> Result<(), EngineError> {
    for (number, reason) in (0_u16..).zip(leave_deferred(entry, deferred)?) {
        batch.put(Key::reason(entry_id, number), encode_reason(reason))?;
    }
    Ok(())
}

/// Removes an entry's reasons.
fn remove_reasons(batch: &mut Batch<'_>, entry_id: EntryId, entry: &EntryRow) {
    for number in 0..entry.reasons {
        batch.remove(Key::reason(entry_id, number));
    }
}
