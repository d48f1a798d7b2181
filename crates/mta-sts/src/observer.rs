//! Who is told of decisions and fetches: metrics, tests.

use std::fmt::Debug;

use crate::cache::CachedPolicy;
use crate::decision::Decision;
use crate::exception::Exception;
use crate::fetch::error::FetchError;
use crate::name::PolicyDomain;
use crate::parsed::Parsed;
use crate::policy::{Mode, Policy};
use crate::undecided::Undecided;

/// Is told of what happens; must not block.
pub trait Observer: Debug + Send + Sync {
    /// A delivery was decided upon, or could not be.
    fn decided(&self, decision: Result<&Decision, &Undecided>);

    /// An exception has set the TLSA records of a domain's hosts aside for a delivery.
    fn dane_excepted(&self, _domain: &PolicyDomain) {}

    /// An exception for a certificate or a host was used for a delivery.
    fn excepted(&self, _exception: &Exception) {}

    /// A policy was fetched over HTTPS, or was not to be had.
    fn fetched(&self, fetch: &FetchEnded<'_>);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _decision: Result<&Decision, &Undecided>) {}

    fn fetched(&self, _fetch: &FetchEnded<'_>) {}
}

/// One fetch that has ended.
#[derive(Clone, Copy, Debug)]
pub struct FetchEnded<'a> {
    /// The policy domain.
    pub domain: &'a PolicyDomain,
    /// What was cached when it began.
    pub occasion: Occasion,
    /// The cached policy that applies until there is another.
    pub applying: Option<&'a CachedPolicy>,
    /// What came of it.
    pub result: Result<&'a Parsed<Policy>, &'a FetchError>,
}

/// What a fetch is to replace.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Occasion {
    /// Nothing: no policy of the domain is cached.
    First,
    /// A cached policy that asks for something.
    Refresh,
    /// A policy of mode `none`, which is likely to vanish: a failure is no cause for alarm
    /// (RFC 8461 §8.3).
    Withdrawn,
}

impl Occasion {
    /// The occasion of a fetch while a policy of this mode is cached.
    #[must_use]
    pub const fn with_cached(mode: Option<Mode>) -> Self {
        match mode {
            None => Self::First,
            Some(Mode::None) => Self::Withdrawn,
            Some(Mode::Enforce | Mode::Testing) => Self::Refresh,
        }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Refresh => "refresh",
            Self::Withdrawn => "withdrawn",
        }
    }
}
