//! `[access]` as it is typed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[access]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawAccess {
    /// The networks whose hosts may relay, as CIDR.
    pub networks: Vec<String>,
    /// The networks whose hosts may relay from listed addresses.
    pub network: Vec<RawNetwork>,
    /// Whom mail may be sent to: addresses and domains; none: everybody.
    pub recipients: Vec<String>,
    /// The users and the hashes of their passwords; empty: there are none.
    pub users_file: PathBuf,
    /// The networks whose hosts may say for whom they connect, as CIDR.
    pub proxies: Vec<String>,
    /// Whether the From field of a message has to name senders of the user or network.
    pub check_from: bool,
    /// What users of this machine may send from besides their own addresses, or `*` alone.
    pub local_senders: Vec<String>,
}

/// `[[access.network]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawNetwork {
    /// The network, as CIDR.
    pub cidr: String,
    /// What its hosts may send from: addresses, domains such as `@example.org`, or `*` alone.
    pub senders: Vec<String>,
}
