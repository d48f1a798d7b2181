//! When it cannot be told whether a policy is in force.

use std::sync::Arc;

use thiserror::Error;

use crate::discovery::NamesError;
use crate::fetch::error::{FetchError, in_full};
use crate::name::PolicyDomain;
use crate::store::StoreError;

/// Whether a policy is in force cannot be told, so nothing may be sent for now.
#[derive(Clone, Debug, Error)]
pub enum Undecided {
    /// What is kept could not be read, and may be a policy that is enforced. No time makes this
    /// one better.
    #[error("the cached policy of {domain} cannot be read")]
    CacheUnreadable {
        /// The policy domain.
        domain: PolicyDomain,
        /// What went wrong.
        source: StoreError,
    },
    /// Nothing is kept, and the policy host's certificate is out of date by a clock that is in doubt.
    #[error("whether {domain} has a policy cannot be told while the clock is in doubt")]
    ClockDoubted {
        /// The policy domain.
        domain: PolicyDomain,
        /// What went wrong.
        source: Arc<FetchError>,
    },
    /// Nothing is kept, and the DNS did not say whether a policy is published.
    #[error("MTA-STS lookup for {domain} failed")]
    NamesFailed {
        /// The policy domain.
        domain: PolicyDomain,
        /// What went wrong.
        source: NamesError,
    },
}

impl Undecided {
    /// The error with its causes, as one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        in_full(self)
    }

    /// The policy domain.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        match self {
            Self::CacheUnreadable { domain, .. }
            | Self::ClockDoubted { domain, .. }
            | Self::NamesFailed { domain, .. } => domain,
        }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::CacheUnreadable { .. } => "cache-unreadable",
            Self::ClockDoubted { .. } => "clock-doubted",
            Self::NamesFailed { .. } => "names-failed",
        }
    }
}
