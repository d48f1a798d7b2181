//! Why there is no session with a host.

use std::net::IpAddr;

use mta_sts::MxMismatch;

/// Why there is no session with a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A name is to be proved, and the host is this address.
    NoName(IpAddr),
    /// The enforced policy does not list the host (RFC 8461 §4.1).
    NotNamed(MxMismatch),
}
