//! What a session was made for, and what gives licence to use it again.
//!
//! A session keeps the route it was made along. Mail goes over it only with a licence that the route
//! covers: a verified session serves its own policy domain under the very policy that named its
//! host, and one that was not verified asks for a [`Fallback`], which an enforced policy never
//! gives. So a connection that is used for many messages proves as much for the last as for the
//! first.
//!
//! The TLSA records of the host have a say of their own: a session goes on only under those that it
//! was made under.

use std::fmt::Debug;

use mail::Proof;
use mta_sts::danger::ExceptedRoute;
use mta_sts::{
    DemandedRoute, Fallback, MxMismatch, NextHop, OpenHost, OpenRoute, RequiredTls, VerifiedRoute,
};

use crate::host_dane::{HostDane, ProofOfDestination};
use crate::host_route::{EncryptedRoute, MatchedRoute, NamedRoute, SettledRoute};
use crate::refusal::Refusal;

/// Marks a session whose peer has proved its name.
#[derive(Debug)]
pub enum Verified {}

/// Marks a session whose peer has proved its name because the operator or the message demands it,
/// while the policy asks for nothing.
#[derive(Debug)]
pub enum Demanded {}

/// Marks a session whose peer does not meet the enforced policy, and whom an operator's exception for its
/// certificate or its name lets pass.
#[derive(Debug)]
pub enum Excepted {}

/// Marks a session whose peer has matched the TLSA records of its host, while the policy asks for
/// nothing.
#[derive(Debug)]
pub enum Matched {}

/// Marks a session under TLS whose peer could be anyone: its host has TLSA records, and none of use.
#[derive(Debug)]
pub enum Encrypted {}

/// Marks a session whose peer could be anyone.
#[derive(Debug)]
pub enum Unverified {}

/// How far the peer of a session is trusted: [`Verified`], [`Demanded`], [`Matched`], [`Excepted`],
/// [`Encrypted`] or [`Unverified`], and nothing else.
pub trait Trust: sealed::Sealed {
    /// The way the session was made along.
    type Route: Debug;
    /// What gives licence to send over such a session.
    type Licence;

    /// What the host of a session along `route` has proved.
    fn proof(route: &Self::Route) -> Proof;

    /// Whether a session made along `route` may be used with `licence`: for the same next hop, for
    /// the same reason and under the same version of its policy.
    fn covers(route: &Self::Route, licence: &Self::Licence) -> bool;

    /// Whether a session made along `route` is what these records ask for: the records are the same
    /// as they were then.
    fn is_under(route: &Self::Route, dane: &HostDane) -> bool;

    /// A route to `host`, for one connection.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where no session of this trust can come about with the host.
    fn route(
        licence: &Self::Licence,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<Self::Route, Refusal>;

    /// Where mail with this licence goes next.
    fn next_hop(licence: &Self::Licence) -> NextHop;

    /// The host at the other end.
    fn host(route: &Self::Route) -> OpenHost;
}

/// A trust by which the peer has proved who it is: over such sessions alone mail goes that asks for
/// proven TLS all its way (RFC 8689 §4.2.1).
pub trait Proven: Trust {}

impl Proven for Verified {}
impl Proven for Demanded {}
impl Proven for Matched {}

impl Trust for Verified {
    type Licence = RequiredTls;
    type Route = NamedRoute<VerifiedRoute>;

    fn proof(_route: &NamedRoute<VerifiedRoute>) -> Proof {
        Proof::Policy
    }

    /// The id alone would not do: a policy that was fetched anew may say something else under it.
    fn covers(route: &NamedRoute<VerifiedRoute>, required: &RequiredTls) -> bool {
        let route = route.route();
        route.domain() == required.domain()
            && route.id() == required.id()
            && route.policy() == required.policy()
    }

    fn is_under(route: &NamedRoute<VerifiedRoute>, dane: &HostDane) -> bool {
        is_bound_alike(route, dane)
    }

    fn route(
        required: &RequiredTls,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<NamedRoute<VerifiedRoute>, Refusal> {
        let route = match host {
            OpenHost::Literal(address) => return Err(Refusal::NoName(*address)),
            OpenHost::Name(mx) => required.admit(mx.clone()).map_err(Refusal::NotNamed)?,
        };
        Ok(NamedRoute::new(route, dane))
    }

    fn next_hop(required: &RequiredTls) -> NextHop {
        NextHop::Domain(required.domain().clone())
    }

    fn host(route: &NamedRoute<VerifiedRoute>) -> OpenHost {
        OpenHost::Name(route.route().mx().clone())
    }
}

impl Trust for Excepted {
    type Licence = RequiredTls;
    type Route = NamedRoute<ExceptedRoute>;

    fn proof(_route: &NamedRoute<ExceptedRoute>) -> Proof {
        Proof::Excepted
    }

    /// An exception that has ended, or was withdrawn, covers nothing.
    fn covers(route: &NamedRoute<ExceptedRoute>, required: &RequiredTls) -> bool {
        let route = route.route();
        route.domain() == required.domain()
            && route.id() == required.id()
            && route.policy() == required.policy()
            && required.still_excepts(route)
    }

    fn is_under(route: &NamedRoute<ExceptedRoute>, dane: &HostDane) -> bool {
        is_bound_alike(route, dane)
    }

