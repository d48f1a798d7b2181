//! What an operator may set; none of it weakens an enforced policy, save an exception.

use std::time::Duration;

use crate::exception::Exceptions;

/// What [`Policies`](crate::Policies) goes by.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// How long a message waits for the DNS to say whether there is a policy, where none is
    /// cached, before it goes without one.
    pub undecided_grace: Duration,
    /// How often a policy that is in use is refreshed (RFC 8461 §3.3 suggests daily).
    pub refresh_interval: Duration,
    /// For how long after its last use a policy is still refreshed.
    pub unused_after: Duration,
    /// The domains whose policy is not enforced for now.
    pub exceptions: Exceptions,
}

impl Default for PolicySettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            undecided_grace: Duration::from_secs(30 * 60),
            refresh_interval: DAY,
            unused_after: 90 * DAY,
            exceptions: Exceptions::default(),
        }
    }
}
