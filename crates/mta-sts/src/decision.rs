//! From a policy domain to a route: the only place that licenses sending unverified.
//!
//! Two families of values start here and never meet:
//!
//! ```text
//! decide - Require(RequiredTls) - admit(mx) -> VerifiedRoute  STARTTLS and a proven name, or nothing
//!        - Permit(Fallback)     - via(host) -> OpenRoute      whatever works
//!        - Err(Undecided)                                     nothing is sent
//! ```
//!
//! A mail client that lets itself be given a route, and not a host name, can forget nothing: it
//! cannot make an [`OpenRoute`] without a [`Fallback`], and an enforced policy yields none. None of
//! these values can be cloned or made elsewhere, so each stands for one attempt.
//!
//! Nothing is looked up here: [`Policies::decide`](crate::Policies::decide) finds the policy, and is
//! the only caller of the four functions that make a [`Decision`].

use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;

use crate::cache::CachedPolicy;
use crate::discovery::{NamesError, TxtAnswer};
use crate::evidence::Evidence;
use crate::excepted::{Accepted, ExceptedRoute};
use crate::exception::{Exception, ExceptionScope};
use crate::name::{MxHost, PolicyDomain};
use crate::policy::{Mode, Policy};
use crate::record::PolicyId;
use crate::tls_required_no::TlsRequiredNo;

/// Where mail is to go next.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum NextHop {
    /// The recipients' domain, or a configured smart host's (RFC 8461 §3.4).
    Domain(PolicyDomain),
    /// An address literal, with which no policy can be associated (RFC 8461 §3.4).
    Literal(IpAddr),
}

impl NextHop {
    /// The policy domain, where there can be one.
    #[must_use]
    pub const fn domain(&self) -> Option<&PolicyDomain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

/// What a policy makes of a delivery. It is for one attempt:
///
/// ```compile_fail,E0599
/// fn twice(decision: mta_sts::Decision) -> [mta_sts::Decision; 2] {
///     [decision.clone(), decision]
/// }
/// ```
///
/// ```
/// fn once(decision: mta_sts::Decision) -> [mta_sts::Decision; 1] {
///     [decision]
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Anything but an enforced policy.
    Permit(Fallback),
    /// `mode: enforce` (RFC 8461 §5).
    Require(RequiredTls),
}

/// Who sets an enforced policy aside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SetAside<'a> {
    /// The operator, for a domain.
    ByOperator(&'a Arc<Exception>),
    /// The sender, for one message.
    BySender(&'a TlsRequiredNo),
}

impl Decision {
    /// What the policy that was found asks for; only what is enforced can be set aside. Where it is not,
    /// `narrow` exceptions may let hosts pass that do not meet it.
    pub(crate) fn of_policy(
        domain: PolicyDomain,
        evidence: Evidence,
        aside: Option<SetAside<'_>>,
        narrow: Vec<Arc<Exception>>,
    ) -> Self {
        let policy = evidence.policy.as_ref();
        let why = match policy.map(|cached| (cached, cached.policy().mode())) {
            None => WhyFallback::NoPolicy,
            Some((_, Mode::None)) => WhyFallback::ModeNone,
            Some((cached, Mode::Testing)) => WhyFallback::ModeTesting(Arc::clone(cached.policy())),
            Some((cached, Mode::Enforce)) => match aside {
                Some(SetAside::ByOperator(exception)) => {
                    let exception = Arc::clone(exception);
                    WhyFallback::Exception { exception, policy: Arc::clone(cached.policy()) }
                }
                Some(SetAside::BySender(TlsRequiredNo { .. })) => {
                    WhyFallback::TlsRequiredNo(Arc::clone(cached.policy()))
                }
                None => {
                    let cached = cached.clone();
                    return Self::Require(RequiredTls { cached, evidence, narrow });
                }
            },
        };
        Self::permit(NextHop::Domain(domain), why, evidence)
    }

    /// A TLS-RPT report goes to `next_hop`, whatever its policy (RFC 8460 §5.3.1).
    pub(crate) fn of_report(next_hop: NextHop) -> Self {
        Self::permit(next_hop, WhyFallback::TlsReport, Evidence::default())
    }

    /// Mail for an address literal has no policy (RFC 8461 §3.4).
    pub(crate) fn of_literal(address: IpAddr) -> Self {
        let next_hop = NextHop::Literal(address);
        Self::permit(next_hop, WhyFallback::AddressLiteral, Evidence::default())
    }

    /// The DNS has failed like this for longer than the grace, and nothing is cached for `domain`.
    pub(crate) fn of_silence(domain: PolicyDomain, failure: NamesError) -> Self {
        let evidence = Evidence { txt: Some(TxtAnswer::Failed(failure)), ..Evidence::default() };
        Self::permit(NextHop::Domain(domain), WhyFallback::UndecidedTooLong, evidence)
    }

    const fn permit(next_hop: NextHop, why: WhyFallback, evidence: Evidence) -> Self {
        Self::Permit(Fallback { next_hop, why, evidence })
    }

    /// The policy domain; an address literal has none.
    #[must_use]
    pub const fn domain(&self) -> Option<&PolicyDomain> {
        match self {
            Self::Permit(fallback) => fallback.domain(),
            Self::Require(required) => Some(required.domain()),
        }
    }

    /// What was seen on the way here.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        match self {
            Self::Permit(fallback) => fallback.evidence(),
            Self::Require(required) => required.evidence(),
        }
    }
}

