//! A host to ask for a session, as a value: whoever keeps connections keeps them by it.

use mta_sts::OpenHost;

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
}

impl Hop {
    /// An MX host, which listens where all MX hosts do.
    pub(crate) const fn mx(host: OpenHost, port: u16) -> Self {
        Self { host, port }
    }

    /// The host's name or address, for the log and for reasons.
    pub(crate) fn name(&self) -> String {
        match &self.host {
            OpenHost::Literal(address) => address.to_string(),
            OpenHost::Name(mx) => mx.as_str().to_owned(),
        }
    }
}
