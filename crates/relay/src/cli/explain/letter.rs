//! The text for a postmaster.

use clock::{Timestamp, time};
use history::{Attempt, Decision, DomainState, Session};
use mail::{FailureCause, PolicyMode, Protection};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use tls_rpt::ResultType;

use crate::cli::explain::advice::{of_cause, of_result};

/// The attempt that a text is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) policy: &'a Decision,
    pub(super) session: Option<&'a Session>,
}

/// Everything that a text is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    /// This relay's name.
    pub(super) hostname: &'a str,
    pub(super) seen: Seen<'a>,
    /// What the ledger knows of the domain.
    pub(super) state: Option<&'a DomainState>,
}

/// What became of the attempt, as far as the text goes by it.
enum Problem {
    /// Mail is delivered, and its session meets what is published.
    None,
    /// Mail was not delivered, because of this.
    NotDelivered(Option<FailureCause>),
    /// Mail is delivered, and would not be if the policy were enforced, because of this.
    WouldFail(ResultType),
}

/// The text.
pub(super) fn letter(case: &Case<'_>) -> String {
    let problem = problem(&case.seen);
    let parts = [
        opening(case, &problem),
        section("What your domain publishes", &published(case)),
        section("What your host showed", &showed(&case.seen)),
        section("What to change", &advice(&problem)),
        section("When (UTC)", &times(case)),
    ];
    parts.concat()
}

/// What is wrong.
fn problem(seen: &Seen<'_>) -> Problem {
    if seen.attempt.outcome != history::OutcomeKind::Delivered.word() {
        return Problem::NotDelivered(seen.attempt.cause.as_deref().and_then(typed));
    }
    let verdict = seen.session.map(|session| &session.mta_sts);
    let failure = verdict.and_then(|verdict| verdict.result_type.as_deref()).and_then(typed);
    failure.map_or(Problem::None, Problem::WouldFail)
}

/// Who it is for, and what it is about.
fn opening(case: &Case<'_>, problem: &Problem) -> String {
    let Case { hostname, seen: Seen { attempt, .. }, state } = case;
    let domain = &attempt.domain;
    let held = state.and_then(|state| state.held.as_ref());
    let about = match problem {
        Problem::None => format!(
            "Mail from {hostname} to {domain} is delivered ({}). Nothing has to be changed.",
            protection(&attempt.protection)
        ),
        Problem::NotDelivered(_) => match held {
            Some(held) => format!(
                "Mail from {hostname} to {domain} is not delivered since {}.",
                at(held.since)
            ),
            None => format!("Mail from {hostname} to {domain} was not delivered."),
        },
        Problem::WouldFail(_) => format!(
            "Mail from {hostname} to {domain} is delivered ({}), but the session does not meet your \
             MTA-STS policy: if it were enforced, the mail would wait.",
            protection(&attempt.protection)
        ),
    };
    format!("To the postmaster of {domain}\n\n{about}\n")
}

/// A heading with lines under it; nothing where there are none.
fn section(heading: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{heading}\n{}", lines.concat())
}

/// What the domain publishes.
fn published(case: &Case<'_>) -> Vec<String> {
    let Seen { policy, session, .. } = case.seen;
    let mut lines = Vec::new();
    let mode = policy.mode.as_deref().and_then(typed::<PolicyMode>);
    match (mode, &policy.policy_id) {
        (Some(mode), Some(id)) => {
            let asks = match mode {
                PolicyMode::Enforce => {
                    "mail may be sent only over TLS, to a host that the policy names and whose \
                     certificate proves its name"
                }
                PolicyMode::Testing => "failures are reported, and mail is sent all the same",
                PolicyMode::None => "the policy is withdrawn",
            };
            lines.push(format!("MTA-STS policy {id}, mode {} (RFC 8461): {asks}.", mode.word()));
        }
        (Some(_) | None, _) => lines.push("No MTA-STS policy (RFC 8461) was seen.".to_owned()),
    }
    let base = session.and_then(|session| session.tls.as_ref()?.dane.base.as_deref());
    if let Some(base) = base {
        lines.push(format!("TLSA records at _25._tcp.{base} (RFC 7672), secured by DNSSEC."));
    }
    lines
}

