//! `[[limit]]`: how much some destinations get at a time, and where it comes from.
//!
//! A limit is one for all that it is for: the domains of a provider share the one that names the
//! provider's hosts. The first limit that is for a host, or for the recipients' domain, holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use mta_sts::{OpenHost, PolicyDomain};

use crate::route::DomainPattern;

/// The limits, in the order in which they are looked at.
#[derive(Clone, Debug, Default)]
pub struct Limits(Vec<Arc<Limit>>);

/// How much some destinations get at a time. What is not set is as `[delivery]` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// What it is called in the log, in metrics and by `queue stats`: what it is for.
    pub name: Arc<str>,
    /// The recipients' domains.
    pub recipients: Vec<DomainPattern>,
    /// The hosts that take the mail: MX hosts, and smart hosts.
    pub hosts: Vec<DomainPattern>,
    /// How many connections there are at a time.
    pub connections: Option<usize>,
    /// How many messages are sent in a time.
    pub rate: Option<Rate>,
    /// How many messages go over one connection.
    pub messages_per_connection: Option<usize>,
    /// Where connections come from.
    pub source: SourceAddresses,
}

/// So many messages in a time, one after the other at equal distances.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many.
    pub messages: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

/// The addresses that connections come from; none: as the system chooses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SourceAddresses {
    /// Of those over IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Of those over IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Limits {
    /// These, in this order.
    #[must_use]
    pub fn new(limits: Vec<Limit>) -> Self {
        Self(limits.into_iter().map(Arc::new).collect())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Limit> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limit of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Limit>> {
        self.0.iter().find(|limit| *limit.name == *name)
    }

    /// The limit that holds for mail to `destination`, whatever host takes it; none where that
    /// depends on the host.
    pub(crate) fn of_destination(&self, destination: &str) -> Option<&Arc<Limit>> {
        let domain = self.domain(destination)?;
        self.0.iter().find(|limit| matches(&limit.recipients, domain.as_str()))
    }

    /// The limit that holds for mail to `destination` where this host takes it.
    pub(crate) fn of_host(&self, destination: &str, host: &OpenHost) -> Option<&Arc<Limit>> {
        if self.is_empty() {
            return None;
        }
        let domain = self.domain(destination);
        let host = match host {
            OpenHost::Literal(_) => "",
            OpenHost::Name(host) => host.as_str(),
        };
        self.0.iter().find(|limit| {
            let is_for = |domain: &PolicyDomain| matches(&limit.recipients, domain.as_str());
            domain.as_ref().is_some_and(is_for) || matches(&limit.hosts, host)
        })
    }

    /// The destination as patterns are compared with it; an address literal is none that a limit is
    /// for.
    fn domain(&self, destination: &str) -> Option<PolicyDomain> {
        if self.is_empty() { None } else { PolicyDomain::parse(destination).ok() }
    }
}

/// Whether a name is one of those; an address has none, and is "".
fn matches(patterns: &[DomainPattern], name: &str) -> bool {
    !name.is_empty() && patterns.iter().any(|pattern| pattern.matches_name(name))
}

impl Rate {
    /// The distance between two messages, in microseconds; one at least.
    pub(crate) fn interval(self) -> u64 {
        let per = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        per.div_ceil(u64::from(self.messages.get())).max(1)
    }
}

impl SourceAddresses {
    /// Where a connection to this address comes from.
    pub(crate) fn towards(self, address: SocketAddr) -> Option<IpAddr> {
        match address {
            SocketAddr::V4(_) => self.v4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// These, and where one is not set the other ones'.
    pub(crate) fn or(self, others: Self) -> Self {
        Self { v4: self.v4.or(others.v4), v6: self.v6.or(others.v6) }
    }
}

#[cfg(test)]
mod tests {
    use mta_sts::MxHost;

    use super::*;

    fn limit(name: &str, recipients: &[&str], hosts: &[&str]) -> Limit {
        let pattern = |text: &&str| match text.strip_prefix('.') {
            Some(parent) => DomainPattern::Below(PolicyDomain::parse(parent).unwrap()),
            None => DomainPattern::Exactly(PolicyDomain::parse(text).unwrap()),
        };
        Limit {
            name: name.into(),
            recipients: recipients.iter().map(pattern).collect(),
            hosts: hosts.iter().map(pattern).collect(),
            connections: None,
            rate: None,
            messages_per_connection: None,
            source: SourceAddresses::default(),
        }
    }

    #[test]
    fn the_first_limit_holds_that_is_for_the_host_or_for_the_domain() {
        let limits = Limits::new(vec![
            limit("one", &["a.example"], &["mx1.provider.example"]),
            limit("all", &[".example"], &[".provider.example"]),
        ]);
        let host = |name: &str| OpenHost::Name(MxHost::parse(name).unwrap());
        let of = |destination: &str, mx: &str| {
            limits.of_host(destination, &host(mx)).map(|limit| limit.name.to_string())
        };
        for (destination, mx, name) in [
            ("a.example", "mx.elsewhere.test", Some("one")),
            ("b.example", "mx.elsewhere.test", Some("all")),
            ("b.example", "mx1.provider.example", Some("one")),
            ("b.test", "mx1.provider.example", Some("one")),
            ("b.test", "mx2.eu.provider.example", Some("all")),
            ("b.test", "provider.example", None),
            ("[192.0.2.1]", "mx.elsewhere.test", None),
        ] {
            assert_eq!(of(destination, mx).as_deref(), name, "{destination} {mx}");
        }
        let literal = OpenHost::Literal([192, 0, 2, 1].into());
        assert!(limits.of_host("b.test", &literal).is_none());
        assert!(limits.of_destination("b.test").is_none(), "that depends on the host");
        assert_eq!(&*limits.of_destination("A.Example").unwrap().name, "one");
    }

    #[test]
    fn a_rate_is_a_distance_between_messages() {
        let interval = |messages, seconds| {
            let messages = NonZeroU32::new(messages).unwrap();
            Rate { messages, per: Duration::from_secs(seconds) }.interval()
        };
        assert_eq!(interval(60, 60), 1_000_000);
        assert_eq!(interval(7, 1), 142_858, "rounded up, so that there are never more");
        assert_eq!(interval(u32::MAX, 1), 1);
    }
}
