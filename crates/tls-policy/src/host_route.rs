//! Routes to one host, with what its TLSA records ask for on the way.
//!
//! A route of `mta_sts` says what the policy gives licence for. Here the DNS has its say: a session may
//! be settled for less only along a [`SettledRoute`], and that is made of a [`NoDane`] for the very
//! host. None of these can be made elsewhere, or turned into another.

use std::sync::Arc;

use dane::Association;
use mta_sts::{Fallback, OpenHost, OpenRoute};

use crate::host_dane::{
    DaneHost, EncryptOnly, HostDane, HostRecords, NoDane, ProofOfDestination, WhyNoDane,
};

/// A route whose host proves its name by public authorities, and matches its TLSA records as well if
/// it has any of use (RFC 8461 §2: neither excuses the other).
///
/// ```compile_fail,E0451
/// # use mta_sts::VerifiedRoute;
/// fn forget_the_records(route: VerifiedRoute) -> tls_policy::NamedRoute<VerifiedRoute> {
///     tls_policy::NamedRoute { route, association: None, unusable: None, noted: None }
/// }
/// ```
///
/// ```
/// # use std::sync::Arc;
/// # use mta_sts::VerifiedRoute;
/// fn records(route: &tls_policy::NamedRoute<VerifiedRoute>) -> Option<&Arc<dane::Association>> {
///     route.association()
/// }
/// ```
#[derive(Debug)]
pub struct NamedRoute<R> {
    route: R,
    association: Option<Arc<Association>>,
    unusable: Option<Arc<EncryptOnly>>,
    noted: Option<HostRecords>,
}

impl<R> NamedRoute<R> {
    /// A route to a host with these records, if it has any.
    pub(crate) fn new(route: R, dane: &HostDane) -> Self {
        let (association, unusable) = (dane.association().cloned(), dane.unusable().cloned());
        Self { route, association, unusable, noted: dane.noted().cloned() }
    }

    /// The route by which the host has to prove its name.
    #[must_use]
    pub const fn route(&self) -> &R {
        &self.route
    }

    /// The records that the host has to match as well.
    #[must_use]
    pub const fn association(&self) -> Option<&Arc<Association>> {
        self.association.as_ref()
    }

    /// The records of the host where none is of use: they ask for TLS, as the route does anyhow, and its
    /// domain may want to know of them (RFC 8460 §4.3.2.1).
    #[must_use]
    pub const fn unusable(&self) -> Option<&Arc<EncryptOnly>> {
        self.unusable.as_ref()
    }

    /// The records that the host has and does not have to match, because they are set aside: its domain
    /// may want to know what a session makes of them.
    #[must_use]
    pub const fn noted(&self) -> Option<&HostRecords> {
        self.noted.as_ref()
    }
}

/// A route whose host has to match its TLSA records, and nothing else (RFC 7672 §2.2).
///
/// It cannot be settled for less, whatever the policy permits:
///
/// ```compile_fail,E0308
/// fn weaken(route: tls_policy::MatchedRoute) -> tls_policy::SettledRoute {
///     route
/// }
/// ```
///
/// ```
/// fn keep(route: tls_policy::MatchedRoute) -> tls_policy::MatchedRoute {
///     route
/// }
/// ```
#[derive(Debug)]
pub struct MatchedRoute {
    route: OpenRoute,
    association: Arc<Association>,
    destination: ProofOfDestination,
}

impl MatchedRoute {
    /// A route to `host`, which has these records.
    pub(crate) fn new(fallback: &Fallback, host: &OpenHost, dane: &DaneHost) -> Self {
        let route = fallback.via(host.clone());
        let association = Arc::clone(dane.association());
        Self { route, association, destination: dane.destination() }
    }

    /// What the policy gives licence for.
    #[must_use]
    pub const fn route(&self) -> &OpenRoute {
        &self.route
    }

    /// The records.
    #[must_use]
    pub const fn association(&self) -> &Arc<Association> {
        &self.association
    }

    /// Whether a match proves that the host is the destination's.
    #[must_use]
    pub const fn destination(&self) -> ProofOfDestination {
        self.destination
    }
}

/// A route whose host has secure TLSA records and none of use: under TLS with whoever answers, and
/// never in clear (RFC 7672 §2.2).
#[derive(Debug)]
pub struct EncryptedRoute {
    route: OpenRoute,
    records: Arc<EncryptOnly>,
}

impl EncryptedRoute {
    /// A route to `host`, which has these records.
    pub(crate) fn new(fallback: &Fallback, host: &OpenHost, records: &Arc<EncryptOnly>) -> Self {
        Self { route: fallback.via(host.clone()), records: Arc::clone(records) }
    }

    /// What the policy gives licence for.
    #[must_use]
    pub const fn route(&self) -> &OpenRoute {
        &self.route
    }

    /// The records, each with why it is of no use.
    #[must_use]
    pub const fn records(&self) -> &Arc<EncryptOnly> {
        &self.records
    }
}

/// A route to a host by whatever works. It is made of a licence from the policy and of one from the DNS,
/// and leads to the host that the latter is for; so a host with secure records cannot be settled for
/// less:
///
/// ```compile_fail,E0451
/// # use mta_sts::OpenRoute;
/// # use tls_policy::{SettledRoute, WhyNoDane};
/// fn forge(route: OpenRoute) -> SettledRoute {
///     SettledRoute { route, why: WhyNoDane::NoRecords, noted: None }
/// }
/// ```
///
/// ```
/// # use mta_sts::Fallback;
/// # use tls_policy::{NoDane, SettledRoute};
/// fn settle(fallback: &Fallback, no_dane: &NoDane) -> SettledRoute {
///     SettledRoute::new(fallback, no_dane)
/// }
/// ```
#[derive(Debug)]
pub struct SettledRoute {
    route: OpenRoute,
    why: WhyNoDane,
    noted: Option<HostRecords>,
}

impl SettledRoute {
    /// The route to the host of `no_dane`.
    #[must_use]
    pub fn new(fallback: &Fallback, no_dane: &NoDane) -> Self {
        let noted = no_dane.noted().cloned();
        Self { route: fallback.via(no_dane.host().clone()), why: no_dane.why(), noted }
    }

    /// What the policy gives licence for.
    #[must_use]
    pub const fn route(&self) -> &OpenRoute {
        &self.route
    }

    /// Why no TLSA records count.
    #[must_use]
    pub const fn why(&self) -> WhyNoDane {
        self.why
    }

    /// The records that the host has all the same.
    #[must_use]
    pub const fn noted(&self) -> Option<&HostRecords> {
        self.noted.as_ref()
    }
}
