//! The table: what the session with one host needs before mail goes over it.
//!
//! | policy of the next hop | the route asks for | TLSA records | the host | what is needed |
//! |---|---|---|---|---|
//! | any | anything | cannot be told | anything | there is no session ([`Refusal::Skipped`]) |
//! | any | anything | none of use, and the operator demands some | anything | there is no session ([`Refusal::DaneRequired`]) |
//! | enforced | anything | any | a name that the policy lists | proof of that name ([`HostRequirement::Verified`]), and a match if records are of use |
//! | enforced | as the policy | any | the same, where an exception accepts certificates | the same, and if its certificate fails a certificate of the exception ([`HostRequirement::VerifiedOrExcepted`]) |
//! | enforced | as the policy | any | another name, which an exception accepts | proof of that name ([`HostRequirement::Excepted`]), and a match if records are of use |
//! | enforced | anything | any | another name | there is no session ([`Refusal::NotNamed`]) |
//! | enforced | anything | any | an address | there is no session ([`Refusal::NoName`]) |
//! | not enforced | proof | any | a name | proof of that name ([`HostRequirement::Demanded`]), and a match if records are of use |
//! | not enforced | proof | any | an address | there is no session ([`Refusal::NoName`]) |
//! | not enforced | as the policy | none of use, and the message asks for proof | a name that secure DNS or a policy in testing names | proof of that name ([`HostRequirement::Demanded`]) |
//! | not enforced | as the policy | the same | any other | there is no session ([`Refusal::NotSecured`]) |
//! | not enforced | as the policy | of use | a name | a match ([`HostRequirement::Matched`]) |
//! | not enforced | as the policy | none of use | a name | TLS ([`HostRequirement::Encrypted`]) |
//! | not enforced | as the policy | no DANE | anything | whatever works ([`HostRequirement::Open`]) |
//!
//! A message that says `TLS-Required: No`, which the operator honours, asks for less than the policy and
//! the records: [`mta_sts::WhyFallback::TlsRequiredNo`] says so of the one and
//! [`HostDane::set_aside`] of the other. What the route asks for stays.
//!
//! Exceptions for a certificate or a host are for nothing else than the policy: not for a route that asks
//! for proof, nor for a message that does.
//!
//! A policy is not enforced where there is none, where its mode is `none` or `testing`, and wherever
//! else [`mta_sts::WhyFallback`] has a reason: an exception is one. Those reasons are the policy's part
//! of the table, and are decided in `mta_sts` alone. Which TLSA records there are is the part of
//! [`DaneLookup`](crate::DaneLookup).
//!
//! A row may only add to what the rows above it ask for.

use mta_sts::{Decision, Fallback, MxMismatch, OpenHost, RequiredTls, WhyFallback};

use crate::dane_lookup::HostNaming;
use crate::dane_settings::DaneDemand;
use crate::host_dane::HostDane;
use crate::refusal::Refusal;
use crate::route::{TlsRequirement, TlsStart};
use crate::trust::{Demanded, Encrypted, Excepted, Matched, Trust, Unverified, Verified};

/// All that has a say about the session with one host.
#[derive(Debug)]
pub struct Inputs<'a, Login> {
    /// What the policy of the next hop makes of the delivery.
    pub decision: &'a Decision,
    /// What the route there asks for.
    pub route: &'a TlsRequirement<Login>,
    /// The host.
    pub host: &'a OpenHost,
    /// Which TLSA records apply to it.
    pub dane: &'a HostDane,
    /// Whether the operator demands some.
    pub demand: DaneDemand,
    /// What the message asks for.
    pub message: MessageDemand<'a>,
}

/// What a message asks of the session that it goes over (RFC 8689 §4.2.1).
#[derive(Clone, Copy, Debug)]
pub enum MessageDemand<'a> {
    /// Nothing.
    None,
    /// A host that has proved itself, and whose name is the destination's: it came to be known so.
    Proof(&'a HostNaming),
}

