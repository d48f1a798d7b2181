//! A name server as people write it: an IP address, with a port where it is not 53.

use std::net::{IpAddr, SocketAddr};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Where DNS is served unless something else is said (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// The address of a name server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerAddress(pub SocketAddr);

impl<'de> Deserialize<'de> for ServerAddress {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let address = text.parse().ok();
        let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
        address.or_else(bare).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not the address of a name server, such as \"192.0.2.53\", \
                 \"192.0.2.53:5353\" or \"[2001:db8::53]:53\""
            ))
        })
    }
}

impl Serialize for ServerAddress {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self.0.port() {
            DNS_PORT => output.collect_str(&self.0.ip()),
            _ => output.collect_str(&self.0),
        }
    }
}
