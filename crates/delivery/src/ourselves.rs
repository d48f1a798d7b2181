//! Which addresses lead to this relay itself (RFC 5321 §6.3).
//!
//! An address has many spellings and many doors: a listener on all addresses is reached at each
//! address of the machine and at all of 127.0.0.0/8, an unspecified address leads to the machine that
//! dials it, and an IPv4 address can be written as an IPv6 one. So addresses are compared in their
//! canonical form, loopback and unspecified ones as classes, and what is ours is not dialled.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Any port will do to ask which way a packet would go; none is sent.
const DISCARD: u16 = 9;

/// Whether a connection to `target` would reach one of `listeners`.
pub(crate) fn is_ours(target: SocketAddr, listeners: &[SocketAddr]) -> bool {
    let ip = target.ip().to_canonical();
    let ours = listeners.iter().filter(|listener| listener.port() == target.port());
    ours.map(|listener| listener.ip().to_canonical()).any(|listener| leads_to(ip, listener))
}

/// Whether a connection to `target` reaches a listener at `listener`, the port being the same.
fn leads_to(target: IpAddr, listener: IpAddr) -> bool {
    // "This host on this network" (RFC 1122 §3.2.1.3): the system dials an address of its own.
    target.is_unspecified()
        || target == listener
        || (takes_all_of_its_family(listener, target) && is_of_this_machine(target))
}

/// Whether a listener takes connections to all addresses, those of the family of `target` among
/// them: `[::]` takes IPv4 as well, unless the system was told otherwise.
const fn takes_all_of_its_family(listener: IpAddr, target: IpAddr) -> bool {
    match listener {
        IpAddr::V4(listener) => listener.is_unspecified() && target.is_ipv4(),
        IpAddr::V6(listener) => listener.is_unspecified(),
    }
}

/// Whether this machine has the address: towards one of its own it sends from that very address. The
/// loopback addresses are the exception, for all of them are answered and few are sent from.
fn is_of_this_machine(target: IpAddr) -> bool {
    target.is_loopback() || source_towards(target).is_ok_and(|source| source == target)
}

/// The address this machine sends from to `target`. Connecting a UDP socket sends nothing.
fn source_towards(target: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((target, DISCARD))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(target: &str, listener: &str) -> bool {
        let ip: IpAddr = target.parse().unwrap();
        is_ours(SocketAddr::new(ip, 25), &[SocketAddr::new(listener.parse().unwrap(), 25)])
    }

    #[test]
    fn every_address_that_leads_to_a_listener_is_ours_however_it_is_written() {
        for (listener, targets) in [
            (
                "0.0.0.0",
                &[
                    "0.0.0.0",
                    "127.0.0.1",
                    "127.0.0.2",
                    "127.255.255.254",
                    "::",
                    "::ffff:0.0.0.0",
                    "::ffff:127.0.0.1",
                    "::ffff:127.9.9.9",
                ][..],
            ),
            ("::", &["::", "::1", "0.0.0.0", "127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1"]),
            ("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0"]),
            ("::ffff:127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"]),
            ("::1", &["::1", "::", "0.0.0.0"]),
            ("192.0.2.25", &["192.0.2.25", "::ffff:192.0.2.25", "0.0.0.0", "::"]),
            ("2001:db8::25", &["2001:db8::25", "::", "0.0.0.0"]),
        ] {
            for target in targets {
                assert!(ours(target, listener), "{target} with a listener on {listener}");
            }
        }
    }

    #[test]
    fn other_addresses_and_other_ports_are_not_ours() {
        for (listener, targets) in [
            ("0.0.0.0", &["::1", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"][..]),
            ("::", &["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"]),
            ("127.0.0.1", &["127.0.0.2", "::1", "192.0.2.1", "::ffff:127.0.0.2"]),
            ("::1", &["127.0.0.1", "::2"]),
            ("192.0.2.25", &["127.0.0.1", "::1", "192.0.2.26"]),
        ] {
            for target in targets {
                assert!(!ours(target, listener), "{target} with a listener on {listener}");
            }
        }
        // A smart host on this machine at another port.
        let listener = SocketAddr::from(([0, 0, 0, 0], 25));
        for target in ["127.0.0.1:1025", "0.0.0.0:1025", "[::1]:1025", "[::ffff:127.0.0.1]:1025"] {
            assert!(!is_ours(target.parse().unwrap(), &[listener]), "{target}");
        }
        assert!(!is_ours(SocketAddr::from(([127, 0, 0, 1], 25)), &[]));
    }

    #[test]
    fn an_address_is_this_machines_where_the_machine_sends_from_it() {
        for (target, own) in [("127.0.0.1", true), ("192.0.2.1", false), ("2001:db8::1", false)] {
            let target: IpAddr = target.parse().unwrap();
            let source = source_towards(target).ok();
            assert_eq!(source == Some(target), own, "{target}: {source:?}");
        }
        // What it sends from to others is an address of its own.
        if let Ok(own) = source_towards(Ipv4Addr::new(192, 0, 2, 1).into()) {
            assert!(ours(&own.to_string(), "0.0.0.0") && ours(&own.to_string(), "::"), "{own}");
        }
    }
}
