//! Where a client is.

use std::fmt;
use std::net::IpAddr;

/// Where a client is: on the network, or on this machine behind a unix socket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Peer {
    /// At this address.
    Network(IpAddr),
    /// A process of the user with this number.
    Local(u32),
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Network(address)
    }
}

/// An address, or `uid:` and a number: one word, as the log has it.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local(uid) => write!(f, "uid:{uid}"),
        }
    }
}
