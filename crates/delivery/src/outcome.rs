//! From what happened to what becomes of a recipient: delivered, deferred or bounced.
//!
//! Of what goes wrong before a session only a destination that cannot be is permanent at once, unless
//! a policy is in force and the DNS alone says so. All else waits for better times, and a policy that
//! is not met never ends a message's life unless the policy has been looked at once more
//! (RFC 8461 §5.1).

use std::time::Duration;

use mail::{DeliveryResult, Failure, FailureCause, Reason, ReasonClass};
use mta_sts::{Rechecked, RequiredTls};
use smtp::{Class, MailboxDomain};

use crate::host_failure::{HostFailure, Kind, list};
use crate::mx_hosts::looped;
use crate::status::{Status, permanent};

/// What becomes of recipients whose enforced policy let no session come about.
pub(crate) fn unmet(required: &RequiredTls, failures: &[HostFailure]) -> DeliveryResult {
    let domain = required.domain();
    // A certificate or a missing STARTTLS tells more than a host that was not even asked.
    let first = |kind: Kind| failures.iter().find(|failure| failure.kind == kind);
    let worst = match (first(Kind::Tls), unmatched(domain, failures)) {
        (Some(worst), _) => worst,
        (None, Some(unmatched)) => return unmatched,
        (None, None) => match first(Kind::NotNamed) {
            Some(worst) => worst,
            None => return no_hosts(required, unreached(domain, failures)),
        },
    };
    let policy = format!("sts id={} mode={}", required.id(), required.policy().mode());
    let text = format!(
        "the MTA-STS policy of {domain} (id {}, mode {}) is not met by any of its hosts: {}",
        required.id(),
        required.policy().mode(),
        list(failures),
    );
    DeliveryResult::Deferred(worst.failure(text, Some(policy)))
}

/// What becomes of recipients whose hosts do not meet their TLSA records (RFC 7672 §2.2); none where no
/// host has failed to. Such mail waits, whatever the policy permits.
pub(crate) fn unmatched(
    domain: &dyn std::fmt::Display,
    failures: &[HostFailure],
) -> Option<DeliveryResult> {
    let of_dane = |failure: &&HostFailure| failure.kind == Kind::Dane;
    let mismatch = failures.iter().find(|failure| failure.is_mismatch());
    let worst = mismatch.or_else(|| failures.iter().find(of_dane))?;
    let text = format!(
        "DANE lets mail to {domain} go to none of its hosts (RFC 7672): {}",
        list(failures)
    );
    Some(DeliveryResult::Deferred(worst.failure(text, None)))
}

/// What becomes of recipients whose message asks for proven TLS all its way, which no host can give:
/// none has offered it, none is secured, or none has TLS with proof (RFC 8689 §4.2.1).
///
/// None where another host, or the same one later, may do better: one was not reached, or it is a
/// policy that stands in the way.
pub(crate) fn without_requiretls(
    domain: &dyn std::fmt::Display,
    failures: &[HostFailure],
) -> Option<DeliveryResult> {
    let is_final = |failure: &HostFailure| matches!(failure.kind, Kind::Lacks | Kind::Tls);
    let first = failures.first().filter(|_| failures.iter().all(is_final))?;
    let lacks = failures.iter().find(|failure| failure.kind == Kind::Lacks);
    let status = if lacks.is_some() { Status::RequireTlsNeeded } else { Status::EncryptionNeeded };
    let text = format!(
        "the message asks for TLS all its way (REQUIRETLS), and no host of {domain} can give that: {}",
        list(failures)
    );
    let Failure { reason, .. } = lacks.unwrap_or(first).failure(text, None);
    let reason = Reason { enhanced: permanent(status.code()), ..reason };
    Some(DeliveryResult::Bounced(Failure { cause: FailureCause::RequireTls, reason }))
}

