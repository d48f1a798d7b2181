//! How much one attempt may do before it leaves the rest to the next one.
//!
//! What a host can make us wait for is counted closely, as the settings say. What costs next to
//! nothing - no route, a refused connection, no address, an address that is left alone - is counted by
//! itself and generously, so that it takes the place of nothing, and a destination that names thousands
//! of hosts with thousands of addresses still ends.

use std::io::ErrorKind;

use crate::failure::SessionFailure;
use crate::settings::DeliverySettings;

/// How many hosts have their addresses looked up in one attempt.
const HOSTS: usize = 20;

/// How many connections one attempt begins.
const DIALS: usize = 40;

/// How many addresses of one host one attempt goes through.
pub(crate) const ADDRESSES: usize = 32;

/// What an attempt has done so far.
#[derive(Debug, Default)]
pub(super) struct Effort {
    /// Hosts whose addresses were looked up.
    hosts: usize,
    /// Hosts that made us wait for nothing.
    slow_hosts: usize,
    /// Addresses of the present host that made us wait for nothing.
    slow_addresses: usize,
    /// Connections that were begun.
    dials: usize,
    /// Whether hosts were left for the next attempt.
    left_out: bool,
    /// Whether it was reported that the policy does not name the present host.
    mismatch: Mismatch,
}

/// Whether it was reported that the policy does not name a host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mismatch {
    /// Not yet.
    #[default]
    Unreported,
    /// Yes.
    Reported,
}

impl Effort {
    /// Whether there is no room for another host.
    pub(super) const fn is_spent(&self, settings: &DeliverySettings) -> bool {
        self.hosts >= HOSTS || self.slow_hosts >= settings.hosts_per_attempt || self.dials >= DIALS
    }

    /// Notes that hosts are left for the next attempt.
    pub(super) const fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Whether hosts were left for the next attempt.
    pub(super) const fn has_left_out(&self) -> bool {
        self.left_out
    }

    /// Begins with another host.
    pub(super) const fn begin_host(&mut self) {
        self.hosts = self.hosts.saturating_add(1);
        self.slow_addresses = 0;
        self.mismatch = Mismatch::Unreported;
    }

    /// Notes that it is reported that the policy does not name the present host; whether it was
    /// before.
    pub(super) const fn report_mismatch(&mut self) -> Mismatch {
        std::mem::replace(&mut self.mismatch, Mismatch::Reported)
    }

    /// Begins a connection.
    pub(super) const fn begin_dial(&mut self) {
        self.dials = self.dials.saturating_add(1);
    }

    /// Whether the present host has room for another address.
    pub(super) const fn takes_another_address(&self, settings: &DeliverySettings) -> bool {
        self.slow_addresses < settings.addresses_per_host && self.dials < DIALS
    }

    /// Notes what trying an address of the present host came to.
    pub(super) fn failed(&mut self, failure: &SessionFailure) {
        if !made_us_wait(failure) {
            return;
        }
        if self.slow_addresses == 0 {
            self.slow_hosts = self.slow_hosts.saturating_add(1);
        }
        self.slow_addresses = self.slow_addresses.saturating_add(1);
    }
}

/// Whether a failure took what an attempt is short of. A connection that the system or the host
/// refuses does not, and what is not dialled at all does not.
fn made_us_wait(failure: &SessionFailure) -> bool {
    match failure {
        SessionFailure::Connect(error) => error.kind() == ErrorKind::TimedOut,
        SessionFailure::LeftAlone { .. }
        | SessionFailure::Ourselves
        | SessionFailure::Silent { .. } => false,
        SessionFailure::ConnectTimedOut
        | SessionFailure::Dialogue { .. }
        | SessionFailure::Login(_)
        | SessionFailure::Refused { .. }
        | SessionFailure::Tls(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smtp::Domain;

    use super::*;

    fn settings() -> DeliverySettings {
        DeliverySettings::new(Domain::parse("relay.example.com").unwrap())
    }

    /// How many addresses of how many hosts an attempt dials if all of them fail in this way.
    fn dials(failure: impl Fn() -> SessionFailure) -> (usize, usize) {
        let (settings, mut effort) = (settings(), Effort::default());
        let (mut hosts, mut dials) = (0, 0);
        while !effort.is_spent(&settings) && hosts < 1000 {
            effort.begin_host();
            hosts += 1;
            for _ in 0..ADDRESSES {
                if !effort.takes_another_address(&settings) {
                    break;
                }
                let failure = failure();
                if !matches!(failure, SessionFailure::LeftAlone { .. }) {
                    effort.begin_dial();
                    dials += 1;
                }
                effort.failed(&failure);
            }
        }
        (hosts, dials)
    }

    #[test]
    fn what_makes_us_wait_is_counted_closely_and_what_costs_nothing_generously() {
        let connect = |kind: ErrorKind| move || SessionFailure::Connect(kind.into());
        assert_eq!(dials(|| SessionFailure::ConnectTimedOut), (5, 20));
        assert_eq!(dials(connect(ErrorKind::TimedOut)), (5, 20));
        // 32 at one host, 8 at the next.
        for kind in [
            ErrorKind::NetworkUnreachable,
            ErrorKind::HostUnreachable,
            ErrorKind::AddrNotAvailable,
            ErrorKind::ConnectionRefused,
        ] {
            assert_eq!(dials(connect(kind)), (2, 40), "{kind}");
        }
        let left_alone = || SessionFailure::LeftAlone {
            ago: Duration::from_secs(1),
            why: "connection timed out".into(),
        };
        assert_eq!(dials(left_alone), (20, 0));
    }

    #[test]
    fn a_host_that_made_us_wait_at_two_addresses_is_one_host() {
        let (settings, mut effort) = (settings(), Effort::default());
        for _ in 0..settings.hosts_per_attempt {
            assert!(!effort.is_spent(&settings));
            effort.begin_host();
            effort.failed(&SessionFailure::ConnectTimedOut);
            effort.failed(&SessionFailure::ConnectTimedOut);
        }
        assert!(effort.is_spent(&settings));
    }
}
