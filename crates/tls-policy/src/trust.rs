//! What a session was made for, and the licence to use it again.
//!
//! A session keeps the route it was made along. Mail goes over it only with a licence that the route
//! covers: a verified session serves its own policy domain under the very policy that named its
//! host, and one that was not verified asks for a [`Fallback`], which an enforced policy never
//! gives. So a connection that is used for many messages proves as much for the last as for the
//! first.

use std::fmt::Debug;

use mail::Proof;
use mta_sts::{DemandedRoute, Fallback, NextHop, OpenHost, OpenRoute, RequiredTls, VerifiedRoute};

use crate::refusal::Refusal;

/// Marks a session whose peer has proved its name.
#[derive(Debug)]
pub enum Verified {}

/// Marks a session whose peer has proved its name because the operator demands it of a configured
/// next hop, whose own policy asks for nothing.
#[derive(Debug)]
pub enum Demanded {}

/// Marks a session whose peer could be anyone.
#[derive(Debug)]
pub enum Unverified {}

/// How far the peer of a session is trusted: [`Verified`], [`Demanded`] or [`Unverified`], and
/// nothing else.
pub trait Trust: sealed::Sealed {
    /// The way the session was made along.
    type Route: Debug;
    /// The licence to send over such a session.
    type Licence;

    /// What the host of such a session has proved.
    const PROOF: Proof;

    /// Whether a session made along `route` may be used with `licence`: for the same next hop, for
    /// the same reason and under the same version of its policy.
    fn covers(route: &Self::Route, licence: &Self::Licence) -> bool;

    /// A route to `host`, for one connection.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where no session of this trust can come about with the host.
    fn route(licence: &Self::Licence, host: &OpenHost) -> Result<Self::Route, Refusal>;

    /// Where mail with this licence goes next.
    fn next_hop(licence: &Self::Licence) -> NextHop;

    /// The host at the other end.
    fn host(route: &Self::Route) -> OpenHost;
}

impl Trust for Verified {
    type Licence = RequiredTls;
    type Route = VerifiedRoute;

    const PROOF: Proof = Proof::Policy;

    /// The id alone would not do: a policy that was fetched anew may say something else under it.
    fn covers(route: &VerifiedRoute, required: &RequiredTls) -> bool {
        route.domain() == required.domain()
            && route.id() == required.id()
            && route.policy() == required.policy()
    }

    fn route(required: &RequiredTls, host: &OpenHost) -> Result<VerifiedRoute, Refusal> {
        match host {
            OpenHost::Literal(address) => Err(Refusal::NoName(*address)),
            OpenHost::Name(mx) => required.admit(mx.clone()).map_err(Refusal::NotNamed),
        }
    }

    fn next_hop(required: &RequiredTls) -> NextHop {
        NextHop::Domain(required.domain().clone())
    }

    fn host(route: &VerifiedRoute) -> OpenHost {
        OpenHost::Name(route.mx().clone())
    }
}

impl Trust for Demanded {
    type Licence = Fallback;
    type Route = DemandedRoute;

    const PROOF: Proof = Proof::Demanded;

    fn covers(route: &DemandedRoute, fallback: &Fallback) -> bool {
        route.next_hop() == fallback.next_hop() && route.why() == fallback.why()
    }

    fn route(fallback: &Fallback, host: &OpenHost) -> Result<DemandedRoute, Refusal> {
        match host {
            OpenHost::Literal(address) => Err(Refusal::NoName(*address)),
            OpenHost::Name(mx) => Ok(fallback.demand(mx.clone())),
        }
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &DemandedRoute) -> OpenHost {
        OpenHost::Name(route.host().clone())
    }
}

impl Trust for Unverified {
    type Licence = Fallback;
    type Route = OpenRoute;

    const PROOF: Proof = Proof::None;

    fn covers(route: &OpenRoute, fallback: &Fallback) -> bool {
        route.next_hop() == fallback.next_hop() && route.why() == fallback.why()
    }

    fn route(fallback: &Fallback, host: &OpenHost) -> Result<OpenRoute, Refusal> {
        Ok(fallback.via(host.clone()))
    }

    fn next_hop(fallback: &Fallback) -> NextHop {
        fallback.next_hop().clone()
    }

    fn host(route: &OpenRoute) -> OpenHost {
        route.host().clone()
    }
}

mod sealed {
    /// Nobody else says what is trusted.
    #[expect(unnameable_types, reason = "what nobody can name, nobody can implement")]
    pub trait Sealed {}
    impl Sealed for crate::trust::Demanded {}
    impl Sealed for crate::trust::Unverified {}
    impl Sealed for crate::trust::Verified {}
}