/// The outcome for recipients under an enforced policy where the DNS alone says that there is no
/// host to try.
///
/// That is never final. Answers of the DNS can be forged, and the policy, which came over HTTPS, is
/// there for exactly this (RFC 8461 §10.1); a domain that is gone is still found to be so when the
/// lifetime of the message ends.
pub(crate) fn no_hosts(required: &RequiredTls, result: DeliveryResult) -> DeliveryResult {
    let Failure { cause, reason } = match result {
        DeliveryResult::Bounced(failure) => failure,
        waiting @ (DeliveryResult::Deferred(_) | DeliveryResult::Delivered { .. }) => {
            return waiting;
        }
    };
    let text = format!(
        "{}: so the DNS says, which is not taken as final while the MTA-STS policy of {} (id {}, \
         mode {}) is in force",
        reason.text,
        required.domain(),
        required.id(),
        required.policy().mode(),
    );
    let enhanced = reason.enhanced.with_class(Class::PersistentTransient);
    let reason = Reason { enhanced, text, cause: Some(reason.text.clone()), ..reason };
    DeliveryResult::Deferred(Failure { cause, reason })
}

/// What becomes of recipients whose message the hosts that were asked cannot take, while others that
/// may take it could not be asked, for these reasons.
pub(crate) fn unfit_so_far(failure: Failure, failures: &[&HostFailure]) -> DeliveryResult {
    let others = if failures.is_empty() {
        "other hosts are asked in the next attempt".to_owned()
    } else {
        format!("other hosts could not be asked: {}", list(failures))
    };
    let Failure { cause, reason } = failure.with_class(Class::PersistentTransient);
    let text = format!("{}; {others}", reason.text);
    DeliveryResult::Deferred(Failure { cause, reason: Reason { text, ..reason } })
}

/// What becomes of recipients with whose hosts no session came about.
pub(crate) fn unreached(
    domain: &dyn std::fmt::Display,
    failures: &[HostFailure],
) -> DeliveryResult {
    match failures.last() {
        Some(last) if last.kind == Kind::Loop && failures.len() == 1 => looped(domain),
        Some(last) => {
            let text = format!("no session with a host of {domain}: {}", list(failures));
            DeliveryResult::Deferred(last.failure(text, None))
        }
        None => {
            let text = format!("no host of {domain} could be tried");
            DeliveryResult::Deferred(Status::NoRoute.failure(ReasonClass::Dns, text))
        }
    }
}

/// What becomes of a deferred recipient when the message's lifetime has ended.
///
/// Where a policy stood in the way it goes on waiting until somebody shows that the policy was
/// looked at once more (RFC 8461 §5.1).
pub(crate) fn expire(
    failure: Failure,
    waited: Duration,
    rechecked: Option<&Rechecked>,
) -> DeliveryResult {
    let waited = in_words(waited);
    let Failure { cause, reason } = failure;
    match (&reason.policy, rechecked) {
        (Some(_), None) => DeliveryResult::Deferred(Failure { cause, reason }),
        (Some(_), Some(_)) => {
            let enhanced = permanent(reason.enhanced);
            let text = format!("not delivered in {waited}: {}", reason.text);
            let reason = Reason { enhanced, text, ..reason };
            DeliveryResult::Bounced(Failure { cause, reason })
        }
        // Who has to act is the host's operator, and the status says so to the end.
        (None, _) if cause == FailureCause::Dane => {
            let enhanced = permanent(reason.enhanced);
            let text = format!("not delivered in {waited}: {}", reason.text);
            DeliveryResult::Bounced(Failure { cause, reason: Reason { enhanced, text, ..reason } })
        }
        (None, _) => {
            let enhanced = permanent(Status::Expired.code());
            let text = format!("not delivered in {waited}; the last attempt: {}", reason.text);
            let reason = Reason { enhanced, text, ..reason };
            let undecided = cause == FailureCause::Undecided;
            let cause = if undecided { cause } else { FailureCause::Expired };
            DeliveryResult::Bounced(Failure { cause, reason })
        }
    }
}

/// A duration as people say it, in the largest unit that fits.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, name) in [(86_400, "days"), (3600, "hours"), (60, "minutes")] {
        let count = seconds.checked_div(unit).unwrap_or_default();
        if count >= 2 {
            return format!("{count} {name}");
        }
    }
    if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") }
}

/// What becomes of recipients at a destination that is no name.
pub(crate) fn no_domain(destination: &MailboxDomain) -> DeliveryResult {
    let text = format!("{destination} is not the name of a domain");
    let failure = Status::NoSuchSystem.failure(ReasonClass::Dns, text);
    DeliveryResult::Bounced(failure.with_class(Class::Permanent))
}

#[cfg(test)]
mod tests;
