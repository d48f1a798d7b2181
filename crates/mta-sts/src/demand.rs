//! Proof that the sender demands where no policy does.
//!
//! A configured next hop (a smart host) is given mail, and often a password, by an agreement of its
//! own: its name is to be proved whether or not its domain has a policy. Where it has one that is
//! enforced, that policy names the hosts, and there is no [`Fallback`] to demand more of.

use crate::decision::{Fallback, NextHop, WhyFallback};
use crate::name::MxHost;

/// A host to be reached with proof of its name, by the sender's own wish.
///
/// Only [`Fallback::demand`] makes one, so none exists beside an enforced policy:
///
/// ```compile_fail,E0451
/// # use mta_sts::{DemandedRoute, MxHost, NextHop, WhyFallback};
/// fn forge(next_hop: NextHop, host: MxHost, why: WhyFallback) -> DemandedRoute {
///     DemandedRoute { next_hop, host, why }
/// }
/// ```
///
/// ```
/// # use mta_sts::{DemandedRoute, Fallback, MxHost};
/// fn demand(fallback: &Fallback, host: MxHost) -> DemandedRoute {
///     fallback.demand(host)
/// }
/// ```
///
/// and it cannot be turned into a route that does with less:
///
/// ```compile_fail,E0308
/// fn weaken(route: mta_sts::DemandedRoute) -> mta_sts::OpenRoute {
///     route
/// }
/// ```
///
/// ```
/// fn keep(route: mta_sts::DemandedRoute) -> mta_sts::DemandedRoute {
///     route
/// }
/// ```
#[derive(Debug)]
pub struct DemandedRoute {
    next_hop: NextHop,
    host: MxHost,
    why: WhyFallback,
}

impl Fallback {
    /// This host alone, and only with proof of its name.
    #[must_use]
    pub fn demand(&self, host: MxHost) -> DemandedRoute {
        DemandedRoute { next_hop: self.next_hop().clone(), host, why: self.why().clone() }
    }
}

impl DemandedRoute {
    /// Where mail is to go.
    #[must_use]
    pub const fn next_hop(&self) -> &NextHop {
        &self.next_hop
    }

    /// The host, which is also the name to verify.
    #[must_use]
    pub const fn host(&self) -> &MxHost {
        &self.host
    }

    /// Why no policy is enforced.
    #[must_use]
    pub const fn why(&self) -> &WhyFallback {
        &self.why
    }
}
