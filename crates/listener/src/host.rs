//! What all connections of a listener share.

use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use queue::Queue;

use crate::connections::ConnectionPermit;
use crate::observer::Observer;
use crate::rules::Rules;
use crate::session::Session;
use crate::settings::Timeouts;
use crate::turns::Turns;

/// What part of the wait counts for a client that cannot log in, or that is one of many.
const UNADMITTED_HURRY: u32 = 3;

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Host {
    /// What sessions are judged by.
    pub(crate) rules: Arc<Rules>,
    /// Where messages go.
    pub(crate) queue: Queue,
    /// What Received header fields are dated by.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is reported of what happens goes here.
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

    /// How long a client that is not admitted is waited for: less where it could not log in anyway,
    /// and while others like it take up much room.
    pub(crate) fn unadmitted_wait(&self, session: &Session, permit: &ConnectionPermit) -> Duration {
        let Timeouts { unadmitted, .. } = self.rules.settings.timeouts;
        if session.may_log_in_later() && !permit.is_crowded() {
            unadmitted
        } else {
            unadmitted / UNADMITTED_HURRY
        }
    }
}
