//! What one attempt to reach an MX host showed.

use std::net::IpAddr;

use crate::{PolicyType, ResultType};

/// One attempt to set up a session with an MX host, or to find the policy for it.
///
/// RFC 8460 §4.4 counts these per policy; nothing of the message is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "an attempt that nobody is told of is missing from the report"]
pub struct Observation {
    /// The policy the attempt was made under.
    pub policy: ObservedPolicy,
    /// The MX host that was tried; none where the policy itself failed.
    pub receiving_mx: Option<String>,
    /// The address that was connected to.
    pub receiving_ip: Option<IpAddr>,
    /// The address the connection came from.
    pub sending_ip: Option<IpAddr>,
    /// How it went.
    pub verdict: Verdict,
}

/// The policy an attempt was made under (RFC 8460 §4.4, `policy`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObservedPolicy {
    /// The policy domain.
    pub domain: String,
    /// The kind of policy.
    pub policy_type: PolicyType,
    /// The policy's text, line by line.
    pub strings: Vec<String>,
    /// The `mx` patterns of an MTA-STS policy.
    pub mx_patterns: Vec<String>,
}

/// How an attempt went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The session met the policy.
    Success,
    /// It did not.
    Failure {
        /// What failed.
        result_type: ResultType,
        /// The cause in words, for `failure-reason-code`.
        reason: Option<String>,
    },
}
