//! What a connection is counted as (RFC 8460 §4.3): facts of a delivery in the words of a report.
//!
//! A connection counts once for each policy that applied to it, when EHLO has been answered under TLS
//! or nothing more can come; a session that is used again does not count again. Under a policy in
//! testing, and under one that an exception or the sender of the message sets aside, it is judged as
//! if the policy were enforced (RFC 8461 §5), and nobody acts on the judgement.
//!
//! No report counts what is sent to an address literal, by a route with a login or to a port for
//! submission, as a report itself (RFC 8460 §3), or while it cannot be told whether there is a policy.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use dns::LookupError;
use mta_sts::{
    CachedPolicy, CertificateFault, Decision, FetchError, FetchResultType, NextHop, OpenHost,
    Policy, WhyFallback,
};
use tls_policy::{HostNaming, Refusal, TlsStart, WhySkipped};
use tls_rpt::{
    DomainName, FailureDetail, FailureReason, Observation, ObservedPolicy, PolicyText, ResultType,
};

use crate::policy_facts::names;
use crate::target::{Target, host_name};
use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen, TlsaSeen};

/// The ports of submission, where no mail exchanger listens (RFC 8314 §3.3).
const SUBMISSION_PORTS: [u16; 2] = [465, 587];

/// What applies to the connections of a next hop, besides TLSA records.
enum Applied<'a> {
    /// No policy.
    None,
    /// An MTA-STS policy, whether it is enforced or not.
    Sts(&'a CachedPolicy),
    /// An MTA-STS policy that is published and was not to be had.
    StsMissing(&'a FetchError),
}

impl<'a> Applied<'a> {
    /// What applies by this decision.
    fn of(decision: &'a Decision) -> Self {
        let evidence = decision.evidence();
        let why = match decision {
            Decision::Require(required) => return Self::Sts(required.cached()),
            Decision::Permit(fallback) => fallback.why(),
        };
        match why {
            WhyFallback::Exception { .. }
            | WhyFallback::ModeTesting(_)
            | WhyFallback::TlsRequiredNo(_) => {
                evidence.policy.as_ref().map_or(Self::None, Self::Sts)
            }
            WhyFallback::NoPolicy => {
                evidence.fetch_error().map_or(Self::None, |error| Self::StsMissing(error))
            }
            WhyFallback::AddressLiteral
            | WhyFallback::ModeNone
            | WhyFallback::TlsReport
            | WhyFallback::UndecidedTooLong => Self::None,
        }
    }

    /// The policy as it is observed.
    fn observed(&self) -> ObservedPolicy {
        match self {
            Self::None => ObservedPolicy::None,
            Self::Sts(cached) => sts(cached),
            Self::StsMissing(error) => ObservedPolicy::StsMissing { text: invalid_text(error) },
        }
    }
}

/// Whether the policy that applies names a host; none that applies names all.
pub(crate) fn is_named(decision: &Decision, host: &OpenHost) -> bool {
    match Applied::of(decision) {
        Applied::Sts(cached) => names(cached.policy(), host),
        Applied::None | Applied::StsMissing(_) => true,
    }
}

/// A connection to a host that the policy names, or to any where there is no policy; none where it
/// says nothing of the host.
pub(crate) fn of_connection(
    decision: &Decision,
    target: &Target,
    seen: &TlsSeen,
) -> Option<Observation> {
    let applied = Applied::of(decision);
    let failure = match (&applied, seen.outcome) {
        // Records are a policy.
        (Applied::None, _) if seen.tlsa.is_some() => return None,
        // The policy is at fault, whatever the host does.
        (Applied::StsMissing(error), _) => Some(detail(of_fetch(error))),
        (Applied::None | Applied::Sts(_), TlsOutcome::Abandoned) => return None,
        (Applied::None | Applied::Sts(_), TlsOutcome::NoTls(fault))
        | (Applied::Sts(_), TlsOutcome::Tls(Err(fault))) => Some(at_host(fault, target, seen)),
        (Applied::None, TlsOutcome::Tls(_)) | (Applied::Sts(_), TlsOutcome::Tls(Ok(()))) => None,
    };
    let domain = reported(decision).filter(|_| is_reported(target));
    Some(Observation { domain, policy: applied.observed(), failure })
}

/// A connection to a host that has TLSA records, by those (RFC 7672 §2.2).
pub(crate) fn of_records(
    decision: &Decision,
    target: &Target,
    seen: &TlsSeen,
) -> Option<Observation> {
    let TlsaSeen { base_domain, records, outcome } = seen.tlsa.as_ref()?;
    let failure = match outcome {
        TlsOutcome::Abandoned => return None,
        TlsOutcome::NoTls(fault) | TlsOutcome::Tls(Err(fault)) => {
            Some(at_host(*fault, target, seen))
        }
        TlsOutcome::Tls(Ok(())) => None,
    };
    let base_domain = DomainName::parse(base_domain).ok()?;
    let policy = ObservedPolicy::Tlsa { base_domain, records: records.clone() };
    let domain = reported(decision).filter(|_| is_reported(target));
    Some(Observation { domain, policy, failure })
}

/// A host that is not connected to because the policy does not name it, because of its TLSA records, or
/// for lack of them; none where another rule refuses it (RFC 8460 §4.3.2).
pub(crate) fn of_refusal(
    decision: &Decision,
    target: &Target,
    refusal: &Refusal,
) -> Option<Observation> {
    let host = || target.name();
    let (base, result_type, reason) = match refusal {
        Refusal::NotNamed(_) => return Some(of_mismatch(decision, target)),
        Refusal::DaneRequired(_) => (host(), ResultType::DaneRequired, None),
        Refusal::Skipped(WhySkipped::Tlsa { base, source }) => {
            (base.to_string(), ResultType::DnssecInvalid, of_lookup(source))
        }
        // Without secure MX records the host may as well be one that has never heard of DNSSEC.
        Refusal::Skipped(WhySkipped::Addresses(source) | WhySkipped::Alias(source))
            if target.naming != HostNaming::Insecure =>
        {
            (host(), ResultType::DnssecInvalid, of_lookup(source))
        }
        Refusal::Skipped(WhySkipped::Unread { base, .. }) => {
            (base.to_string(), ResultType::TlsaInvalid, Some(FailureReason::TooLarge))
        }
        Refusal::Skipped(
            WhySkipped::Addresses(_)
            | WhySkipped::Alias(_)
            | WhySkipped::NoAddress
            | WhySkipped::NoValidator
            | WhySkipped::NotAHost(_)
            | WhySkipped::OutOfTime,
        )
        | Refusal::NoName(_)
        | Refusal::NotSecured
        | Refusal::OtherRecords => return None,
    };
    let failure = FailureDetail {
        receiving_mx_hostname: DomainName::parse(&host()).ok(),
        ..detail(TlsFault { result_type, reason })
    };
    let base_domain = DomainName::parse(&base).ok()?;
    let policy = ObservedPolicy::Tlsa { base_domain, records: Vec::new() };
    let domain = reported(decision).filter(|_| is_reported(target));
    Some(Observation { domain, policy, failure: Some(failure) })
}

/// Why addresses or TLSA records could not be looked up.
const fn of_lookup(error: &LookupError) -> Option<FailureReason> {
    match error {
        LookupError::Bogus => Some(FailureReason::Bogus),
        LookupError::ServFail { .. } => Some(FailureReason::Servfail),
        LookupError::TimedOut => Some(FailureReason::Timeout),
        LookupError::Malformed { .. } | LookupError::Other { .. } | LookupError::Refused { .. } => {
            None
        }
    }
}

/// A host that the policy does not name (RFC 8461 §4.1).
pub(crate) fn of_mismatch(decision: &Decision, target: &Target) -> Observation {
    let failure = FailureDetail {
        receiving_mx_hostname: DomainName::parse(&target.name()).ok(),
        ..detail(TlsFault::validation(FailureReason::MxNotInPolicy))
    };
    let policy = Applied::of(decision).observed();
    let domain = reported(decision).filter(|_| is_reported(target));
    Observation { domain, policy, failure: Some(failure) }
}

/// A policy that could not be refreshed and applies all the same; none where it asks for nothing and
/// is likely to vanish (RFC 8461 §8.3).
#[must_use]
pub fn of_failed_refresh(cached: &CachedPolicy, error: &FetchError) -> Option<Observation> {
    let policy = match cached.policy().mode() {
        mta_sts::Mode::Enforce | mta_sts::Mode::Testing => sts(cached),
        mta_sts::Mode::None => return None,
    };
    let domain = DomainName::parse(cached.domain().as_str()).ok();
    Some(Observation { domain, policy, failure: Some(detail(of_fetch(error))) })
}

/// The domain whose report counts what this decision was for.
fn reported(decision: &Decision) -> Option<DomainName> {
    let next_hop = match decision {
        Decision::Require(required) => return DomainName::parse(required.domain().as_str()).ok(),
        Decision::Permit(fallback) => match fallback.why() {
            WhyFallback::Exception { .. }
            | WhyFallback::ModeNone
            | WhyFallback::ModeTesting(_)
            | WhyFallback::NoPolicy
            | WhyFallback::TlsRequiredNo(_) => fallback.next_hop(),
            WhyFallback::AddressLiteral
            | WhyFallback::TlsReport
            | WhyFallback::UndecidedTooLong => return None,
        },
    };
    match next_hop {
        NextHop::Domain(domain) => DomainName::parse(domain.as_str()).ok(),
        NextHop::Literal(_) => None,
    }
}

/// Whether reports count connections to such a target: not those of submission.
fn is_reported(target: &Target) -> bool {
    target.requirement.login().is_none()
        && target.requirement.start() == TlsStart::Starttls
        && !SUBMISSION_PORTS.contains(&target.port)
}

/// A failure of which no host is to blame.
fn detail(fault: TlsFault) -> FailureDetail {
    let failure_reason_code = fault.reason;
    FailureDetail { failure_reason_code, ..FailureDetail::new(fault.result_type) }
}

/// A failure of a host.
fn at_host(fault: TlsFault, target: &Target, seen: &TlsSeen) -> FailureDetail {
    FailureDetail {
        sending_mta_ip: seen.ends.sending,
        receiving_mx_hostname: DomainName::parse(&host_name(&target.host)).ok(),
        receiving_mx_helo: seen.helo.clone(),
        receiving_ip: seen.ends.receiving.as_ref().map(SocketAddr::ip),
        ..detail(fault)
    }
}

/// Why a policy could not be fetched (RFC 8460 §4.3.2.2).
fn of_fetch(error: &FetchError) -> TlsFault {
    let result_type = match error.result_type() {
        FetchResultType::StsPolicyFetchError => ResultType::StsPolicyFetchError,
        FetchResultType::StsPolicyInvalid => ResultType::StsPolicyInvalid,
        FetchResultType::StsWebpkiInvalid => ResultType::StsWebpkiInvalid,
    };
    let reason = match error {
        FetchError::Certificate { fault, .. } => of_certificate(*fault),
        FetchError::Coding(_) => FailureReason::ContentCoding,
        FetchError::Connect { .. } => FailureReason::ConnectionFailed,
        FetchError::Http(_) => FailureReason::HttpProtocol,
        FetchError::MediaType(_) => FailureReason::MediaType,
        FetchError::Names(_) => FailureReason::Dns,
        FetchError::NoAddress => FailureReason::NoAddress,
        FetchError::NoName => FailureReason::NameNotProvable,
        FetchError::Policy { .. } => FailureReason::PolicySyntax,
        FetchError::PrivateAddress(_) => FailureReason::PrivateAddress,
        FetchError::Silent(_) | FetchError::TimedOut => FailureReason::Timeout,
        FetchError::Status(300..=399) => FailureReason::Redirect,
        FetchError::Status(status) => FailureReason::Http(*status),
        FetchError::Tls { .. } => FailureReason::TlsProtocol,
        FetchError::TooLarge => FailureReason::TooLarge,
    };
    TlsFault { result_type, reason: Some(reason) }
}

/// What the certificate of a policy host lacks.
const fn of_certificate(fault: CertificateFault) -> FailureReason {
    match fault {
        CertificateFault::Expired => FailureReason::Expired,
        CertificateFault::NotValidYet => FailureReason::NotValidYet,
        CertificateFault::OtherName => FailureReason::HostMismatch,
        CertificateFault::Revoked => FailureReason::Revoked,
        CertificateFault::UnknownIssuer => FailureReason::UnknownIssuer,
        CertificateFault::Other => FailureReason::InvalidCertificate,
    }
}

/// What came in the place of a policy and is none (RFC 8460 §4.5).
fn invalid_text(error: &FetchError) -> Option<Arc<str>> {
    match error {
        FetchError::Policy { text, .. } => Some(Arc::clone(text)),
        FetchError::Certificate { .. }
        | FetchError::Coding(_)
        | FetchError::Connect { .. }
        | FetchError::Http(_)
        | FetchError::MediaType(_)
        | FetchError::Names(_)
        | FetchError::NoAddress
        | FetchError::NoName
        | FetchError::PrivateAddress(_)
        | FetchError::Silent(_)
        | FetchError::Status(_)
        | FetchError::TimedOut
        | FetchError::Tls { .. }
        | FetchError::TooLarge => None,
    }
}

/// A policy that is cached.
fn sts(cached: &CachedPolicy) -> ObservedPolicy {
    let (policy, text) = (Arc::clone(cached.policy()), cached.text().cloned());
    ObservedPolicy::Sts(Arc::new(Quoted { policy, text }))
}

/// A policy that a report may quote.
#[derive(Debug)]
struct Quoted {
    policy: Arc<Policy>,
    /// As it was fetched.
    text: Option<Arc<str>>,
}

impl PolicyText for Quoted {
    fn mode(&self) -> &'static str {
        self.policy.mode().as_str()
    }

    fn text(&self) -> Cow<'_, str> {
        self.text.as_deref().map_or_else(|| self.policy.to_string().into(), Cow::from)
    }

    fn mx_patterns(&self) -> Vec<String> {
        self.policy.mx().iter().map(|pattern| pattern.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use mta_sts::OpenHost;
    use tls_policy::HostNaming;

    use super::*;
    use crate::target::TlsRequirement;

    #[test]
    fn hosts_at_ports_of_submission_are_in_no_report() {
        for (port, expected) in [(25, true), (2525, true), (465, false), (587, false)] {
            let target = Target {
                host: OpenHost::Literal([192, 0, 2, 1].into()),
                port,
                naming: HostNaming::Insecure,
                requirement: TlsRequirement::AsPolicy,
            };
            assert_eq!(is_reported(&target), expected, "{port}");
        }
    }
}
