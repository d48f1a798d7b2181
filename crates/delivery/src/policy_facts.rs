//! From a decision to what is recorded of it.

use std::sync::Arc;

use mail::{
    CertificateVerdict, Channel, ExceptedScope, ExceptionRecord, MtaStsVerdict, PolicyDecision,
    PolicyMode, PolicySource, PolicyVersion, Proof, TxtSeen, WhyClear, WhyPermitted, WhyUndecided,
};
use mta_sts::{
    CachedPolicy, Decision, Exception, ExceptionOrigin, ExceptionScope, Mode, OpenHost, Policy,
    TxtAnswer, Undecided, WhyFallback,
};
use tls_rpt::ResultType;

/// What a policy asked for.
pub(crate) fn of_decision(decision: &Decision) -> PolicyDecision {
    match decision {
        Decision::Require(required) => PolicyDecision::Enforced(version(required.cached())),
        Decision::Permit(fallback) => {
            let policy = fallback.evidence().policy.as_ref().map(version);
            PolicyDecision::Permitted { policy, why: why(fallback.why()) }
        }
    }
}

/// The exception that sets the policy aside, if one does.
pub(crate) fn of_exception(decision: &Decision) -> Option<ExceptionRecord> {
    match decision {
        Decision::Require(_) => None,
        Decision::Permit(fallback) => match fallback.why() {
            WhyFallback::Exception { exception, .. } => Some(recorded(exception)),
            WhyFallback::AddressLiteral
            | WhyFallback::ModeNone
            | WhyFallback::ModeTesting(_)
            | WhyFallback::NoPolicy
            | WhyFallback::TlsReport
            | WhyFallback::TlsRequiredNo(_)
            | WhyFallback::UndecidedTooLong => None,
        },
    }
}

/// An exception as it is recorded.
pub(crate) fn recorded(exception: &Exception) -> ExceptionRecord {
    ExceptionRecord {
        id: exception.id(),
        scope: match exception.scope() {
            ExceptionScope::Certificate(digest) => ExceptedScope::Certificate(*digest.as_bytes()),
            ExceptionScope::Host(mx) => ExceptedScope::Host(mx.as_str().to_owned()),
            ExceptionScope::Domain(_) => ExceptedScope::Domain,
        },
        by: match exception.origin() {
            ExceptionOrigin::Granted { by, .. } => Some(by.clone()),
            ExceptionOrigin::Settings => None,
        },
        until: exception.until(),
        reason: exception.reason().to_owned(),
    }
}

/// What the DNS said of the policy.
pub(crate) fn of_txt(decision: &Decision) -> Option<TxtSeen> {
    decision.evidence().txt.as_ref().map(|txt| match txt {
        TxtAnswer::Failed(_) => TxtSeen::Failed,
        TxtAnswer::Found(record) => TxtSeen::Found(record.value.id.to_string()),
        TxtAnswer::NotPublished(_) => TxtSeen::NotPublished,
    })
}

/// Why nothing could be decided.
pub(crate) const fn of_undecided(undecided: &Undecided) -> WhyUndecided {
    match undecided {
        Undecided::CacheUnreadable { .. } => WhyUndecided::CacheUnreadable,
        Undecided::ClockDoubted { .. } => WhyUndecided::ClockDoubted,
        Undecided::NamesFailed { .. } => WhyUndecided::NamesFailed,
    }
}

/// What a policy makes of a session with `host`, which came about under this decision; by an exception, if
/// it is worth no more.
pub(crate) fn of_session(
    decision: &Decision,
    host: &OpenHost,
    (channel, proof): (&Channel, Proof),
) -> MtaStsVerdict {
    let why = match (decision, proof) {
        (Decision::Require(required), Proof::Excepted) => {
            return judged(required.policy(), host, channel);
        }
        (Decision::Require(_), Proof::Dane | Proof::Demanded | Proof::None | Proof::Policy) => {
            return MtaStsVerdict::Met;
        }
        (Decision::Permit(fallback), _) => fallback.why(),
    };
    match why {
        WhyFallback::Exception { policy, .. }
        | WhyFallback::ModeTesting(policy)
        | WhyFallback::TlsRequiredNo(policy) => judged(policy, host, channel),
        WhyFallback::AddressLiteral
        | WhyFallback::ModeNone
        | WhyFallback::NoPolicy
        | WhyFallback::TlsReport
        | WhyFallback::UndecidedTooLong => MtaStsVerdict::NotApplied,
    }
}

/// What a policy makes of a session that did not have to meet it.
fn judged(policy: &Policy, host: &OpenHost, channel: &Channel) -> MtaStsVerdict {
    let not_met = |result_type, reason| MtaStsVerdict::NotMet { result_type, reason };
    if !names(policy, host) {
        return not_met(ResultType::ValidationFailure, None);
    }
    match channel {
        Channel::Clear(WhyClear::AfterFailure) => not_met(ResultType::ValidationFailure, None),
        Channel::Clear(WhyClear::NotOffered) => not_met(ResultType::StarttlsNotSupported, None),
        Channel::Tls(tls) => match &tls.verdict {
            CertificateVerdict::Invalid { result_type, reason } => {
                not_met(*result_type, Some(reason.clone()))
            }
            CertificateVerdict::NotShown => not_met(ResultType::ValidationFailure, None),
            CertificateVerdict::Valid => MtaStsVerdict::Met,
        },
    }
}

/// Whether a policy names a host (RFC 8461 §4.1), whatever its mode.
pub(crate) fn names(policy: &Policy, host: &OpenHost) -> bool {
    match host {
        OpenHost::Name(mx) => policy.admits(mx),
        OpenHost::Literal(_) => false,
    }
}

fn version(cached: &CachedPolicy) -> PolicyVersion {
    PolicyVersion {
        domain: cached.domain().as_str().to_owned(),
        id: cached.id().to_string(),
        mode: mode(cached.policy()),
        source: PolicySource {
            text: cached.text().map(Arc::clone),
            fetched_at: Some(cached.fetched_at()),
            valid_until: Some(cached.valid_until()),
        },
    }
}

fn mode(policy: &Policy) -> PolicyMode {
    match policy.mode() {
        Mode::Enforce => PolicyMode::Enforce,
        Mode::None => PolicyMode::None,
        Mode::Testing => PolicyMode::Testing,
    }
}

const fn why(why: &WhyFallback) -> WhyPermitted {
    match why {
        WhyFallback::AddressLiteral => WhyPermitted::AddressLiteral,
        WhyFallback::Exception { .. } => WhyPermitted::Exception,
        WhyFallback::ModeNone => WhyPermitted::ModeNone,
        WhyFallback::ModeTesting(_) => WhyPermitted::ModeTesting,
        WhyFallback::NoPolicy => WhyPermitted::NoPolicy,
        WhyFallback::TlsReport => WhyPermitted::TlsReport,
        WhyFallback::TlsRequiredNo(_) => WhyPermitted::TlsRequiredNo,
        WhyFallback::UndecidedTooLong => WhyPermitted::UndecidedTooLong,
    }
}
