//! What is shown of a message, made of its rows.

use clock::time;
use mail::{Message, QueueId, Reason, State};

use crate::entry_id::EntryId;
use crate::query::{EntryDetails, Filter, RecipientDetails, Summary};
use crate::rows::codec::Malformed;
use crate::rows::entry::EntryRow;
use crate::rows::filter::{admits_entry, admits_recipient};
use crate::rows::reason::ReasonNumber;

/// A message in short, if its recipients meet the filter; `reason` looks one up.
///
/// # Errors
///
/// Whatever `reason` meets.
pub fn summary<E>(
    (id, message, state): (QueueId, Message, State),
    recipients: u32,
    entries: &[(EntryId, EntryRow)],
    filter: &Filter,
    mut reason: impl FnMut(EntryId, ReasonNumber) -> Result<Option<Reason>, E>,
) -> Result<Option<Summary>, E> {
    let meant = entries.iter().filter(|(_, entry)| admits_entry(filter, entry));
    if !filter.needs_no_recipient() && meant.clone().next().is_none() {
        return Ok(None);
    }
    let first = entries.first().and_then(|(_, entry)| entry.recipients.first());
    let mut each = meant.flat_map(|(id, entry)| entry.recipients.iter().map(|one| (*id, one)));
    let waiting = each.find_map(|(id, one)| {
        one.reason.filter(|_| admits_recipient(filter, one)).map(|which| (id, which))
    });
    let reason = match waiting {
        Some((entry_id, which)) => reason(entry_id, which)?,
        None => None,
    };
    Ok(Some(Summary {
        id,
        message,
        state,
        recipients,
        first_recipient: first.map(|one| one.recipient.clone()),
        attempts: entries.iter().map(|(_, entry)| entry.attempts).max().unwrap_or(0),
        next_attempt: entries.iter().filter_map(|(_, entry)| entry.due).min().map(time),
        reason,
    }))
}

/// An entry in full; `reason` looks one up.
///
/// # Errors
///
/// Whatever `reason` meets, and [`Malformed`] for an entry without recipients.
pub fn entry_details<E: From<Malformed>>(
    entry: &EntryRow,
    mut reason: impl FnMut(ReasonNumber) -> Result<Option<Reason>, E>,
) -> Result<EntryDetails, E> {
    let mut recipients = Vec::new();
    for one in &entry.recipients {
        let reason = one.reason.map_or(Ok(None), &mut reason)?;
        recipients.push(RecipientDetails { recipient: one.recipient.clone(), reason });
    }
    Ok(EntryDetails {
        destination: entry.destination()?.clone(),
        attempts: entry.attempts,
        next_attempt: entry.due.map(time),
        recipients,
    })
}
