//! The table: what the session with one host needs before mail goes over it.
//!
//! | policy of the next hop | the route asks for | the host | what is needed |
//! |---|---|---|---|
//! | enforced | anything | a name that the policy lists | proof of that name ([`HostRequirement::Verified`]) |
//! | enforced | anything | another name | there is no session ([`Refusal::NotNamed`]) |
//! | enforced | anything | an address | there is no session ([`Refusal::NoName`]) |
//! | not enforced | proof | a name | proof of that name ([`HostRequirement::Demanded`]) |
//! | not enforced | proof | an address | there is no session ([`Refusal::NoName`]) |
//! | not enforced | as the policy | anything | whatever works ([`HostRequirement::Open`]) |
//!
//! A policy is not enforced where there is none, where its mode is `none` or `testing`, and wherever
//! else [`mta_sts::WhyFallback`] has a reason: an exception is one. Those reasons are the policy's part
//! of the table, and are decided in `mta_sts` alone.
//!
//! What else will have a say becomes another field of [`Inputs`] and further rows: what the DNS
//! vouches for and the TLSA records behind it (RFC 7672 §2), and what the message itself asks for
//! (RFC 8689 §3 and §4). A row may only add to what the rows above it ask for.

use mta_sts::{Decision, OpenHost};

use crate::refusal::Refusal;
use crate::route::{TlsRequirement, TlsStart};
use crate::trust::{Demanded, Trust, Unverified, Verified};

/// All that has a say about the session with one host.
#[derive(Debug)]
pub struct Inputs<'a, Login> {
    /// What the policy of the next hop makes of the delivery.
    pub decision: &'a Decision,
    /// What the route there asks for.
    pub route: &'a TlsRequirement<Login>,
    /// The host.
    pub host: &'a OpenHost,
}

/// What the session with one host needs, and the licence to begin it.
#[derive(Debug)]
pub enum HostRequirement<'a> {
    /// Proof of the host's name, because the operator demands it.
    Demanded(Admission<'a, Demanded>),
    /// Nothing: TLS with whoever answers if it is to be had, or none.
    Open(Admission<'a, Unverified>),
    /// Proof of the host's name, which the enforced policy lists (RFC 8461 §4).
    Verified(Admission<'a, Verified>),
}

impl<'a, Login> Inputs<'a, Login> {
    /// Looks into the table.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where mail may not go to the host at all.
    pub fn requirement(&self) -> Result<HostRequirement<'a>, Refusal> {
        let (host, start) = (self.host, self.route.start());
        match (self.decision, self.route) {
            (Decision::Require(required), _) => {
                Admission::new(required, host, start).map(HostRequirement::Verified)
            }
            (Decision::Permit(fallback), TlsRequirement::Proven { .. }) => {
                Admission::new(fallback, host, start).map(HostRequirement::Demanded)
            }
            (Decision::Permit(fallback), TlsRequirement::AsPolicy) => {
                Admission::new(fallback, host, start).map(HostRequirement::Open)
            }
        }
    }
}

/// Licence to connect to one host, from the table alone:
///
/// ```compile_fail,E0451
/// # use mta_sts::{Fallback, OpenHost};
/// # use tls_policy::{Admission, TlsStart, Unverified};
/// fn forge<'a>(licence: &'a Fallback, host: &'a OpenHost) -> Admission<'a, Unverified> {
///     Admission { licence, host, start: TlsStart::Starttls }
/// }
/// ```
///
/// ```
/// # use mta_sts::Fallback;
/// # use tls_policy::{Admission, Unverified};
/// fn read<'a>(admission: &Admission<'a, Unverified>) -> &'a Fallback {
///     admission.licence()
/// }
/// ```
///
/// A host that has to prove its name is not reached without proof:
///
/// ```compile_fail,E0308
/// # use mta_sts::OpenRoute;
/// # use tls_policy::{Admission, Demanded};
/// fn weaken(admission: &Admission<'_, Demanded>) -> Option<OpenRoute> {
///     admission.route().ok()
/// }
/// ```
///
/// ```
/// # use mta_sts::DemandedRoute;
/// # use tls_policy::{Admission, Demanded};
/// fn keep(admission: &Admission<'_, Demanded>) -> Option<DemandedRoute> {
///     admission.route().ok()
/// }
/// ```
#[derive(Debug)]
pub struct Admission<'a, T: Trust> {
    licence: &'a T::Licence,
    host: &'a OpenHost,
    start: TlsStart,
}

impl<'a, T: Trust> Admission<'a, T> {
    /// Licence to connect to `host`, where a route leads there.
    fn new(licence: &'a T::Licence, host: &'a OpenHost, start: TlsStart) -> Result<Self, Refusal> {
        let admission = Self { licence, host, start };
        admission.route().map(|_route| admission)
    }

    /// The route of one connection; each needs its own.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where none leads to the host; the table has asked before.
    pub fn route(&self) -> Result<T::Route, Refusal> {
        T::route(self.licence, self.host)
    }

    /// The licence to send over the session.
    #[must_use]
    pub const fn licence(&self) -> &'a T::Licence {
        self.licence
    }

    /// How TLS begins.
    #[must_use]
    pub const fn start(&self) -> TlsStart {
        self.start
    }
}
