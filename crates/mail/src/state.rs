//! Whether a message is on its way.

/// Whether a message is on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Staging keeps it from being sent.
    HeldByStaging,
    /// An operator keeps it from being sent.
    OnHold,
    /// Its copy in the spool is damaged; it is kept for a person to look at.
    Quarantined {
        /// What is wrong with it.
        why: String,
    },
    /// It is on its way.
    Queued,
}
