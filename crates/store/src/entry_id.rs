//! Which part of a message is meant.

use mail::QueueId;

/// Which of a message's entries.
pub type EntryNumber = u32;

/// One entry of one message: the unit of schedule and lease.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryId {
    /// The message.
    pub id: QueueId,
    /// Which of its entries.
    pub number: EntryNumber,
}

impl EntryId {
    /// Before all others.
    pub const FIRST: Self = Self { id: QueueId::from_number(0), number: 0 };
}
