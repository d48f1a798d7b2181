//! `[dns]` as it is typed.

use std::time::Duration;

use dns::Dnssec;
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
    #[serde(with = "DnssecText")]
    pub dnssec: Dnssec,
    /// A name whose signatures are wrong on purpose; empty: none is asked for.
    #[serde(with = "optional_text")]
    pub bogus_probe: Option<Domain>,
}

/// How a [`Dnssec`] is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Dnssec", rename_all = "kebab-case")]
enum DnssecText {
    Auto,
    Off,
    TrustAd,
}