    fn route(
        required: &RequiredTls,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<NamedRoute<ExceptedRoute>, Refusal> {
        let route = match host {
            OpenHost::Literal(address) => return Err(Refusal::NoName(*address)),
            OpenHost::Name(mx) => required.except(mx.clone()).ok_or_else(|| {
                let (domain, mx) = (required.domain().clone(), mx.clone());
                Refusal::NotNamed(MxMismatch { domain, mx })
            })?,
        };
        Ok(NamedRoute::new(route, dane))
    }

    fn next_hop(required: &RequiredTls) -> NextHop {
        NextHop::Domain(required.domain().clone())
    }

    fn host(route: &NamedRoute<ExceptedRoute>) -> OpenHost {
        OpenHost::Name(route.route().mx().clone())
    }
}

impl Trust for Demanded {
    type Licence = Fallback;
    type Route = NamedRoute<DemandedRoute>;

    fn proof(_route: &NamedRoute<DemandedRoute>) -> Proof {
        Proof::Demanded
    }

    fn covers(route: &NamedRoute<DemandedRoute>, fallback: &Fallback) -> bool {
        let route = route.route();
        route.next_hop() == fallback.next_hop() && route.why() == fallback.why()
    }

    fn is_under(route: &NamedRoute<DemandedRoute>, dane: &HostDane) -> bool {
        is_bound_alike(route, dane)
    }

    fn route(
        fallback: &Fallback,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<NamedRoute<DemandedRoute>, Refusal> {
        let route = match host {
            OpenHost::Literal(address) => return Err(Refusal::NoName(*address)),
            OpenHost::Name(mx) => fallback.demand(mx.clone()),
        };
        Ok(NamedRoute::new(route, dane))
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &NamedRoute<DemandedRoute>) -> OpenHost {
        OpenHost::Name(route.route().host().clone())
    }
}

/// Whether a host has the records of use that it had when a route was made, or none now as then.
fn is_bound_alike<R>(route: &NamedRoute<R>, dane: &HostDane) -> bool {
    let fingerprint = |association: &std::sync::Arc<dane::Association>| association.fingerprint();
    let (then, now) = (route.association(), dane.association());
    then.map(fingerprint) == now.map(fingerprint)
}

impl Trust for Matched {
    type Licence = Fallback;
    type Route = MatchedRoute;

    fn proof(route: &MatchedRoute) -> Proof {
        match route.destination() {
            ProofOfDestination::Proven => Proof::Dane,
            ProofOfDestination::Unproven => Proof::None,
        }
    }

    fn covers(route: &MatchedRoute, fallback: &Fallback) -> bool {
        is_permitted(route.route(), fallback)
    }

    fn is_under(route: &MatchedRoute, dane: &HostDane) -> bool {
        let now = dane.association().map(|now| now.fingerprint());
        now == Some(route.association().fingerprint())
    }

    fn route(
        fallback: &Fallback,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<MatchedRoute, Refusal> {
        match dane {
            HostDane::Dane(found) => Ok(MatchedRoute::new(fallback, host, found)),
            HostDane::EncryptOnly(_) | HostDane::NoDane(_) | HostDane::Skipped(_) => {
                Err(Refusal::OtherRecords)
            }
        }
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &MatchedRoute) -> OpenHost {
        route.route().host().clone()
    }
}

impl Trust for Encrypted {
    type Licence = Fallback;
    type Route = EncryptedRoute;

    fn proof(_route: &EncryptedRoute) -> Proof {
        Proof::None
    }

    fn covers(route: &EncryptedRoute, fallback: &Fallback) -> bool {
        is_permitted(route.route(), fallback)
    }

    fn is_under(_route: &EncryptedRoute, dane: &HostDane) -> bool {
        matches!(dane, HostDane::EncryptOnly(_))
    }

    fn route(
        fallback: &Fallback,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<EncryptedRoute, Refusal> {
        match dane {
            HostDane::EncryptOnly(records) => Ok(EncryptedRoute::new(fallback, host, records)),
            HostDane::Dane(_) | HostDane::NoDane(_) | HostDane::Skipped(_) => {
                Err(Refusal::OtherRecords)
            }
        }
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &EncryptedRoute) -> OpenHost {
        route.route().host().clone()
    }
}

impl Trust for Unverified {
    type Licence = Fallback;
    type Route = SettledRoute;

    fn proof(_route: &SettledRoute) -> Proof {
        Proof::None
    }

    fn covers(route: &SettledRoute, fallback: &Fallback) -> bool {
        is_permitted(route.route(), fallback)
    }

    fn is_under(route: &SettledRoute, dane: &HostDane) -> bool {
        match dane {
            HostDane::NoDane(no_dane) => no_dane.host() == route.route().host(),
            HostDane::Dane(_) | HostDane::EncryptOnly(_) | HostDane::Skipped(_) => false,
        }
    }

    fn route(
        fallback: &Fallback,
        host: &OpenHost,
        dane: &HostDane,
    ) -> Result<SettledRoute, Refusal> {
        match dane {
            HostDane::NoDane(no_dane) if no_dane.host() == host => {
                Ok(SettledRoute::new(fallback, no_dane))
            }
            HostDane::Dane(_)
            | HostDane::EncryptOnly(_)
            | HostDane::NoDane(_)
            | HostDane::Skipped(_) => Err(Refusal::OtherRecords),
        }
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &SettledRoute) -> OpenHost {
        route.route().host().clone()
    }
}

/// Whether the policy still permits what it did when a route was made, for the same reason.
fn is_permitted(route: &OpenRoute, fallback: &Fallback) -> bool {
    route.next_hop() == fallback.next_hop() && route.why() == fallback.why()
}

mod sealed {
    /// Nobody else says what is trusted.
    #[expect(unnameable_types, reason = "what nobody can name, nobody can implement")]
    pub trait Sealed {}
    impl Sealed for crate::trust::Demanded {}
    impl Sealed for crate::trust::Encrypted {}
    impl Sealed for crate::trust::Excepted {}
    impl Sealed for crate::trust::Matched {}
    impl Sealed for crate::trust::Unverified {}
    impl Sealed for crate::trust::Verified {}
}
