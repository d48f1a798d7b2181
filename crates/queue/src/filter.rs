//! Which messages are meant: of a list, a count or a change of many.

use std::time::{Duration, SystemTime};

use mail::{QueueId, ReasonClass, State};
use smtp::{MailboxDomain, ReversePath};

use crate::error::StoreError;
use crate::index::{EngineError, Lookup, for_each};
use crate::key::{Key, LotId};
use crate::queue::Queue;
use crate::rows::{LotRecipient, LotRow, MessageRow};
use crate::survey::lots_of;

/// Which messages are meant: those that meet every wish.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Only messages from this reverse-path.
    pub sender: Option<ReversePath>,
    /// Only messages with a recipient left at this destination.
    pub destination: Option<MailboxDomain>,
    /// Only messages in this state.
    pub state: Option<StateKind>,
    /// Only messages with a recipient who was deferred last for a reason of this class; for
    /// [`ReasonClass::Other`] those count whose class is not known.
    pub reason: Option<ReasonClass>,
    /// Only messages that have been queued for at least this long.
    pub older_than: Option<Duration>,
}

/// How many messages meet a filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Matching {
    /// How many they are.
    pub messages: u64,
    /// The last of them.
    pub last: Option<QueueId>,
}

/// A state without what belongs to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateKind {
    /// An operator keeps it from being sent.
    OnHold,
    /// Its record is damaged.
    Quarantined,
    /// It is on its way.
    Queued,
}

impl From<&State> for StateKind {
    fn from(state: &State) -> Self {
        match state {
            State::OnHold => Self::OnHold,
            State::Quarantined { .. } => Self::Quarantined,
            State::Queued => Self::Queued,
        }
    }
}

impl Queue {
    /// How many messages meet `filter`. Reads the rows of all; call it from a blocking thread.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn matching(&self, filter: &Filter) -> Result<Matching, StoreError> {
        let now = self.handle.shared.clock.now();
        self.handle.read(|engine| matching(engine, filter, now))
    }
}

impl Filter {
    /// Whether a message's own row says all that is to be known.
    const fn needs_no_lot(&self) -> bool {
        self.destination.is_none() && self.reason.is_none()
    }

    /// Whether the message's own row meets the wishes.
    pub(crate) fn admits(&self, row: &MessageRow, now: SystemTime) -> bool {
        let age = now.duration_since(row.message.received_at).unwrap_or_default();
        self.sender.as_ref().is_none_or(|sender| *sender == row.message.reverse_path)
            && self.state.is_none_or(|state| state == StateKind::from(&row.state))
            && self.older_than.is_none_or(|least| age >= least)
    }

    /// Whether its lots do: one of them is enough.
    pub(crate) fn admits_lots(&self, lots: &[(LotId, LotRow)]) -> bool {
        self.needs_no_lot() || lots.iter().any(|(_, lot)| self.admits_lot(lot))
    }

    /// Whether one of its lots does.
    pub(crate) fn admits_lot(&self, lot: &LotRow) -> bool {
        let is_there = |destination| lot.destination() == Ok(destination);
        self.destination.as_ref().is_none_or(is_there)
            && (self.reason.is_none() || lot.recipients.iter().any(|one| self.admits_reason(one)))
    }

    /// Whether a recipient waits for what is wished.
    pub(crate) fn admits_reason(&self, recipient: &LotRecipient) -> bool {
        let class = recipient.reason.map(|reason| reason.class);
        match self.reason {
            None => true,
            Some(ReasonClass::Other) => {
                matches!(class, Some(ReasonClass::Other | ReasonClass::Unknown))
            }
            Some(wished) => class == Some(wished),
        }
    }
}

/// How many messages of an index meet `filter`.
fn matching(
    engine: &dyn Lookup,
    filter: &Filter,
    now: SystemTime,
) -> Result<Matching, EngineError> {
    let mut found = Matching::default();
    for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, value| {
        let id = key.message_id()?;
        if filter.admits(&MessageRow::decode(&value)?, now)
            && (filter.needs_no_lot() || filter.admits_lots(&lots_of(engine, id)?))
        {
            found = Matching { messages: found.messages.saturating_add(1), last: Some(id) };
        }
        Ok(())
    })?;
    Ok(found)
}
