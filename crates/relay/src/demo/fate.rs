//! What became of a message.

use serde::Serialize;

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// It was delivered to a host that proved its name, under an enforced policy, or that matched its
    /// TLSA record.
    Verified,
    /// It was delivered by TLS; nobody asked for proof.
    Encrypted,
    /// It was delivered in clear.
    Clear,
    /// It waits, and no host heard of it.
    Waiting,
    /// The relay and the hosts do not tell the same, or a host heard what it should not have.
    Astray,
}
