//! A host to ask for a session, as a value: whoever keeps connections keeps them by it.

use mta_sts::{NextHop, OpenHost};

use crate::account::Login;

/// A host, and how it is to be talked to.
///
/// Two hops that are equal may share a connection, as far as the hop has a say: the policy that
/// applies has another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Hop {
    /// Who it is.
    pub(crate) host: OpenHost,
    /// Where it listens.
    pub(crate) port: u16,
    /// What its session has to be like.
    pub(crate) manner: Manner,
}

/// What the sessions of a next hop have to be like, besides what its policy asks for.
///
/// A login belongs to a session with proof, and there is no other place to put one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Manner {
    /// As the policy asks, and no more.
    AsPolicy,
    /// With proof of the host's name, whatever the policy asks for.
    Proven {
        /// How TLS begins.
        start: Start,
        /// Who we say we are, once the host has proved its name.
        login: Option<Login>,
    },
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Start {
    /// With the connection (RFC 8314 §3).
    Implicit,
    /// With STARTTLS (RFC 3207).
    Starttls,
}

impl Manner {
    /// How TLS begins where it has to be verified.
    pub(crate) const fn start(&self) -> Start {
        match self {
            Self::AsPolicy => Start::Starttls,
            Self::Proven { start, .. } => *start,
        }
    }

    /// Who we say we are.
    pub(crate) const fn login(&self) -> Option<&Login> {
        match self {
            Self::AsPolicy => None,
            Self::Proven { login, .. } => login.as_ref(),
        }
    }
}

impl Hop {
    /// The host's name or address, for the log and for reasons.
    pub(crate) fn name(&self) -> String {
        match &self.host {
            OpenHost::Literal(address) => address.to_string(),
            OpenHost::Name(mx) => mx.as_str().to_owned(),
        }
    }
}

/// A next hop, for reasons and the log.
pub(crate) fn in_words(next_hop: &NextHop) -> String {
    match next_hop {
        NextHop::Domain(domain) => domain.as_str().to_owned(),
        NextHop::Literal(address) => format!("[{address}]"),
    }
}
