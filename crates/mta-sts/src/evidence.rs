//! What was seen on the way to a decision, for the log, for metrics and for TLS-RPT.

use std::sync::Arc;
use std::time::SystemTime;

use crate::cache::CachedPolicy;
use crate::discovery::TxtAnswer;
use crate::fetch::error::{FetchError, FetchResultType};
use crate::parsed::Warning;
use crate::store::StoreError;

/// What was seen on the way to a decision.
///
/// It explains the decision and is not needed to act on it; all of it is empty where nothing had
/// to be looked up.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What the DNS said.
    pub txt: Option<TxtAnswer>,
    /// What came of HTTPS, where it was needed.
    pub fetch: Option<FetchReport>,
    /// The policy that the decision follows.
    pub policy: Option<CachedPolicy>,
    /// The cached policy that no longer applies and could not be replaced.
    pub expired: Option<CachedPolicy>,
    /// Why the policy could not be kept, or be noted as used; it applies all the same.
    pub store: Option<StoreError>,
}

/// What came of fetching a policy.
#[derive(Clone, Debug)]
pub enum FetchReport {
    /// It was not tried, because it failed less than five minutes ago (RFC 8461 §3.3).
    BackedOff {
        /// When it will be tried again.
        until: SystemTime,
        /// What went wrong then.
        error: Arc<FetchError>,
    },
    /// It failed.
    Failed(Arc<FetchError>),
    /// There is a new policy, in which this had to be overlooked.
    Fetched(Vec<Warning>),
    /// It was not tried, because the policy of the domain was fetched as often as it may be within
    /// an hour ([`FETCHES_MAX`](crate::FETCHES_MAX)); what was fetched last goes on to apply.
    Rationed {
        /// When it may be fetched again.
        until: SystemTime,
    },
}

impl FetchReport {
    /// Why there is no new policy.
    #[must_use]
    pub fn error(&self) -> Option<&Arc<FetchError>> {
        match self {
            Self::BackedOff { error, .. } | Self::Failed(error) => Some(error),
            Self::Fetched(_) | Self::Rationed { .. } => None,
        }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BackedOff { .. } => "backed-off",
            Self::Failed(_) => "failed",
            Self::Fetched(_) => "fetched",
            Self::Rationed { .. } => "rationed",
        }
    }
}

impl Evidence {
    /// Why the published policy could not be fetched, where that is so.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&Arc<FetchError>> {
        self.fetch.as_ref().and_then(FetchReport::error)
    }

    /// The result type of RFC 8460 §4.3.2.2 to report to the domain, where its policy could not
    /// be fetched.
    #[must_use]
    pub fn result_type(&self) -> Option<FetchResultType> {
        self.fetch_error().map(|error| error.result_type())
    }

    /// What had to be overlooked in the record and in the policy.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        let record = match &self.txt {
            Some(TxtAnswer::Found(record)) => record.warnings.as_slice(),
            Some(TxtAnswer::Failed(_) | TxtAnswer::NotPublished(_)) | None => &[],
        };
        let policy = match &self.fetch {
            Some(FetchReport::Fetched(warnings)) => warnings.as_slice(),
            Some(
                FetchReport::BackedOff { .. }
                | FetchReport::Failed(_)
                | FetchReport::Rationed { .. },
            )
            | None => &[],
        };
        record.iter().chain(policy)
    }
}
