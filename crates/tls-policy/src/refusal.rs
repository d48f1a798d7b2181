//! Why there is no session with a host.

use std::net::IpAddr;

use mta_sts::MxMismatch;

use crate::host_dane::WhySkipped;

/// Why there is no session with a host.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The operator demands TLSA records of use (RFC 7672 §6), and the host has none, for this reason.
    DaneRequired(String),
    /// A name is to be proved, and the host is this address.
    NoName(IpAddr),
    /// The enforced policy does not list the host (RFC 8461 §4.1).
    NotNamed(MxMismatch),
    /// The message asks for proof of a host that the DNS or a policy names, and neither secures the
    /// host's name (RFC 8689 §4.2.1).
    NotSecured,
    /// The records that were found are not those that such a session needs.
    OtherRecords,
    /// Which records apply to the host cannot be told (RFC 7672 §2.1.2).
    Skipped(WhySkipped),
}
