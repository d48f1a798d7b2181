//! What of history can be set.

use std::path::PathBuf;
use std::time::Duration;

/// How history is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistorySettings {
    /// Whether it is kept at all.
    pub enabled: bool,
    /// Where.
    pub dir: PathBuf,
    /// How long: a file goes when its last record is older.
    pub keep: Duration,
    /// How long the ledger knows of a domain, its days, its events and the figures of each hour.
    pub keep_domains: Duration,
    /// How many bytes at most, and one segment more.
    pub max_size: u64,
    /// What is kept of addresses.
    pub addresses: Addresses,
    /// The name of this relay, in every file.
    pub hostname: String,
}

/// What is kept of senders and recipients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Addresses {
    /// The addresses, beside the chain, from where they can be removed.
    Clear,
    /// What they can be looked for by, under a key that goes with the segment.
    #[default]
    Hashed,
    /// Nothing.
    None,
}

impl HistorySettings {
    /// How long records are kept unless something else is set.
    pub const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// How long the ledger knows of domains unless something else is set.
    pub const KEEP_DOMAINS: Duration = Duration::from_secs(400 * 24 * 60 * 60);

    /// How many bytes there may be unless something else is set.
    pub const MAX_SIZE: u64 = 1 << 30;

    /// The history in `dir` of the relay with this name, as it is unless something else is set.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, hostname: impl Into<String>) -> Self {
        Self {
            enabled: true,
            dir: dir.into(),
            keep: Self::KEEP,
            keep_domains: Self::KEEP_DOMAINS,
            max_size: Self::MAX_SIZE,
            addresses: Addresses::default(),
            hostname: hostname.into(),
        }
    }
}
