//! How much of policies and failures is kept apart, so that other hosts cannot make it grow without bound.
//!
//! What is kept depends on the set of rows that were counted and not on their order: each step
//! coarser is taken when too many different rows have been seen, and no step is taken back. So
//! tallies can be merged in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::failure::FailureDetail;
use crate::policy::AppliedPolicy;
use crate::result_type::{PolicyType, ResultType};
use crate::row::Row;

/// The most policies of a domain that are kept apart on a day.
pub(crate) const POLICIES_MAX: usize = 20;

/// The most failures of a domain that are kept apart on a day. The result types that occur have an
/// equal share each: many failures of one kind take nothing from the others.
pub(crate) const DETAILS_MAX: usize = 100;

/// What is kept apart.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Precision {
    #[serde(default)]
    policies: PolicyPrecision,
    #[serde(default)]
    details: BTreeMap<ResultType, DetailPrecision>,
}

/// What of policies is kept apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
enum PolicyPrecision {
    /// All of it.
    #[default]
    Text,
    /// The type and the policy domain.
    Domain,
    /// The type.
    Type,
}

/// What of failures of one result type is kept apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
enum DetailPrecision {
    /// All of it.
    #[default]
    Session,
    /// The MX host and the reason, not the addresses.
    Host,
    /// The result type.
    ResultType,
}

impl Precision {
    /// Whether all is kept apart.
    pub(crate) fn is_full(&self) -> bool {
        *self == Self::default()
    }

    /// The row as it is counted for reports to `domain`.
    pub(crate) fn apply(&self, row: Row, domain: &DomainName) -> Row {
        Row {
            policy: self.policy(row.policy, domain),
            failure: row.failure.map(|failure| self.detail(failure)),
        }
    }

    /// Takes one step where too much is kept apart, and tells whether there was one to take.
    pub(crate) fn coarsen(&mut self, rows: &BTreeMap<Box<Row>, u64>) -> bool {
        let mut policies = BTreeSet::new();
        let mut details = BTreeMap::<ResultType, BTreeSet<&FailureDetail>>::new();
        for row in rows.keys() {
            policies.insert(&row.policy);
            if let Some(failure) = &row.failure {
                details.entry(failure.result_type).or_default().insert(failure);
            }
        }
        let mut coarser = false;
        if policies.len() > POLICIES_MAX {
            coarser |= step(&mut self.policies, PolicyPrecision::coarser);
        }
        let share = DETAILS_MAX / details.len().max(1);
        for (result_type, found) in details {
            if found.len() > share {
                let precision = self.details.entry(result_type).or_default();
                coarser |= step(precision, DetailPrecision::coarser);
            }
        }
        coarser
    }

    /// The coarser of the two, kind by kind.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.policies = self.policies.max(other.policies);
        for (result_type, theirs) in &other.details {
            let ours = self.details.entry(*result_type).or_default();
            *ours = (*ours).max(*theirs);
        }
    }

    /// The policy as it is counted.
    fn policy(&self, policy: Arc<AppliedPolicy>, domain: &DomainName) -> Arc<AppliedPolicy> {
        let without_text = |policy_type: PolicyType, domain: &DomainName| {
            Arc::new(AppliedPolicy::without_text(policy_type, domain.clone()))
        };
        match self.policies {
            PolicyPrecision::Text => policy,
            PolicyPrecision::Domain => without_text(policy.policy_type(), policy.domain()),
            PolicyPrecision::Type => without_text(policy.policy_type(), domain),
        }
    }

    /// The failure as it is counted.
    fn detail(&self, failure: FailureDetail) -> FailureDetail {
        match self.details.get(&failure.result_type).copied().unwrap_or_default() {
            DetailPrecision::Session => failure,
            DetailPrecision::Host => FailureDetail {
                receiving_mx_hostname: failure.receiving_mx_hostname,
                failure_reason_code: failure.failure_reason_code,
                ..FailureDetail::new(failure.result_type)
            },
            DetailPrecision::ResultType => FailureDetail::new(failure.result_type),
        }
    }
}

/// Takes a step, if there is one.
fn step<T>(precision: &mut T, coarser: impl Fn(&T) -> Option<T>) -> bool {
    match coarser(precision) {
        Some(next) => {
            *precision = next;
            true
        }
        None => false,
    }
}

impl PolicyPrecision {
    /// The next step.
    const fn coarser(&self) -> Option<Self> {
        match self {
            Self::Text => Some(Self::Domain),
            Self::Domain => Some(Self::Type),
            Self::Type => None,
        }
    }
}

impl DetailPrecision {
    /// The next step.
    const fn coarser(&self) -> Option<Self> {
        match self {
            Self::Session => Some(Self::Host),
            Self::Host => Some(Self::ResultType),
            Self::ResultType => None,
        }
    }
}
