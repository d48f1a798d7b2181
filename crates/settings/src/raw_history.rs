//! `[history]` as it is typed: what is kept of attempts.

use std::time::Duration;

use history::{Addresses, HistorySettings};
use serde::{Deserialize, Serialize};

use crate::byte_size::ByteSize;
use crate::duration_text;

/// `[history]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawHistory {
    /// Whether a record is kept of each attempt.
    pub enabled: bool,
    /// How long.
    #[serde(with = "duration_text")]
    pub keep: Duration,
    /// How long the ledger knows of domains.
    #[serde(with = "duration_text")]
    pub keep_domains: Duration,
    /// How many bytes at most, and one segment more.
    pub max_size: ByteSize,
    /// What is kept of senders and recipients.
    pub addresses: RawAddresses,
}

/// What is kept of senders and recipients.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawAddresses {
    /// The addresses.
    Clear,
    /// What they can be looked for by.
    Hashed,
    /// Nothing.
    None,
}

impl Default for RawHistory {
    fn default() -> Self {
        let addresses = match Addresses::default() {
            Addresses::Clear => RawAddresses::Clear,
            Addresses::Hashed => RawAddresses::Hashed,
            Addresses::None => RawAddresses::None,
        };
        Self {
            enabled: true,
            keep: HistorySettings::KEEP,
            keep_domains: HistorySettings::KEEP_DOMAINS,
            max_size: ByteSize::new(HistorySettings::MAX_SIZE),
            addresses,
        }
    }
}

impl From<RawAddresses> for Addresses {
    fn from(addresses: RawAddresses) -> Self {
        match addresses {
            RawAddresses::Clear => Self::Clear,
            RawAddresses::Hashed => Self::Hashed,
            RawAddresses::None => Self::None,
        }
    }
}
