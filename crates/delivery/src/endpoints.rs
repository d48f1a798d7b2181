//! The two ends of a connection.

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

/// The two ends of a connection, for the log and for reports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Endpoints {
    /// The host's address.
    pub receiving: Option<SocketAddr>,
    /// Our own.
    pub sending: Option<IpAddr>,
    /// Since when they are connected.
    pub since: Option<Instant>,
}
