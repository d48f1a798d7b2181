//! Which part of a message is meant.

use mail::QueueId;

/// Which of a message's lots.
pub type LotNumber = u32;

/// One lot of one message: the unit of schedule and lease.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LotId {
    /// The message.
    pub id: QueueId,
    /// The lot.
    pub lot: LotNumber,
}

impl LotId {
    /// Before all others.
    pub const FIRST: Self = Self { id: QueueId::from_number(0), lot: 0 };
}
