//! How sessions of each trust come about, and where they wait for more mail.

use std::net::SocketAddr;

use mta_sts::{DemandedRoute, VerifiedRoute};
use tls_policy::{
    Admission, Demanded, Encrypted, EncryptedRoute, Matched, MatchedRoute, NamedRoute,
    SettledRoute, Trust, Unverified, Verified,
};

use super::effort::Effort;
use super::pass::Pass;
use crate::connection_cache::{ConnectionCache, ConnectionCaches};
use crate::failure::SessionFailure;
use crate::session::established::Session;
use crate::target::Target;

/// How sessions of one trust come about, and where they wait for more mail.
pub(super) trait Trusted: Trust<Route: Send, Licence: Sync> + Sized + 'static {
    /// Whether it is TLSA records that such a session needs TLS for.
    const IS_BOUND_BY_RECORDS: bool;

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
}

impl Trusted for Verified {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.verified
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (NamedRoute<VerifiedRoute>, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Demanded {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.demanded
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (NamedRoute<DemandedRoute>, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Unverified {
    const IS_BOUND_BY_RECORDS: bool = false;

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.open
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        admitted: (SettledRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.settled(effort, admitted, target, address).await
    }
}

impl Trusted for Matched {
    const IS_BOUND_BY_RECORDS: bool = true;

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.matched
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, admission): (MatchedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.verified(effort, (route, admission.start()), target, address).await
    }
}

impl Trusted for Encrypted {
    const IS_BOUND_BY_RECORDS: bool = true;

    fn cache(idle: &ConnectionCaches) -> &ConnectionCache<Self> {
        &idle.encrypted
    }

    async fn open(
        pass: &Pass<'_>,
        effort: &mut Effort,
        (route, _): (EncryptedRoute, &Admission<'_, Self>),
        target: &Target,
        address: SocketAddr,
    ) -> Result<Session<Self>, SessionFailure> {
        pass.encrypted(effort, route, target, address).await
    }
}
