//! How many messages are in each state, and how old the oldest is.

use std::time::Duration;

use clock::millis;
use mail::State;
use store::Counts;

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::rows::MessageRow;

/// Counts all messages of an index.
pub(crate) fn counts(engine: &dyn Lookup, now: u64) -> Result<Counts, EngineError> {
    let mut counts = Counts::default();
    for_each(engine, Key::first(b'M'), &Key::end(b'M'), |_, value| {
        let row = MessageRow::decode(&value)?;
        let counted = match row.state {
            State::HeldByStaging => &mut counts.held_by_staging,
            State::OnHold => &mut counts.on_hold,
            State::Quarantined { .. } => &mut counts.quarantined,
            State::Queued => &mut counts.queued,
        };
        counted.messages = counted.messages.saturating_add(1);
        let age = now.saturating_sub(millis(row.message.received_at));
        counted.oldest = counted.oldest.max(Duration::from_millis(age));
        Ok(())
    })?;
    Ok(counts)
}
