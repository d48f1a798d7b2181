//! What one attempt to reach an MX host showed.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use crate::result_type::{PolicyType, ResultType};

/// Attempts to set up a session with an MX host, or to find the policy for it.
///
/// RFC 8460 §4.4 counts these per policy; nothing of the message is in it.
#[derive(Clone, Debug)]
#[must_use = "an attempt that is not counted is missing from the report"]
pub struct Observation {
    /// The policy the attempts were made under.
    pub policy: ObservedPolicy,
    /// The MX host that was tried, the first one of several; none where the policy itself failed.
    pub receiving_mx: Option<String>,
    /// The address that was connected to.
    pub receiving_ip: Option<IpAddr>,
    /// The address the connection came from.
    pub sending_ip: Option<IpAddr>,
    /// How it went.
    pub verdict: Verdict,
    /// How many attempts went like this: what fails alike within one delivery is one observation.
    pub attempts: u32,
}

/// The policy an attempt was made under (RFC 8460 §4.4, `policy`).
#[derive(Clone, Debug)]
pub struct ObservedPolicy {
    /// The policy domain.
    pub domain: String,
    /// The kind of policy.
    pub policy_type: PolicyType,
    /// The text of an MTA-STS policy.
    pub text: Option<Arc<dyn PolicyText>>,
}

/// The text of an MTA-STS policy, made when a report quotes it (RFC 8460 §4.4).
///
/// An observation shares the policy and copies none of it: who publishes 64 KiB could otherwise have
/// as much copied for each host that fails.
pub trait PolicyText: Debug + Send + Sync {
    /// What it asks for: `enforce`, `testing` or `none`.
    fn mode(&self) -> &'static str;

    /// The policy line by line, for `policy-string`.
    fn strings(&self) -> Vec<String>;

    /// Its `mx` patterns, for `mx-host`.
    fn mx_patterns(&self) -> Vec<String>;
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
