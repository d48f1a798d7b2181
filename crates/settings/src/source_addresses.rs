//! The addresses that outgoing connections come from.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use delivery::SourceAddresses;

use crate::check::Check;

impl Check<'_> {
    /// The addresses of the keys `source_address4` and `source_address6` of `section`.
    ///
    /// One that no host can have is refused. One that this machine does not have, or not yet (an interface
    /// may come up after the relay), is warned of: mail waits until it is there.
    pub(crate) fn source(
        &mut self,
        section: &str,
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
    ) -> SourceAddresses {
        self.own_address(&format!("{section}.source_address4"), v4.map(IpAddr::V4));
        self.own_address(&format!("{section}.source_address6"), v6.map(IpAddr::V6));
        SourceAddresses { v4, v6 }
    }

    fn own_address(&mut self, key: &str, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if is_nobodys(address) {
            return self.wrong(key, &format!("{address} is the address of no host"));
        }
        let Err(error) = UdpSocket::bind(SocketAddr::new(address, 0)) else { return };
        let problem = if error.kind() == ErrorKind::AddrNotAvailable {
            "is not an address of this machine".to_owned()
        } else {
            format!("cannot be sent from ({error})")
        };
        self.warnings.push(format!(
            "{key}: {address} {problem}, and mail waits until it is: add it to an interface, or name \
             another; `ip address` lists them"
        ));
    }
}

/// Whether no connection can ever come from this address, on whatever machine.
fn is_nobodys(address: IpAddr) -> bool {
    address.is_unspecified()
        || address.is_multicast()
        || match address {
            IpAddr::V4(address) => address.is_broadcast(),
            // A socket for IPv6 cannot be bound to it and reach a host over IPv6.
            IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
        }
}
