//! What an attempt is reported as (RFC 8460).
//!
//! Every handshake makes one [`Observation`], and so do all hosts of an attempt together that the
//! policy does not name.
//! Under a policy in testing the session is judged as if it were enforced (RFC 8461 §5), and
//! nobody acts on the judgement.

use std::sync::Arc;

use mta_sts::{
    DemandedRoute, Evidence, FetchResultType, NextHop, OpenHost, OpenRoute, Policy, PolicyDomain,
    RequiredTls, VerifiedRoute, WhyFallback,
};
use tls_rpt::{
    Observation, ObservedPolicy, PolicyText, PolicyType, ResultType, Verdict as Judgement,
};

use crate::endpoints::Endpoints;
use crate::failure::TlsFailure;
use crate::target::host_name;
use crate::tls::danger::Verdict;
use crate::tls::handshake_failure::result_type;

/// What was seen of TLS on an open route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// There is none.
    NoTls(&'a TlsFailure),
    /// There is, and a verifying client would have said this.
    Tls(&'a Verdict),
}

/// A session that had to be verified.
pub(crate) fn of_verified(
    route: &VerifiedRoute,
    ends: Endpoints,
    outcome: Result<(), &TlsFailure>,
) -> Observation {
    Observation {
        policy: sts(route.domain(), route.policy()),
        receiving_mx: Some(route.mx().as_str().to_owned()),
        receiving_ip: ends.receiving.map(|address| address.ip()),
        sending_ip: ends.sending,
        verdict: outcome.map_or_else(failed, |()| Judgement::Success),
        attempts: 1,
    }
}

/// A session that could not have failed for lack of proof.
pub(crate) fn of_open(route: &OpenRoute, ends: Endpoints, seen: Seen<'_>) -> Observation {
    permitted((route.next_hop(), route.why()), route.host(), ends, seen)
}

/// A session that had to be verified although no policy is enforced.
pub(crate) fn of_demanded(
    route: &DemandedRoute,
    ends: Endpoints,
    outcome: Result<(), &TlsFailure>,
) -> Observation {
    let seen = outcome.map_or_else(Seen::NoTls, |()| Seen::Tls(&Verdict::Valid));
    let host = OpenHost::Name(route.host().clone());
    permitted((route.next_hop(), route.why()), &host, ends, seen)
}

/// A session of a next hop whose policy asks for nothing, for this reason.
fn permitted(
    (next_hop, why): (&NextHop, &WhyFallback),
    to: &OpenHost,
    ends: Endpoints,
    seen: Seen<'_>,
) -> Observation {
    let (policy, verdict) = match why {
        WhyFallback::ModeTesting(policy) => {
            let of_domain = |domain| sts(domain, policy);
            let observed = next_hop.domain().map_or_else(|| none(next_hop), of_domain);
            (observed, tested(policy, to, seen))
        }
        WhyFallback::AddressLiteral
        | WhyFallback::Exception { .. }
        | WhyFallback::ModeNone
        | WhyFallback::NoPolicy
        | WhyFallback::TlsReport
        | WhyFallback::UndecidedTooLong => {
            let verdict = match seen {
                Seen::NoTls(failure) => failed(failure),
                Seen::Tls(_) => Judgement::Success,
            };
            (none(next_hop), verdict)
        }
    };
    Observation {
        policy,
        receiving_mx: Some(host_name(to)),
        receiving_ip: ends.receiving.map(|address| address.ip()),
        sending_ip: ends.sending,
        verdict,
        attempts: 1,
    }
}

/// Hosts of one attempt that are passed over because the enforced policy does not name them: how
/// many, and the first. One observation for all: a domain can have any number of MX records.
pub(crate) fn of_mismatches(required: &RequiredTls, first: &str, hosts: u32) -> Observation {
    Observation {
        policy: sts(required.domain(), required.policy()),
        receiving_mx: Some(first.to_owned()),
        receiving_ip: None,
        sending_ip: None,
        verdict: not_named(),
        attempts: hosts,
    }
}

/// A policy that is published and could not be had (RFC 8460 §4.3.2.2).
pub(crate) fn of_fetch(domain: &PolicyDomain, evidence: &Evidence) -> Option<Observation> {
    let error = evidence.fetch_error()?;
    let result_type = match error.result_type() {
        FetchResultType::StsPolicyFetchError => ResultType::StsPolicyFetchError,
        FetchResultType::StsPolicyInvalid => ResultType::StsPolicyInvalid,
        FetchResultType::StsWebpkiInvalid => ResultType::StsWebpkiInvalid,
    };
    Some(Observation {
        policy: ObservedPolicy {
            domain: domain.as_str().to_owned(),
            policy_type: PolicyType::Sts,
            text: None,
        },
        receiving_mx: None,
        receiving_ip: None,
        sending_ip: None,
        verdict: Judgement::Failure { result_type, reason: Some(error.to_string()) },
        attempts: 1,
    })
}

/// What an enforced policy would have made of the session.
fn tested(policy: &Policy, to: &OpenHost, seen: Seen<'_>) -> Judgement {
    let named = match to {
        OpenHost::Name(mx) => policy.admits(mx),
        OpenHost::Literal(_) => false,
    };
    if !named {
        return not_named();
    }
    match seen {
        Seen::NoTls(failure) => failed(failure),
        Seen::Tls(Verdict::Valid) => Judgement::Success,
        Seen::Tls(Verdict::Invalid(error)) => Judgement::Failure {
            result_type: result_type(error.error()),
            reason: Some(error.to_string()),
        },
        Seen::Tls(Verdict::Unknown) => Judgement::Failure {
            result_type: ResultType::ValidationFailure,
            reason: Some("no certificate was shown".to_owned()),
        },
    }
}

fn failed(failure: &TlsFailure) -> Judgement {
    Judgement::Failure { result_type: failure.result_type(), reason: Some(failure.to_string()) }
}

/// RFC 8460 has no name for it.
fn not_named() -> Judgement {
    Judgement::Failure {
        result_type: ResultType::ValidationFailure,
        reason: Some("the policy does not name the MX host".to_owned()),
    }
}

fn sts(domain: &PolicyDomain, policy: &Arc<Policy>) -> ObservedPolicy {
    ObservedPolicy {
        domain: domain.as_str().to_owned(),
        policy_type: PolicyType::Sts,
        text: Some(Arc::new(Quoted(Arc::clone(policy)))),
    }
}

/// A policy that a report may quote.
#[derive(Debug)]
struct Quoted(Arc<Policy>);

impl PolicyText for Quoted {
    fn mode(&self) -> &'static str {
        self.0.mode().as_str()
    }

    fn strings(&self) -> Vec<String> {
        self.0.to_string().lines().map(str::to_owned).collect()
    }

    fn mx_patterns(&self) -> Vec<String> {
        self.0.mx().iter().map(|pattern| pattern.as_str().to_owned()).collect()
    }
}

fn none(next_hop: &NextHop) -> ObservedPolicy {
    ObservedPolicy {
        domain: match next_hop {
            NextHop::Domain(domain) => domain.as_str().to_owned(),
            NextHop::Literal(address) => address.to_string(),
        },
        policy_type: PolicyType::NoPolicyFound,
        text: None,
    }
}
