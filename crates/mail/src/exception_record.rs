//! An operator's exception, as it is recorded of what was sent by it.

use std::time::SystemTime;

/// An operator's exception from a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExceptionRecord {
    /// Its name among those that are in force.
    pub id: String,
    /// What it lets pass.
    pub scope: ExceptedScope,
    /// Who granted it; none of one in the settings.
    pub by: Option<String>,
    /// When it ends.
    pub until: SystemTime,
    /// Why there is one, in the operator's words.
    pub reason: String,
}

/// What an exception lets pass, the narrowest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExceptedScope {
    /// A host that shows the certificate with this SHA-256.
    Certificate([u8; 32]),
    /// This host, which the policy does not name.
    Host(String),
    /// All hosts of the domain.
    Domain,
}
