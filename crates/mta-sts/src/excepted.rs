//! Routes that an operator's exception opens to a host which does not meet an enforced policy.
//!
//! The reasons: `docs/decisions/0030-narrow-exceptions.md`.

use std::sync::Arc;

use crate::exception::Exception;
use crate::name::{MxHost, PolicyDomain};
use crate::policy::Policy;
use crate::record::PolicyId;

/// A host to be reached although it does not meet an enforced policy, because an operator's exception for
/// its certificate, or for the host, lets it pass; and with what proof is left.
///
/// Only [`RequiredTls::except`](crate::RequiredTls::except) makes one:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # use mta_sts::{MxHost, Policy, PolicyDomain, PolicyId, danger::{Accepted, ExceptedRoute}};
/// fn forge(
///     domain: PolicyDomain,
///     mx: MxHost,
///     policy: Arc<Policy>,
///     id: PolicyId,
///     accepted: Accepted,
/// ) -> ExceptedRoute {
///     ExceptedRoute { domain, mx, policy, id, accepted }
/// }
/// ```
///
/// ```
/// # use mta_sts::{MxHost, RequiredTls, danger::ExceptedRoute};
/// fn except(required: &RequiredTls, mx: MxHost) -> Option<ExceptedRoute> {
///     required.except(mx)
/// }
/// ```
///
/// It is none that is proved as the policy asks, and cannot be turned into one that asks for nothing:
///
/// ```compile_fail,E0308
/// fn pass_for_verified(route: mta_sts::danger::ExceptedRoute) -> mta_sts::VerifiedRoute {
///     route
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn weaken(route: mta_sts::danger::ExceptedRoute) -> mta_sts::OpenRoute {
///     route
/// }
/// ```
///
/// ```
/// fn keep(route: mta_sts::danger::ExceptedRoute) -> mta_sts::danger::ExceptedRoute {
///     route
/// }
/// ```
#[derive(Debug)]
pub struct ExceptedRoute {
    domain: PolicyDomain,
    mx: MxHost,
    policy: Arc<Policy>,
    id: PolicyId,
    accepted: Accepted,
}

/// What lets a host pass that does not meet the policy.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It has to show one of these certificates, whatever their names, issuers and dates, and to have its
    /// key; there is one at least.
    Certificates(Vec<Arc<Exception>>),
    /// It has to prove its name, which the policy does not name.
    Host(Arc<Exception>),
}

impl ExceptedRoute {
    /// A route that exceptions open.
    pub(crate) fn by_exception(
        (domain, mx): (PolicyDomain, MxHost),
        (policy, id): (Arc<Policy>, PolicyId),
        accepted: Accepted,
    ) -> Self {
        Self { domain, mx, policy, id, accepted }
    }

    /// The policy domain.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// The host, which is also the name for SNI.
    #[must_use]
    pub const fn mx(&self) -> &MxHost {
        &self.mx
    }

    /// The policy that the host does not meet.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The policy's id.
    #[must_use]
    pub const fn id(&self) -> &PolicyId {
        &self.id
    }

    /// What lets the host pass.
    #[must_use]
    pub const fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// The exceptions by which it does.
    pub fn exceptions(&self) -> impl Iterator<Item = &Arc<Exception>> {
        match &self.accepted {
            Accepted::Certificates(exceptions) => exceptions.iter(),
            Accepted::Host(exception) => std::slice::from_ref(exception).iter(),
        }
    }
}
