//! The default gateways of this host, which are not admitted for being in a listed network.
//!
//! In front of containers, and of any port that is forwarded with its source address translated,
//! clients from all over the world come with the gateway's address: to admit a network that holds it
//! would be to relay for everyone.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use access::{Admission, Networks};
use tracing::warn;

/// The networks without this host's gateways, unless these are listed by themselves.
pub(crate) fn without(networks: &Networks) -> Networks {
    let gateways = of_system();
    let networks = networks.clone().with_gateways(gateways.iter().copied());
    for gateway in gateways {
        if matches!(networks.judge(gateway), Admission::Gateway) {
            warn!(
                %gateway,
                "default gateway excluded from access.networks: list its address to allow it"
            );
        }
    }
    networks
}

/// The default gateways that the kernel's tables name; none where there are no such tables.
fn of_system() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut gateways = version_4(&read("/proc/net/route"));
    gateways.extend(version_6(&read("/proc/net/ipv6_route")));
    gateways
}

/// The gateways of routes to all IPv4 addresses, from the text of `/proc/net/route`.
fn version_4(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "00000000", gateway, _, _, _, _, "00000000", ..] = fields[..] else { return None };
        let address = u32::from_str_radix(gateway, 16).ok()?;
        (address != 0).then(|| Ipv4Addr::from(address.to_le_bytes()).into())
    };
    table.lines().filter_map(gateway).collect()
}

/// The gateways of routes to all IPv6 addresses, from the text of `/proc/net/ipv6_route`.
fn version_6(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [destination, "00", _, _, gateway, ..] = fields[..] else { return None };
        let everywhere = destination.bytes().all(|digit| digit == b'0');
        let address = u128::from_str_radix(gateway, 16).ok()?;
        (everywhere && address != 0).then(|| Ipv6Addr::from(address).into())
    };
    table.lines().filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_of_default_routes_are_found() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth0\t0000000A\t020011AC\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n";
        assert_eq!(version_4(table), ["172.17.0.1".parse::<IpAddr>().unwrap()]);
        let zeros = "0".repeat(32);
        let table = format!(
            "{zeros} 00 {zeros} 00 20010db8000000000000000000000001 00000400 1 0 00000003 eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200 lo\n\
             20010db8{} 40 {zeros} 00 {zeros} 00000100 1 0 00000001 eth0\n",
            "0".repeat(24)
        );
        assert_eq!(version_6(&table), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    }
}
