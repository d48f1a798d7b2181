//! A host to ask for a session, as a value: whoever keeps connections keeps them by it.

use mta_sts::{NextHop, OpenHost};
use tls_policy::HostNaming;

use crate::account::Login;

/// A host, and how it is to be talked to.
///
/// Two targets that are equal may share a connection, as far as the target has a say: the policy that
/// applies has another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Target {
    /// Who it is.
    pub(crate) host: OpenHost,
    /// Where it listens.
    pub(crate) port: u16,
    /// How its name came to be known; an address has none, and nobody asks.
    pub(crate) naming: HostNaming,
    /// What its session has to be like.
    pub(crate) requirement: TlsRequirement,
}

/// What the sessions of a next hop have to be like, besides what its policy asks for.
pub type TlsRequirement = tls_policy::TlsRequirement<Login>;

impl Target {
    /// The host's name or address, for the log and for reasons.
    pub(crate) fn name(&self) -> String {
        host_name(&self.host)
    }
}

/// A host's name or address.
pub(crate) fn host_name(host: &OpenHost) -> String {
    match host {
        OpenHost::Literal(address) => address.to_string(),
        OpenHost::Name(mx) => mx.as_str().to_owned(),
    }
}

/// A next hop, for reasons and the log.
pub(crate) fn in_words(next_hop: &NextHop) -> String {
    match next_hop {
        NextHop::Domain(domain) => domain.as_str().to_owned(),
        NextHop::Literal(address) => format!("[{address}]"),
    }
}
