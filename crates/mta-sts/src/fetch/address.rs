//! Addresses of hosts that somebody else has named: which are tried, and in what order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many addresses of one host are tried.
const TRIED_MAX: usize = 6;

/// Whether a host that somebody else has named may have an address that is not global.
///
/// Anyone who can make us send mail can name a host of their own, for a policy or for reports, and
/// so have us connect to whatever address they publish for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PrivateHosts {
    /// It may: for tests, and for domains served within one's own network.
    Allowed,
    /// Such addresses are passed over.
    Refused,
}

/// Why no address of a host is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoneToTry {
    /// It has none.
    NoAddress,
    /// It has this one, and none that is global.
    Private(IpAddr),
}

/// Those of a host's addresses that are tried, in their order.
///
/// # Errors
///
/// [`NoneToTry`] says why there is none.
pub fn to_try(
    all: &[IpAddr],
    private: PrivateHosts,
    port: u16,
) -> Result<Vec<SocketAddr>, NoneToTry> {
    let allowed = |address: &IpAddr| match private {
        PrivateHosts::Allowed => true,
        PrivateHosts::Refused => is_global(*address),
    };
    let some: Vec<_> = all.iter().copied().filter(allowed).collect();
    match all.first() {
        None => Err(NoneToTry::NoAddress),
        Some(first) if some.is_empty() => Err(NoneToTry::Private(*first)),
        Some(_) => Ok(by_turns(&some)
            .take(TRIED_MAX)
            .map(|address| SocketAddr::new(address, port))
            .collect()),
    }
}

/// The addresses with the families by turns, beginning with the family of the first, so that one
/// family that does not work costs little (RFC 8305 §4).
fn by_turns(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let turns = first.len().max(second.len());
    (0..turns).flat_map(move |turn| [first.get(turn).copied(), second.get(turn).copied()]).flatten()
}

/// Whether `address` is one of the public internet (the IANA special-purpose address registries).
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_global_v6(v6), is_global_v4),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 168, ..]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => true,
        [100, second, ..] => (64..128).contains(&second),
        [172, second, ..] => (16..32).contains(&second),
        [first, ..] => first >= 224,
    };
    !special
}

/// Global unicast is `2000::/3`, without what is set aside in it.
fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IETF protocol assignments, and documentation twice.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IPv4 address behind an IPv4-mapped, NAT64 (RFC 6052) or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_global() {
        for global in ["9.9.9.9", "100.63.0.1", "172.32.0.1", "192.0.1.1", "2620:fe::fe"] {
            assert!(is_global(address(global)), "{global}");
        }
        for global in ["2a00:1450::5", "::ffff:9.9.9.9", "64:ff9b::909:909", "2002:909:909::1"] {
            assert!(is_global(address(global)), "{global}");
        }
        for global in ["2001:200::1", "2001:4860::8888"] {
            assert!(is_global(address(global)), "{global}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_global(address(special)), "{special}");
        }
    }

    #[test]
    fn the_families_take_turns() {
        let [a6, b6, c6, a4] =
            ["2001:db8::a", "2001:db8::b", "2001:db8::c", "192.0.2.1"].map(address);
        assert_eq!(by_turns(&[a6, b6, c6, a4]).collect::<Vec<_>>(), [a6, a4, b6, c6]);
        assert_eq!(by_turns(&[a4, a6, b6]).collect::<Vec<_>>(), [a4, a6, b6]);
        assert_eq!(by_turns(&[]).count(), 0);
    }
}
