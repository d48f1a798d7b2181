//! What a lookup learned.

use std::sync::Arc;
use std::time::Duration;

/// What the DNS knows about one name and type; that it knows of nothing is knowledge, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// There are records.
    Found(Records<T>),
    /// The name exists, with no record of the type asked for (NODATA, RFC 2308 §2.2); whether DNSSEC
    /// proved that.
    NoData(Security),
    /// The name does not exist (NXDOMAIN, RFC 2308 §2.1); whether DNSSEC proved that.
    NxDomain(Security),
}

impl<T> Lookup<T> {
    /// The records, or `None` if there are none, for callers to whom NODATA and NXDOMAIN are one.
    #[must_use]
    pub fn into_records(self) -> Option<Records<T>> {
        match self {
            Self::Found(records) => Some(records),
            Self::NoData(_) | Self::NxDomain(_) => None,
        }
    }

    /// Whether DNSSEC proved the answer, be it records or an absence.
    #[must_use]
    pub const fn security(&self) -> Security {
        match self {
            Self::Found(records) => records.security,
            Self::NoData(security) | Self::NxDomain(security) => *security,
        }
    }
}

/// The records of one type at one name; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records<T> {
    /// The records, in the order in which the server gave them.
    pub records: Vec<T>,
    /// Whether DNSSEC proved them, and every alias on the way to them.
    pub security: Security,
    /// The name at the end of the aliases (RFC 1034 §3.6.2), in lower case and without the dot of the
    /// root; none where the name that was asked for is no alias.
    pub canonical: Option<Arc<str>>,
    /// For how long from now they may be used without asking again.
    pub valid_for: Duration,
}

/// Whether DNSSEC proved an answer (RFC 4035 §4.3), as far as this machine may believe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// A trusted resolver validated the whole answer, aliases included.
    Secure,
    /// Nobody whom we trust said so.
    Insecure,
}

impl Security {
    /// Secure only if both are.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Secure, Self::Secure) => Self::Secure,
            (Self::Secure | Self::Insecure, Self::Insecure) | (Self::Insecure, Self::Secure) => {
                Self::Insecure
            }
        }
    }
}

/// Whether any answer can be [`Security::Secure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validation {
    /// A resolver whose word counts validates.
    Active,
    /// None does: nothing is known to be secure, and nothing to be insecure either.
    Inactive,
}
