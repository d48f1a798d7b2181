//! Changes of messages, as they are asked for.

/// Whether the sender of a message that is removed is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bounce {
    /// No.
    None,
    /// Yes, unless it has the null reverse-path.
    Sent,
}

/// What is done to many messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// They are removed.
    Delete(Bounce),
    /// They are kept from being sent.
    Hold,
    /// They may be sent.
    Release,
    /// They are tried now.
    Retry,
}

impl Change {
    /// The last part of its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Delete(_) => "delete",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
        }
    }

    /// Whether senders of removed messages are told.
    pub const fn bounce(self) -> Bounce {
        match self {
            Self::Delete(bounce) => bounce,
            Self::Hold | Self::Release | Self::Retry => Bounce::None,
        }
    }
}
