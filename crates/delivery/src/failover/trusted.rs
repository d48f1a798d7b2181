//! How sessions of each trust come about, and where they wait for more mail.

use std::net::SocketAddr;

use mail::{Proof, Protection};
use mta_sts::{DemandedRoute, OpenRoute, VerifiedRoute};
use tls_policy::{Admission, Demanded, Trust, Unverified, Verified};

use super::effort::Effort;
use super::pass::Pass;
use crate::connection_cache::{ConnectionCache, ConnectionCaches};
use crate::failure::SessionFailure;
use crate::session::established::Session;
use crate::target::Target;

/// How sessions of one trust come about, and where they wait for more mail.
pub(super) trait Trusted: Trust<Route: Send, Licence: Sync> + Sized + 'static {
    /// Where those are kept that nobody sends over.
    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self>;

    /// A new one with `hop`, at this address.
    fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        admitted: (Self::Route, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Session<Self>, SessionFailure>> + Send;

    /// What mail on it is protected by.
    fn protection(session: &Session<Self>) -> Protection;
}

impl Trusted for Verified {
    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.verified
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (VerifiedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }

    fn protection(_session: &Session<Self>) -> Protection {
        Protection::Verified
    }
}

impl Trusted for Demanded {
    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.demanded
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (DemandedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }

    fn protection(_session: &Session<Self>) -> Protection {
        Protection::Verified
    }
}

impl Trusted for Unverified {
    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.open
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        admitted: (OpenRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.settled(effort, admitted, target, address).await
    }

    fn protection(session: &Session<Self>) -> Protection {
        Protection::of(Proof::None, session.channel())
    }
}
