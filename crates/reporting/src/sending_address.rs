//! The address that a report says a connection came from (`sending-mta-ip`, RFC 8460 §4.4).
//!
//! Behind address translation a relay sees an address of its own that means nothing to others.

use std::net::IpAddr;

use mta_sts::addresses::is_global;
use tls_rpt::{DomainTally, FailureDetail, Row};

/// Which addresses a relay is known by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SendingAddresses {
    /// Those that the operator names.
    pub(crate) named: Vec<IpAddr>,
    /// Those of the relay's own name.
    pub(crate) of_hostname: Vec<IpAddr>,
}

impl SendingAddresses {
    /// The tally with the addresses that others see in the place of the sockets' own.
    pub(crate) fn apply(&self, tally: &DomainTally) -> DomainTally {
        let mut seen = DomainTally::new(tally.domain().clone());
        for (row, sessions) in tally.rows() {
            let Row { policy, failure } = row.clone();
            let failure = failure.map(|failure| FailureDetail {
                sending_mta_ip: self.seen(failure.sending_mta_ip, failure.receiving_ip),
                ..failure
            });
            seen.count(Row { policy, failure }, sessions);
        }
        seen
    }

    /// The address that the host at `to` has seen: one that the operator names, the socket's own if
    /// it is global, one of the relay's name, or none.
    fn seen(&self, own: Option<IpAddr>, to: Option<IpAddr>) -> Option<IpAddr> {
        let family = own.or(to)?.is_ipv4();
        let of_family = |addresses: &[IpAddr]| {
            addresses.iter().copied().find(|address| address.is_ipv4() == family)
        };
        if !self.named.is_empty() {
            return of_family(&self.named);
        }
        let global = |address: &IpAddr| is_global(*address);
        own.filter(global).or_else(|| of_family(&self.of_hostname).filter(global))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_that_others_can_have_seen() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let list = |texts: &[&str]| texts.iter().map(|text| ip(text)).collect::<Vec<_>>();
        let (none, both): (&[&str], &[&str]) = (&[], &["9.9.9.8", "2620:fe::8"]);
        for (named, of_hostname, own, expected) in [
            (none, none, "9.9.9.9", Some("9.9.9.9")),
            (none, none, "10.0.0.1", None),
            (none, both, "10.0.0.1", Some("9.9.9.8")),
            (none, both, "fd00::1", Some("2620:fe::8")),
            (none, &["10.0.0.2"], "10.0.0.1", None),
            (&["9.9.9.7"], both, "9.9.9.9", Some("9.9.9.7")),
            (&["9.9.9.7"], both, "2620:fe::9", None),
        ] {
            let addresses = SendingAddresses { named: list(named), of_hostname: list(of_hostname) };
            assert_eq!(addresses.seen(Some(ip(own)), None), expected.map(ip), "{own} {named:?}");
        }
        assert_eq!(SendingAddresses::default().seen(None, None), None);
        let named = SendingAddresses { named: list(&["9.9.9.7"]), ..SendingAddresses::default() };
        assert_eq!(named.seen(None, Some(ip("192.0.2.1"))), Some(ip("9.9.9.7")));
    }
}