/// What the host showed.
fn showed(seen: &Seen<'_>) -> Vec<String> {
    let Seen { attempt, session, .. } = seen;
    let mut lines = Vec::new();
    if let Some(host) = &attempt.host {
        let address = attempt.address.as_ref().map_or_else(String::new, |one| format!(" ({one})"));
        lines.push(format!("Host {host}{address}, {}.", at(attempt.ended_at)));
    }
    if let Some(error) = &attempt.error {
        lines.push(format!("What failed: {error}"));
    }
    if let Some(reply) = &attempt.reply {
        lines.push(format!("It replied: {reply}"));
    }
    let Some(session) = session else { return lines };
    let Some(tls) = &session.tls else {
        lines.push("The session had no TLS.".to_owned());
        return lines;
    };
    lines.push(format!("The session had {}.", tls.version));
    if let Some(certificate) = &tls.certificate {
        let ends =
            certificate.not_after.map_or_else(String::new, |end| format!(", ends {}", at(end)));
        let issuer = certificate.issuer.as_deref().unwrap_or("an issuer that cannot be read");
        let names = certificate.names.join(", ");
        lines.push(format!("Its certificate is for {names}, issued by {issuer}{ends}."));
        lines.extend(certificate.sha256.as_ref().map(|sha256| format!("SHA-256: {sha256}")));
    }
    let reasons = [&session.mta_sts.reason, &tls.pkix.reason, &tls.dane.reason];
    let mut reasons: Vec<_> = reasons.into_iter().flatten().collect();
    reasons.dedup();
    lines.extend(reasons.iter().map(|reason| format!("What is wrong with it: {reason}")));
    lines
}

/// What to change.
fn advice(problem: &Problem) -> Vec<String> {
    let text = match problem {
        Problem::None => return Vec::new(),
        Problem::NotDelivered(cause) => cause.map(of_cause),
        Problem::WouldFail(result) => Some(of_result(*result)),
    };
    text.map(str::to_owned).into_iter().collect()
}

/// Since when what is so.
fn times(case: &Case<'_>) -> Vec<String> {
    let mut lines =
        vec![format!("{}  the attempt that this is about", at(case.seen.attempt.ended_at))];
    let Some(state) = case.state else { return lines };
    if let Some(held) = &state.held {
        lines.push(format!("{}  first attempt that failed like this", at(held.since)));
    }
    if let Some(proof) = &state.last_proof {
        lines.push(format!(
            "{}  last mail to a host that had proved itself: {}",
            at(proof.at),
            proof.host
        ));
    }
    if let Some(policy) = &state.policy {
        lines.push(format!(
            "{}  policy first seen in mode {}",
            at(policy.since),
            policy.mode.word()
        ));
    }
    lines
}

/// What protected mail, in words.
fn protection(word: &str) -> &'static str {
    match typed::<Protection>(word) {
        Some(Protection::Plaintext) => "in clear",
        Some(Protection::Tls) => "over TLS, with a host that did not have to prove itself",
        Some(Protection::Dane) => "over TLS, with a host that matched its TLSA records",
        Some(Protection::Verified) => {
            "over TLS, with a host that your policy names and that proved its name"
        }
        None => "in a way that this version does not know",
    }
}

/// What a word stands for; none where this version does not know it.
fn typed<'a, T: Deserialize<'a>>(word: &'a str) -> Option<T> {
    let input: StrDeserializer<'a, ValueError> = word.into_deserializer();
    T::deserialize(input).ok()
}

/// A moment.
fn at(millis: u64) -> String {
    Timestamp::of(time(millis)).to_string()
}
