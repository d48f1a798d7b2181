//! `[dns]` as it is typed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use smtp::Domain;

use crate::server_address::ServerAddress;
use crate::{duration_text, optional_text};

/// `[dns]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDns {
    /// The name servers; none: those of `/etc/resolv.conf`.
    pub servers: Vec<ServerAddress>,
    /// How long one lookup may take, whatever happens.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// How often a silent server is tried within that time.
    pub attempts: u32,
    /// Whose word on DNSSEC counts.
    pub dnssec: RawDnssec,
    /// A name whose signatures are wrong on purpose; empty: none is asked for.
    #[serde(with = "optional_text")]
    pub bogus_probe: Option<Domain>,
}

/// When an answer's AD bit is believed (RFC 4035 §3.2.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawDnssec {
    /// That of servers on this machine's loopback.
    Auto,
    /// Never.
    Off,
    /// Always: the operator vouches for the path to the servers.
    TrustAd,
}
