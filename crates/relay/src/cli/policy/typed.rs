//! What is typed behind `sts-relay policy`.

use anyhow::Context as _;
use mta_sts::PolicyDomain;

/// The domain that was typed.
pub(super) fn domain(domain: &str) -> anyhow::Result<PolicyDomain> {
    PolicyDomain::parse(domain).with_context(|| format!("{domain} is not a domain"))
}
