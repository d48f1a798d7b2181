//! Routes that ask for proof: an enforced policy's, those of which the operator or the message demands
//! it, and those to hosts with TLSA records.

use std::sync::Arc;

use dane::Association;
use mta_sts::danger::{Accepted, ExceptedRoute};
use mta_sts::{DemandedRoute, Exception, VerifiedRoute};
use tls_policy::{
    Demanded, Excepted, HostRecords, Matched, MatchedRoute, NamedRoute, Trust, Verified,
};

/// A route whose host has to prove who it is. There are four, and nothing outside can add one.
pub trait Strict: sealed::Sealed {
    /// What a session along it is worth.
    type Trust: Trust<Route = Self>;

    /// What the peer has to prove.
    fn demand(&self) -> PeerDemand<'_>;

    /// The TLSA records that the host has, those of no use as well.
    fn records(&self) -> Option<HostRecords>;
}

/// What a peer has to prove.
#[derive(Clone, Copy, Debug)]
pub enum PeerDemand<'a> {
    /// That it has a certificate which one of these exceptions accepts; and what the host's TLSA records
    /// ask for beside it, if it has any of use.
    Certificate(&'a [Arc<Exception>], Option<RecordsBeside<'a>>),
    /// The host's name, by public authorities (RFC 8461 §4.2).
    Name,
    /// That name, and a match of the host's TLSA records beside it.
    NameAndRecords(&'a Arc<Association>),
    /// That name. What the host's TLSA records make of it is noted, and nobody acts on that.
    NameNotingRecords(&'a Arc<Association>),
    /// A match of the host's TLSA records (RFC 7672 §2.2).
    Records(&'a Arc<Association>),
}

/// The TLSA records of use of a host that has to prove something else.
#[derive(Clone, Copy, Debug)]
pub enum RecordsBeside<'a> {
    /// They are set aside: what they make of the peer is noted.
    Noted(&'a Arc<Association>),
    /// The peer has to match them as well.
    Required(&'a Arc<Association>),
}

impl<'a> RecordsBeside<'a> {
    /// Those of the host of a route; none where none is of use.
    fn of<R>(route: &'a NamedRoute<R>) -> Option<Self> {
        let noted = || route.noted().and_then(HostRecords::usable).map(Self::Noted);
        route.association().map(Self::Required).or_else(noted)
    }

    /// The records.
    pub(crate) const fn association(self) -> &'a Arc<Association> {
        match self {
            Self::Noted(association) | Self::Required(association) => association,
        }
    }
}

/// What a route asks for by which a name has to be proved.
fn named<R>(route: &NamedRoute<R>) -> PeerDemand<'_> {
    match RecordsBeside::of(route) {
        None => PeerDemand::Name,
        Some(RecordsBeside::Noted(association)) => PeerDemand::NameNotingRecords(association),
        Some(RecordsBeside::Required(association)) => PeerDemand::NameAndRecords(association),
    }
}

/// The records of the host of such a route, those that are set aside as well.
fn records_beside<R>(route: &NamedRoute<R>) -> Option<HostRecords> {
    let usable = route.association().cloned().map(HostRecords::Usable);
    usable
        .or_else(|| route.unusable().cloned().map(HostRecords::Unusable))
        .or_else(|| route.noted().cloned())
}

impl Strict for NamedRoute<VerifiedRoute> {
    type Trust = Verified;

    fn demand(&self) -> PeerDemand<'_> {
        named(self)
    }

    fn records(&self) -> Option<HostRecords> {
        records_beside(self)
    }
}

impl Strict for NamedRoute<DemandedRoute> {
    type Trust = Demanded;

    fn demand(&self) -> PeerDemand<'_> {
        named(self)
    }

    fn records(&self) -> Option<HostRecords> {
        records_beside(self)
    }
}

impl Strict for NamedRoute<ExceptedRoute> {
    type Trust = Excepted;

    fn demand(&self) -> PeerDemand<'_> {
        match self.route().accepted() {
            Accepted::Certificates(exceptions) => {
                PeerDemand::Certificate(exceptions, RecordsBeside::of(self))
            }
            Accepted::Host(_) => named(self),
        }
    }

    fn records(&self) -> Option<HostRecords> {
        records_beside(self)
    }
}

impl Strict for MatchedRoute {
    type Trust = Matched;

    fn demand(&self) -> PeerDemand<'_> {
        PeerDemand::Records(self.association())
    }

    fn records(&self) -> Option<HostRecords> {
        Some(HostRecords::Usable(Arc::clone(self.association())))
    }
}

mod sealed {
    use mta_sts::danger::ExceptedRoute;
    use mta_sts::{DemandedRoute, VerifiedRoute};
    use tls_policy::{MatchedRoute, NamedRoute};

    /// Keeps the trait to this file.
    #[expect(unnameable_types, reason = "whoever can name it can add a route")]
    pub trait Sealed {}

    impl Sealed for NamedRoute<VerifiedRoute> {}
    impl Sealed for NamedRoute<DemandedRoute> {}
    impl Sealed for NamedRoute<ExceptedRoute> {}
    impl Sealed for MatchedRoute {}
}
