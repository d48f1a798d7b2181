//! Routes: mail that goes to a configured next hop (a smart host) instead of the MX hosts of its
//! domain.
//!
//! The first route that matches is taken. The policy domain is then the next hop's (RFC 8461 §3.4):
//! what a policy of the recipients' domain asks for has no say on a route.

use std::fmt;
use std::net::IpAddr;

use mta_sts::{MxHost, NextHop, OpenHost, PolicyDomain};
use smtp::{MailboxDomain, ReversePath};
use tls_policy::HostNaming;

use crate::target::{Target, TlsRequirement};

/// The routes, in the order in which they are looked at.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

/// Where some of the mail goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The recipients' domains; none: any.
    pub recipients: Vec<DomainPattern>,
    /// The senders' domains; none: any.
    pub senders: Vec<DomainPattern>,
    /// Where it goes, in the order in which they are tried; at least one.
    pub next_hops: Vec<ConfiguredHop>,
}

/// Which domains a route is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DomainPattern {
    /// All of them, and address literals.
    All,
    /// The subdomains of this one, and not itself.
    Below(PolicyDomain),
    /// This one, and none of its subdomains.
    Exactly(PolicyDomain),
}

/// One of a route's next hops.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfiguredHop {
    /// The smart host.
    pub to: SmartHost,
    /// What a session with it has to be like.
    pub requirement: TlsRequirement,
}

/// A smart host (RFC 5321 §2.3.10, a gateway or relay).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SmartHost {
    /// An address, which has no policy and can prove no name.
    Address(IpAddr, u16),
    /// A domain, whose MX hosts take the mail.
    Domain(PolicyDomain),
    /// A host at a port; no MX record is looked up. Its name is the policy domain.
    Host(MxHost, PolicyDomain, u16),
}

impl Routes {
    /// These, in this order.
    #[must_use]
    pub const fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The route of mail from `sender` to `recipient`.
    #[must_use]
    pub fn find(&self, sender: &ReversePath, recipient: &MailboxDomain) -> Option<&Route> {
        let sender = sender.mailbox().map(smtp::Mailbox::domain);
        self.0.iter().find(|route| {
            matches(&route.recipients, Some(recipient)) && matches(&route.senders, sender)
        })
    }

    /// The routes that mail to `recipient` may take, by its sender; the last one is for all others.
    pub fn of_recipient(&self, recipient: &MailboxDomain) -> impl Iterator<Item = &Route> {
        let mut over = false;
        let ours = self.0.iter().filter(|route| matches(&route.recipients, Some(recipient)));
        ours.take_while(move |route| !std::mem::replace(&mut over, route.senders.is_empty()))
    }
}

/// Whether a domain is one of those; the null reverse-path has none, and matches only all.
fn matches(patterns: &[DomainPattern], domain: Option<&MailboxDomain>) -> bool {
    let name = match domain {
        Some(MailboxDomain::Domain(domain)) => PolicyDomain::parse(domain.as_str()).ok(),
        Some(MailboxDomain::Literal(_)) | None => None,
    };
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name.as_ref()))
}

impl DomainPattern {
    /// Whether it matches a domain, or what has no domain.
    pub(crate) fn matches(&self, name: Option<&PolicyDomain>) -> bool {
        match name {
            Some(name) => self.matches_name(name.as_str()),
            None => *self == Self::All,
        }
    }

    /// Whether it matches the name of a domain or a host, in A-labels and lower case.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(parent) => {
                let rest = name.strip_suffix(parent.as_str());
                rest.is_some_and(|rest| rest.ends_with('.'))
            }
            Self::Exactly(domain) => name == domain.as_str(),
        }
    }
}

impl DomainPattern {
    /// Whether it matches all that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match other {
            Self::All => *self == Self::All,
            Self::Below(parent) => self == other || self.is_of_many(parent.as_str()),
            Self::Exactly(domain) => self.matches_name(domain.as_str()),
        }
    }

    /// Whether it matches a name and all that is below it.
    fn is_of_many(&self, name: &str) -> bool {
        match self {
            Self::All | Self::Below(_) => self.matches_name(name),
            Self::Exactly(_) => false,
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Below(parent) => write!(f, ".{}", parent.as_str()),
            Self::Exactly(domain) => f.write_str(domain.as_str()),
        }
    }
}

impl SmartHost {
    /// Whose policy counts (RFC 8461 §3.4).
    #[must_use]
    pub fn next_hop(&self) -> NextHop {
        match self {
            Self::Address(address, _) => NextHop::Literal(*address),
            Self::Domain(domain) | Self::Host(_, domain, _) => NextHop::Domain(domain.clone()),
        }
    }
}

impl ConfiguredHop {
    /// The host, where no MX record has to be asked for it.
    pub(crate) fn host(&self) -> Option<Target> {
        let target = |host, port, naming| Target {
            host,
            port,
            naming,
            requirement: self.requirement.clone(),
        };
        match &self.to {
            SmartHost::Address(address, port) => {
                Some(target(OpenHost::Literal(*address), *port, HostNaming::Insecure))
            }
            SmartHost::Domain(_) => None,
            SmartHost::Host(host, _, port) => {
                Some(target(OpenHost::Name(host.clone()), *port, HostNaming::a_priori(host)))
            }
        }
    }
}

impl fmt::Display for SmartHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address, port) => {
                write!(f, "{}", std::net::SocketAddr::new(*address, *port))
            }
            Self::Domain(domain) => f.write_str(domain.as_str()),
            Self::Host(host, _, port) => write!(f, "{}:{port}", host.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
