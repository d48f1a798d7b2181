//! Which messages are meant: of a list, a count or a change of many.

use std::time::SystemTime;

use store::{Filter, LotId, Matching};

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::rows::{LotRecipient, LotRow, MessageRow};
use crate::survey::lots_of;

/// Whether a message's own row meets a filter's wishes.
pub(crate) fn admits(filter: &Filter, row: &MessageRow, now: SystemTime) -> bool {
    filter.admits_message(&row.message, &row.state, now)
}

/// Whether its lots do: one of them is enough.
pub(crate) fn admits_lots(filter: &Filter, lots: &[(LotId, LotRow)]) -> bool {
    filter.needs_no_recipient() || lots.iter().any(|(_, lot)| admits_lot(filter, lot))
}

/// Whether one of its lots does.
pub(crate) fn admits_lot(filter: &Filter, lot: &LotRow) -> bool {
    let is_there = |destination| lot.destination() == Ok(destination);
    filter.destination.as_ref().is_none_or(is_there)
        && (filter.reason.is_none()
            || lot.recipients.iter().any(|one| admits_recipient(filter, one)))
}

/// Whether a recipient waits for what is wished.
pub(crate) fn admits_recipient(filter: &Filter, recipient: &LotRecipient) -> bool {
    filter.admits_reason(recipient.reason.map(|reason| reason.class))
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
            && (filter.needs_no_recipient() || admits_lots(filter, &lots_of(engine, id)?))
        {
            found = Matching { messages: found.messages.saturating_add(1), last: Some(id) };
        }
        Ok(())
    })?;
    Ok(found)
}
