//! What all connections of a listener share.

use std::sync::Arc;

use clock::Clock;
use queue::Queue;

use crate::observer::Observer;
use crate::rules::Rules;
use crate::turns::Turns;

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Host {
    /// What sessions are judged by.
    pub(crate) rules: Arc<Rules>,
    /// Where messages go.
    pub(crate) queue: Queue,
    /// What Received header fields are dated by.
    pub(crate) clock: Arc<dyn Clock>,
    /// Who is told of what happens.
    pub(crate) observer: Arc<dyn Observer>,
    /// The turns at the cryptography of TLS handshakes.
    pub(crate) handshakes: Turns,
    /// The turns at checking passwords.
    pub(crate) password_checks: Turns,
}

impl Host {
    /// What connections under these rules share.
    pub(crate) fn new(
        rules: Rules,
        queue: Queue,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let limits = rules.settings.limits;
        Self {
            rules: Arc::new(rules),
            queue,
            clock,
            observer,
            handshakes: Turns::new(limits.tls_handshakes),
            password_checks: Turns::new(limits.password_checks),
        }
    }
}
