//! A domain's tally as it is kept: each policy once, whatever failed under it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::DomainName;
use crate::failure::FailureDetail;
use crate::policy::AppliedPolicy;
use crate::precision::Precision;
use crate::row::Row;
use crate::tally::DomainTally;

/// What is kept of a tally.
#[derive(Deserialize, Serialize)]
struct Kept {
    domain: DomainName,
    #[serde(default, skip_serializing_if = "Precision::is_full")]
    precision: Precision,
    policies: Vec<KeptPolicy>,
}

/// What is kept of a policy.
#[derive(Deserialize, Serialize)]
struct KeptPolicy {
    policy: AppliedPolicy,
    /// Sessions that succeeded.
    #[serde(default, skip_serializing_if = "is_zero")]
    successes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<(FailureDetail, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&DomainTally> for Kept {
    fn from(tally: &DomainTally) -> Self {
        let mut policies = BTreeMap::<&Arc<AppliedPolicy>, KeptPolicy>::new();
        for (Row { policy, failure }, sessions) in tally.rows() {
            let kept = policies.entry(policy).or_insert_with(|| KeptPolicy {
                policy: AppliedPolicy::clone(policy),
                successes: 0,
                failures: Vec::new(),
            });
            match failure {
                Some(failure) => kept.failures.push((failure.clone(), sessions)),
                None => kept.successes = sessions,
            }
        }
        let (domain, precision) = (tally.domain().clone(), tally.precision().clone());
        Self { domain, precision, policies: policies.into_values().collect() }
    }
}

impl From<Kept> for DomainTally {
    fn from(kept: Kept) -> Self {
        let mut tally = Self::folded(kept.domain, kept.precision);
        for KeptPolicy { policy, successes, failures } in kept.policies {
            let policy = Arc::new(policy);
            tally.count(Row { policy: Arc::clone(&policy), failure: None }, successes);
            for (failure, sessions) in failures {
                tally.count(Row { policy: Arc::clone(&policy), failure: Some(failure) }, sessions);
            }
        }
        tally
    }
}

impl Serialize for DomainTally {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        Kept::from(self).serialize(output)
    }
}

impl<'de> Deserialize<'de> for DomainTally {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Kept::deserialize(input).map(Self::from)
    }
}