/// Whether an enforced policy names a host; any will do for another one. The table asks as well; who
/// asks first spares the lookup of its records.
///
/// # Errors
///
/// [`Refusal`] where the policy does not name it.
pub fn is_named(decision: &Decision, host: &OpenHost) -> Result<(), Refusal> {
    match (decision, host) {
        (Decision::Require(required), OpenHost::Name(mx))
            if !required.policy().admits(mx) && required.except(mx.clone()).is_none() =>
        {
            let (domain, mx) = (required.domain().clone(), mx.clone());
            Err(Refusal::NotNamed(MxMismatch { domain, mx }))
        }
        (Decision::Require(_), OpenHost::Literal(address)) => Err(Refusal::NoName(*address)),
        (Decision::Require(_), OpenHost::Name(_)) | (Decision::Permit(_), _) => Ok(()),
    }
}

/// What the session with one host needs, and the licence to begin it.
#[derive(Debug)]
pub enum HostRequirement<'a> {
    /// Proof of the host's name, because the operator demands it.
    Demanded(Admission<'a, Demanded>),
    /// TLS with whoever answers: the host has TLSA records, and none of use (RFC 7672 §2.2).
    Encrypted(Admission<'a, Encrypted>),
    /// Proof of the host's name, which the enforced policy does not list and an exception does.
    Excepted(Admission<'a, Excepted>),
    /// A match of the host's TLSA records (RFC 7672 §2.2).
    Matched(Admission<'a, Matched>),
    /// Nothing: TLS with whoever answers if it is to be had, or none.
    Open(Admission<'a, Unverified>),
    /// Proof of the host's name, which the enforced policy lists (RFC 8461 §4).
    Verified(Admission<'a, Verified>),
    /// The same; and where the host's certificate does not prove it, the certificate of an exception.
    VerifiedOrExcepted(Admission<'a, Verified>, Admission<'a, Excepted>),
}

impl<'a, Login> Inputs<'a, Login> {
    /// Looks into the table.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where mail may not go to the host at all.
    pub fn requirement(&self) -> Result<HostRequirement<'a>, Refusal> {
        self.told()?;
        match (self.decision, self.route) {
            (Decision::Require(required), _) => self.enforced(required),
            (Decision::Permit(fallback), TlsRequirement::Proven { .. }) => {
                self.admit(fallback).map(HostRequirement::Demanded)
            }
            (Decision::Permit(fallback), TlsRequirement::AsPolicy) => match self.dane {
                _ if !self.is_secured(fallback) => Err(Refusal::NotSecured),
                HostDane::Dane(_) => self.admit(fallback).map(HostRequirement::Matched),
                HostDane::EncryptOnly(_) | HostDane::NoDane(_) if self.wants_proof() => {
                    self.admit(fallback).map(HostRequirement::Demanded)
                }
                HostDane::EncryptOnly(_) => self.admit(fallback).map(HostRequirement::Encrypted),
                HostDane::NoDane(_) => self.admit(fallback).map(HostRequirement::Open),
                HostDane::Skipped(why) => Err(Refusal::Skipped(why.clone())),
            },
        }
    }

    /// Whether the records are known, and there are some if there have to be (RFC 7672 §2.1.2, §6).
    fn told(&self) -> Result<(), Refusal> {
        match (self.dane, self.demand) {
            (HostDane::Skipped(why), _) => Err(Refusal::Skipped(why.clone())),
            (HostDane::NoDane(no_dane), DaneDemand::Required) if no_dane.why().is_exempt() => {
                Ok(())
            }
            (HostDane::EncryptOnly(_) | HostDane::NoDane(_), DaneDemand::Required) => {
                Err(Refusal::DaneRequired(self.dane.in_words()))
            }
            (HostDane::Dane(_), _)
            | (HostDane::EncryptOnly(_) | HostDane::NoDane(_), DaneDemand::None) => Ok(()),
        }
    }

    /// What an enforced policy asks for, and what its exceptions let pass.
    fn enforced(&self, required: &'a RequiredTls) -> Result<HostRequirement<'a>, Refusal> {
        let verified = self.admit::<Verified>(required);
        let excepted = match (self.route, self.message) {
            (TlsRequirement::AsPolicy, MessageDemand::None) => {
                self.admit::<Excepted>(required).ok()
            }
            (TlsRequirement::Proven { .. }, _)
            | (TlsRequirement::AsPolicy, MessageDemand::Proof(_)) => None,
        };
        match (verified, excepted) {
            (Ok(verified), None) => Ok(HostRequirement::Verified(verified)),
            (Ok(verified), Some(excepted)) => {
                Ok(HostRequirement::VerifiedOrExcepted(verified, excepted))
            }
            (Err(Refusal::NotNamed(_)), Some(excepted)) => Ok(HostRequirement::Excepted(excepted)),
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Whether the message asks for proof.
    const fn wants_proof(&self) -> bool {
        match self.message {
            MessageDemand::None => false,
            MessageDemand::Proof(_) => true,
        }
    }

    /// Whether the host's name is secured as the message asks for: by the DNS, or by a policy, which
    /// may be in testing.
    fn is_secured(&self, fallback: &Fallback) -> bool {
        match (self.message, self.host, fallback.why()) {
            (MessageDemand::None, _, _) | (MessageDemand::Proof(HostNaming::Secure(_)), _, _) => {
                true
            }
            (
                MessageDemand::Proof(HostNaming::Insecure),
                OpenHost::Name(mx),
                WhyFallback::ModeTesting(policy),
            ) => policy.admits(mx),
            (MessageDemand::Proof(HostNaming::Insecure), _, _) => false,
        }
    }

    /// Licence to connect to the host, where a route leads there.
    fn admit<T: Trust>(&self, licence: &'a T::Licence) -> Result<Admission<'a, T>, Refusal> {
        let (host, dane, start) = (self.host, self.dane, self.route.start());
        let admission = Admission { licence, host, dane, start };
        admission.route().map(|_route| admission)
    }
}

/// Licence to connect to one host, from the table alone:
///
/// ```compile_fail,E0451
/// # use mta_sts::{Fallback, OpenHost};
/// # use tls_policy::{Admission, HostDane, TlsStart, Unverified};
/// fn forge<'a>(
///     licence: &'a Fallback,
///     host: &'a OpenHost,
///     dane: &'a HostDane,
/// ) -> Admission<'a, Unverified> {
///     Admission { licence, host, dane, start: TlsStart::Starttls }
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
/// A host that has to prove its name is not reached without proof, and one that has to match its
/// records not without a match:
///
/// ```compile_fail,E0308
/// # use tls_policy::{Admission, Demanded, SettledRoute};
/// fn weaken(admission: &Admission<'_, Demanded>) -> Option<SettledRoute> {
///     admission.route().ok()
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use tls_policy::{Admission, Matched, SettledRoute};
/// fn weaken(admission: &Admission<'_, Matched>) -> Option<SettledRoute> {
///     admission.route().ok()
/// }
/// ```
///
/// ```
/// # use tls_policy::{Admission, Matched, MatchedRoute};
/// fn keep(admission: &Admission<'_, Matched>) -> Option<MatchedRoute> {
///     admission.route().ok()
/// }
/// ```
#[derive(Debug)]
pub struct Admission<'a, T: Trust> {
    licence: &'a T::Licence,
    host: &'a OpenHost,
    dane: &'a HostDane,
    start: TlsStart,
}

impl<'a, T: Trust> Admission<'a, T> {
    /// The route of one connection; each needs its own.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where none leads to the host; the table has asked before.
    pub fn route(&self) -> Result<T::Route, Refusal> {
        T::route(self.licence, self.host, self.dane)
    }

    /// Whether a session made along `route` may take this mail: under the same policy, and under the
    /// same TLSA records.
    #[must_use]
    pub fn covers(&self, route: &T::Route) -> bool {
        T::covers(route, self.licence) && T::is_under(route, self.dane)
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
