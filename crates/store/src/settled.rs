//! What a settlement left.

use std::time::SystemTime;

/// What a settlement left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled {
    /// How many recipients of the entry are to be tried again.
    pub deferred: usize,
    /// When.
    pub next_attempt: Option<SystemTime>,
    /// Whether the message has left the queue.
    pub message_gone: bool,
}

impl Settled {
    /// The settlement of a message that an operator deleted meanwhile.
    pub const GONE: Self = Self { deferred: 0, next_attempt: None, message_gone: true };
}
