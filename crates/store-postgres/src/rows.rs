//! Rows of the tables as values, and back.

use mail::{QueueId, Reason, State};
use store::rows::{EntryRow, ReasonNumber, decode_reasons, decode_recipients};
use store::{ByHand, EntryId};
use tokio_postgres::Row;

use crate::error::QueryError;
use crate::plan::{Entry, MessageRow};

/// The columns that [`entry`] reads.
macro_rules! entry_columns {
    () => {
        "id, number, due, owner, attempts, planned, by_hand, recipients, reasons"
    };
}
pub(crate) use entry_columns;

/// A number as the database has it: what is beyond it is as far away as can be.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same for a small one.
pub(crate) fn small(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// A number of the database, none of which is below zero.
pub(crate) fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The same for a small one.
fn whole_small(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// An id as the database has it.
pub(crate) fn signed(id: QueueId) -> i64 {
    big(id.number())
}

/// The id that the database has.
pub(crate) fn id(number: i64) -> QueueId {
    QueueId::from_number(whole(number))
}

/// Ids and numbers of entries, as two arrays.
pub(crate) fn keys(entries: &[EntryId]) -> (Vec<i64>, Vec<i32>) {
    entries.iter().map(|entry| (signed(entry.id), small(entry.number))).unzip()
}

/// The state as a number.
pub(crate) const fn state_number(state: &State) -> i16 {
    match state {
        State::Queued => 0,
        State::OnHold => 1,
        State::Quarantined { .. } => 2,
        State::HeldByStaging => 3,
    }
}

/// The state that a number and a reason stand for; what is of no known state is not sent.
pub(crate) fn state(number: i16, why: Option<String>) -> State {
    match number {
        0 => State::Queued,
        1 => State::OnHold,
        3 => State::HeldByStaging,
        _ => State::Quarantined { why: why.unwrap_or_default() },
    }
}

/// Why a message is quarantined.
pub(crate) fn why(state: &State) -> Option<&str> {
    match state {
        State::Quarantined { why } => Some(why),
        State::HeldByStaging | State::OnHold | State::Queued => None,
    }
}

/// Reads `id, state, why, open_entries, open_recipients, bytes`.
pub(crate) fn message(row: &Row) -> Result<(QueueId, MessageRow), QueryError> {
    let state = state(row.try_get("state")?, row.try_get("why")?);
    let message = MessageRow {
        state,
        open_entries: whole_small(row.try_get("open_entries")?),
        open_recipients: whole_small(row.try_get("open_recipients")?),
        bytes: whole(row.try_get("bytes")?),
    };
    Ok((id(row.try_get("id")?), message))
}

/// Reads the columns of an entry.
pub(crate) fn entry(row: &Row) -> Result<(EntryId, Entry), QueryError> {
    let entry_id =
        EntryId { id: id(row.try_get("id")?), number: whole_small(row.try_get("number")?) };
    let reasons = decode_reasons(row.try_get("reasons")?)?;
    let planned: Option<i64> = row.try_get("planned")?;
    let due: Option<i64> = row.try_get("due")?;
    let by_hand =
        ByHand { planned: planned.map(whole), attempts: whole_small(row.try_get("by_hand")?) };
    let entry_row = EntryRow {
        due: due.map(whole),
        attempts: whole_small(row.try_get("attempts")?),
        by_hand,
        reasons: u16::try_from(reasons.len()).unwrap_or(u16::MAX),
        recipients: decode_recipients(row.try_get("recipients")?)?,
    };
    Ok((entry_id, Entry { row: entry_row, reasons, owner: row.try_get("owner")? }))
}

impl Entry {
    /// The reason of this number.
    pub(crate) fn reason(&self, which: ReasonNumber) -> Option<Reason> {
        self.reasons.get(usize::from(which.number)).cloned()
    }
}
