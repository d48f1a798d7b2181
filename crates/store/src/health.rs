//! How a store is, and how much it holds.

/// Whether the queue takes and gives mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// It is closed.
    Closed,
    /// The store has failed and is being opened again.
    Failed,
    /// It takes no mail, for the file system is nearly full; it gives none either while it is being
    /// opened again because not even its own writes found room.
    LowOnSpace,
    /// All is well.
    Ready,
}

/// How much is in the queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Recipients that are not settled.
    pub recipients: u64,
    /// Bytes of records, with envelopes.
    pub bytes: u64,
}
