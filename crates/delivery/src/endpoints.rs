//! The two ends of a connection.

use std::net::{IpAddr, SocketAddr};

/// The two ends of a connection, for the log and for reports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Endpoints {
    /// The host's address.
    pub receiving: Option<SocketAddr>,
    /// Our own.
    pub sending: Option<IpAddr>,
}