/// An enforced policy: mail may go only over sessions with proof (RFC 8461 §4 and §5).
#[derive(Debug)]
pub struct RequiredTls {
    cached: CachedPolicy,
    evidence: Evidence,
    /// The exceptions in force that are for a certificate or a host.
    narrow: Vec<Arc<Exception>>,
}

impl RequiredTls {
    /// Lets `mx` stand as a candidate, if the policy names it (RFC 8461 §4.1).
    ///
    /// # Errors
    ///
    /// [`MxMismatch`] where no `mx` of the policy names the host.
    pub fn admit(&self, mx: MxHost) -> Result<VerifiedRoute, MxMismatch> {
        let domain = self.domain().clone();
        if self.policy().admits(&mx) {
            let (policy, id) = (Arc::clone(self.policy()), self.id().clone());
            Ok(VerifiedRoute { domain, mx, policy, id })
        } else {
            Err(MxMismatch { domain, mx })
        }
    }

    /// Lets `mx` stand as a candidate by an operator's exceptions, if there are any for it: for a host
    /// that the policy names those of certificates, for another one that of the host.
    #[must_use]
    pub fn except(&self, mx: MxHost) -> Option<ExceptedRoute> {
        let is_of_certificate =
            |one: &&Arc<Exception>| matches!(one.scope(), ExceptionScope::Certificate(_));
        let is_of_host = |one: &&Arc<Exception>| matches!(one.scope(), ExceptionScope::Host(host) if *host == mx);
        let accepted = if self.policy().admits(&mx) {
            let certificates: Vec<_> =
                self.narrow.iter().filter(is_of_certificate).cloned().collect();
            if certificates.is_empty() {
                return None;
            }
            Accepted::Certificates(certificates)
        } else {
            Accepted::Host(Arc::clone(self.narrow.iter().find(is_of_host)?))
        };
        let (policy, id) = (Arc::clone(self.policy()), self.id().clone());
        Some(ExceptedRoute::by_exception((self.domain().clone(), mx), (policy, id), accepted))
    }

    /// Whether these exceptions are in force for this decision.
    #[must_use]
    pub fn still_excepts(&self, route: &ExceptedRoute) -> bool {
        route.exceptions().all(|one| self.narrow.contains(one))
    }

    /// The policy with all that is known of it.
    #[must_use]
    pub const fn cached(&self) -> &CachedPolicy {
        &self.cached
    }

    /// The policy domain.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        self.cached.domain()
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        self.cached.policy()
    }

    /// The policy's id.
    #[must_use]
    pub const fn id(&self) -> &PolicyId {
        self.cached.id()
    }

    /// What was seen on the way here.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// An MX host that an enforced policy does not name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the policy of {domain} does not name the host {mx}")]
pub struct MxMismatch {
    /// The policy domain.
    pub domain: PolicyDomain,
    /// The host.
    pub mx: MxHost,
}

/// Licence to send to one next hop without proof of the peer.
///
/// Nothing outside this module can make one:
///
/// ```compile_fail,E0451
/// # use mta_sts::{Evidence, Fallback, NextHop, WhyFallback};
/// fn forge(next_hop: NextHop, why: WhyFallback, evidence: Evidence) -> Fallback {
///     Fallback { next_hop, why, evidence }
/// }
/// ```
///
/// and what it holds can be read:
///
/// ```
/// # use mta_sts::{Evidence, Fallback, NextHop, WhyFallback};
/// fn read(fallback: &Fallback) -> (&NextHop, &WhyFallback, &Evidence) {
///     (fallback.next_hop(), fallback.why(), fallback.evidence())
/// }
/// ```
#[derive(Debug)]
pub struct Fallback {
    next_hop: NextHop,
    why: WhyFallback,
    evidence: Evidence,
}

impl Fallback {
    /// Any host will do.
    #[must_use]
    pub fn via(&self, host: OpenHost) -> OpenRoute {
        OpenRoute { next_hop: self.next_hop.clone(), host, why: self.why.clone() }
    }

    /// Where mail is to go.
    #[must_use]
    pub const fn next_hop(&self) -> &NextHop {
        &self.next_hop
    }

    /// The policy domain; an address literal has none.
    #[must_use]
    pub const fn domain(&self) -> Option<&PolicyDomain> {
        self.next_hop.domain()
    }

