//! Whether the word of one resolver on DNSSEC counts at the moment.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

use crate::self_test_failure::SelfTestFailure;

/// After so many tests in a row that fail, a resolver that has passed before counts no more: one lost
/// datagram changes nothing.
pub(crate) const FAILURES: u32 = 3;

/// Whether a resolver's word on DNSSEC counts.
#[derive(Clone, Debug)]
pub enum ServerState {
    /// It is not on this machine, and the operator does not vouch for the way to it; or DNSSEC is off.
    Distrusted,
    /// It has failed a test.
    Fails(SelfTestFailure),
    /// It has not been tested yet: it does not count.
    Untested,
    /// It has passed every test, or has failed fewer than three in a row since it did.
    Validates,
}

impl ServerState {
    /// Whether no test can make it count.
    #[must_use]
    pub const fn is_distrusted(&self) -> bool {
        match self {
            Self::Distrusted => true,
            Self::Fails(_) | Self::Untested | Self::Validates => false,
        }
    }

    /// Whether it counts.
    #[must_use]
    pub const fn validates(&self) -> bool {
        match self {
            Self::Validates => true,
            Self::Distrusted | Self::Fails(_) | Self::Untested => false,
        }
    }
}

/// The state of one resolver, and how it came to be.
#[derive(Debug)]
pub(crate) struct Standing(Mutex<Known>);

#[derive(Debug)]
struct Known {
    state: ServerState,
    /// Tests in a row that failed.
    failures: u32,
}

/// Whether anything has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Changed,
    Unchanged,
}

impl Change {
    /// Whether either is one.
    pub(crate) const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unchanged, Self::Unchanged) => Self::Unchanged,
            (Self::Changed, _) | (_, Self::Changed) => Self::Changed,
        }
    }
}

impl Standing {
    /// Nothing is known of it.
    pub(crate) const fn new(state: ServerState) -> Self {
        Self(Mutex::new(Known { state, failures: 0 }))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn state(&self) -> ServerState {
        self.with(|known| known.state.clone())
    }

    pub(crate) fn validates(&self) -> bool {
        self.with(|known| known.state.validates())
    }

    /// Whether tests can change anything.
    pub(crate) fn is_trusted(&self) -> bool {
        self.with(|known| !known.state.is_distrusted())
    }

    /// Whether it counts, and its last test has failed.
    pub(crate) fn is_doubted(&self) -> bool {
        self.with(|known| known.state.validates() && known.failures > 0)
    }

    /// Whether it has failed because nothing it is asked for passes its validation.
    pub(crate) fn finds_everything_bogus(&self) -> bool {
        self.with(|known| match &known.state {
            ServerState::Fails(why) => why.is_of_validation(),
            ServerState::Distrusted | ServerState::Untested | ServerState::Validates => false,
        })
    }

    /// Notes a test, and says so where that changes something.
    pub(crate) fn tested(&self, server: SocketAddr, result: Result<(), SelfTestFailure>) -> Change {
        let (before, now) = self.with(|known| {
            let before = known.state.clone();
            match result {
                Ok(()) => {
                    known.failures = 0;
                    known.state = ServerState::Validates;
                }
                Err(why) => {
                    known.failures = known.failures.saturating_add(1);
                    if !before.validates() || known.failures >= FAILURES {
                        known.state = ServerState::Fails(why);
                    }
                }
            }
            (before, known.state.clone())
        });
        announce(server, &before, &now);
        if before.validates() == now.validates() { Change::Unchanged } else { Change::Changed }
    }
}

/// One line for each change.
fn announce(server: SocketAddr, before: &ServerState, now: &ServerState) {
    match (before, now) {
        (ServerState::Validates, ServerState::Fails(why)) => {
            warn!(%server, %why, "resolver no longer validates DNSSEC");
        }
        (ServerState::Untested, ServerState::Fails(why)) => {
            info!(%server, %why, "resolver does not validate DNSSEC");
        }
        (ServerState::Untested | ServerState::Fails(_), ServerState::Validates) => {
            info!(%server, "resolver validates DNSSEC");
        }
        (ServerState::Distrusted, _)
        | (_, ServerState::Distrusted | ServerState::Untested)
        | (ServerState::Fails(_), ServerState::Fails(_))
        | (ServerState::Validates, ServerState::Validates) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> SocketAddr {
        "127.0.0.1:53".parse().unwrap()
    }

    fn failed() -> Result<(), SelfTestFailure> {
        Err(SelfTestFailure::RootInsecure)
    }

    #[test]
    fn a_resolver_counts_once_it_has_passed_and_until_it_has_failed_three_times_in_a_row() {
        let standing = Standing::new(ServerState::Untested);
        assert!(!standing.validates());
        assert_eq!(standing.tested(server(), failed()), Change::Unchanged);
        assert_eq!(standing.tested(server(), Ok(())), Change::Changed);
        for _ in 0..2 {
            assert_eq!(standing.tested(server(), failed()), Change::Unchanged);
            assert_eq!(standing.tested(server(), failed()), Change::Unchanged);
            assert_eq!(standing.tested(server(), Ok(())), Change::Unchanged);
            assert!(standing.validates());
        }
        for change in [Change::Unchanged, Change::Unchanged, Change::Changed, Change::Unchanged] {
            assert_eq!(standing.tested(server(), failed()), change);
        }
        assert!(!standing.validates());
        assert_eq!(standing.tested(server(), Ok(())), Change::Changed);
    }
}
