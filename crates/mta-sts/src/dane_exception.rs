//! An operator's exception from the TLSA records of the hosts of a next hop.

use std::sync::Arc;

use crate::exception::Exception;

/// Licence to pass over what the TLSA records of the hosts of a next hop ask for: an exception that the
/// operator has made says so, and has not ended.
///
/// ```compile_fail,E0423
/// fn forge() -> mta_sts::danger::DaneException {
///     mta_sts::danger::DaneException(())
/// }
/// ```
///
/// ```
/// # use std::time::SystemTime;
/// # use mta_sts::{Policies, PolicyDomain, danger::DaneException};
/// fn ask(policies: &Policies, domain: &PolicyDomain, now: SystemTime) -> Option<DaneException> {
///     policies.lifts_dane(domain, now)
/// }
/// ```
#[derive(Debug)]
pub struct DaneException(Arc<Exception>);

impl DaneException {
    /// An exception is in force.
    pub(crate) const fn in_force(exception: Arc<Exception>) -> Self {
        Self(exception)
    }

    /// The exception.
    #[must_use]
    pub const fn exception(&self) -> &Arc<Exception> {
        &self.0
    }
}