    /// Why nothing is enforced.
    #[must_use]
    pub const fn why(&self) -> &WhyFallback {
        &self.why
    }

    /// What was seen on the way here.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// Every reason there is for mail to leave unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WhyFallback {
    /// The mail is for an address literal (RFC 8461 §3.4).
    AddressLiteral,
    /// The operator has set the policy aside.
    Exception {
        /// Why and until when.
        exception: Arc<Exception>,
        /// The policy, so that it can be told what it would have made of a session.
        policy: Arc<Policy>,
    },
    /// The domain has withdrawn its policy (RFC 8461 §5).
    ModeNone,
    /// The policy only asks to be told of failures (RFC 8461 §5); it is here so that they can be
    /// found.
    ModeTesting(Arc<Policy>),
    /// No policy is published, or none could be fetched and none that applies is cached
    /// (RFC 8461 §3.3).
    NoPolicy,
    /// A TLS-RPT report has to arrive in spite of failures (RFC 8460 §5.3.1).
    TlsReport,
    /// The sender of the message wants it to arrive in spite of this enforced policy, and the operator
    /// honours that (RFC 8689 §3); the policy is here so that failures can be found.
    TlsRequiredNo(Arc<Policy>),
    /// The DNS has not said for longer than the grace whether there is a policy.
    UndecidedTooLong,
}

impl WhyFallback {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::AddressLiteral => "address-literal",
            Self::Exception { .. } => "exception",
            Self::ModeNone => "mode-none",
            Self::ModeTesting(_) => "mode-testing",
            Self::NoPolicy => "no-policy",
            Self::TlsReport => "tls-report",
            Self::TlsRequiredNo(_) => "tls-required-no",
            Self::UndecidedTooLong => "undecided-too-long",
        }
    }
}

/// A host to be reached with proof of its name, or not at all.
///
/// Only [`RequiredTls::admit`] makes one:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # use mta_sts::{MxHost, Policy, PolicyDomain, PolicyId, VerifiedRoute};
/// fn forge(domain: PolicyDomain, mx: MxHost, policy: Arc<Policy>, id: PolicyId) -> VerifiedRoute {
///     VerifiedRoute { domain, mx, policy, id }
/// }
/// ```
///
/// ```
/// # use mta_sts::{MxHost, RequiredTls, VerifiedRoute};
/// fn admit(required: &RequiredTls, mx: MxHost) -> Option<VerifiedRoute> {
///     required.admit(mx).ok()
/// }
/// ```
///
/// and it cannot be turned into a route that does with less:
///
/// ```compile_fail,E0308
/// fn weaken(route: mta_sts::VerifiedRoute) -> mta_sts::OpenRoute {
///     route
/// }
/// ```
///
/// ```
/// fn keep(route: mta_sts::VerifiedRoute) -> mta_sts::VerifiedRoute {
///     route
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedRoute {
    domain: PolicyDomain,
    mx: MxHost,
    policy: Arc<Policy>,
    id: PolicyId,
}

impl VerifiedRoute {
    /// The policy domain.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// The host, which is also the name to verify (RFC 8461 §4.2) and the SNI (RFC 8461 §7.1).
    #[must_use]
    pub const fn mx(&self) -> &MxHost {
        &self.mx
    }

    /// The policy that names the host.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The policy's id.
    #[must_use]
    pub const fn id(&self) -> &PolicyId {
        &self.id
    }
}

/// What an open route leads to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum OpenHost {
    /// The address of an address literal.
    Literal(IpAddr),
    /// An MX host.
    Name(MxHost),
}

/// A host to be reached by whatever works. Only [`Fallback::via`] makes one:
///
/// ```compile_fail,E0451
/// # use mta_sts::{NextHop, OpenHost, OpenRoute, WhyFallback};
/// fn forge(next_hop: NextHop, host: OpenHost, why: WhyFallback) -> OpenRoute {
///     OpenRoute { next_hop, host, why }
/// }
/// ```
///
/// ```
/// # use mta_sts::{Fallback, OpenHost, OpenRoute};
/// fn via(fallback: &Fallback, host: OpenHost) -> OpenRoute {
///     fallback.via(host)
/// }
/// ```
#[derive(Debug)]
pub struct OpenRoute {
    next_hop: NextHop,
    host: OpenHost,
    why: WhyFallback,
}

impl OpenRoute {
    /// Where mail is to go.
    #[must_use]
    pub const fn next_hop(&self) -> &NextHop {
        &self.next_hop
    }

    /// The policy domain; an address literal has none.
    #[must_use]
    pub const fn domain(&self) -> Option<&PolicyDomain> {
        self.next_hop.domain()
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &OpenHost {
        &self.host
    }

    /// Why nothing is enforced.
    #[must_use]
    pub const fn why(&self) -> &WhyFallback {
        &self.why
    }
}
