//! What is kept of a domain, and the rules by which an attempt changes it. Nothing here reads a clock
//! or a file: the same records always give the same state.

use mail::{FailureCause, PolicyMode, Protection};
use serde::{Deserialize, Serialize};

use crate::ledger::certificates::Certificates;
use crate::ledger::day::{Counts, Day};
use crate::ledger::event::EventKind;
use crate::ledger::observed::{DaneSeen, DecisionSeen, ExceptionSeen, Observed, PolicySeen};
use crate::ledger::runs::Runs;
use crate::query::OutcomeKind;

/// No more events of a domain are kept for one day: a domain whose hosts differ could tell of each
/// message.
const EVENTS_A_DAY: u32 = 20;

/// No text of others is kept longer, in octets.
const TEXT_MOST: usize = 300;

/// What is known of a domain. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DomainState {
    /// When the first attempt ended that is known here.
    pub first_at: u64,
    /// When the last one ended.
    pub last_at: u64,
    /// What protected the mail that was delivered last; absent: none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// Since when all mail was delivered with just that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Since when none was delivered with less than each protection.
    #[serde(default)]
    pub at_least: Runs,
    /// The MTA-STS policy; absent: there is none, or none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyStanding>,
    /// Since when the hosts match TLSA records; absent: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dane_since: Option<u64>,
    /// The last time that a host has proved what it had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_proof: Option<LastProof>,
    /// Why mail waits for proof; absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Since when mail goes under an operator's exception; absent: the last did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_since: Option<u64>,
    /// Since when the policy cannot be fetched again; absent: it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_failing_since: Option<u64>,
    /// When protection, policy or TLSA records changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<u64>,
    /// Recipients, since the domain is known.
    #[serde(flatten)]
    pub counts: Counts,
    /// The certificates that its hosts show.
    #[serde(default, skip_serializing_if = "Certificates::is_empty")]
    pub certificates: Certificates,
    /// How many events were kept, and of which day.
    #[serde(default)]
    events: EventsOfDay,
}

/// The policy of a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PolicyStanding {
    /// The id of its TXT record.
    pub id: String,
    /// Its mode.
    pub mode: PolicyMode,
    /// Since when it has that mode.
    pub since: u64,
    /// The hosts that it names; empty: they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// A time at which a host has proved what it had to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastProof {
    /// When.
    pub at: u64,
    /// What protected the mail.
    pub protection: Protection,
    /// The message.
    pub queue_id: String,
    /// The host.
    pub host: String,
    /// The SHA-256 of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// Why mail waits for proof.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// Since when.
    pub since: u64,
    /// When it was tried last.
    pub last: u64,
    /// What kind of failure it is.
    pub cause: FailureCause,
    /// The message that was tried last.
    pub queue_id: String,
    /// The host that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How many events of a day were kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct EventsOfDay {
    day: Day,
    count: u32,
}

impl DomainState {
    /// Takes in an attempt; what has happened by that.
    pub(crate) fn observe(&mut self, seen: &Observed<'_>) -> Vec<EventKind> {
        // A clock that was set back makes no run longer than it is.
        let at = seen.at.max(self.last_at);
        if self.last_at == 0 {
            self.first_at = at;
        }
        self.last_at = at;
        self.counts.add(seen.outcome, seen.recipients);
        let mut events = Vec::new();
        self.see_policy(&seen.decision.policy, at, &mut events);
        if let Some(session) = seen.session {
            events.extend(self.certificates.see(session, at));
        }
        match seen.outcome {
            OutcomeKind::Delivered => self.delivered(seen, at, &mut events),
            OutcomeKind::Bounced | OutcomeKind::Deferred => self.failed(seen, at, &mut events),
        }
        self.within_bounds(events, at)
    }

    /// The policy was fetched again, or could not be.
    pub(crate) fn refreshed(&mut self, error: Option<&str>, at: u64) -> Vec<EventKind> {
        let at = at.max(self.last_at);
        let mut events = Vec::new();
        match (error, self.refresh_failing_since) {
            (Some(error), None) => {
                self.refresh_failing_since = Some(at);
                events.push(EventKind::RefreshFailing { error: shortened(error) });
            }
            (None, Some(_)) => {
                self.refresh_failing_since = None;
                events.push(EventKind::RefreshWorks);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.within_bounds(events, at)
    }

    /// The policy is this one now.
    pub(crate) fn see_policy(&mut self, seen: &PolicySeen, at: u64, events: &mut Vec<EventKind>) {
        let (id, to, hosts) = match seen {
            PolicySeen::Unknown => return,
            PolicySeen::Absent => {
                let Some(before) = self.policy.take() else { return };
                if before.mode != PolicyMode::None {
                    events.push(EventKind::PolicyWeakened { from: before.mode, to: None });
                }
                self.changed_at = Some(at);
                return;
            }
            PolicySeen::Version { id, mode, hosts } => (id, *mode, hosts.as_deref()),
        };
        let before = self.policy.as_ref();
        if before.is_some_and(|before| before.id == *id && before.mode == to) {
            return;
        }
        let gone = before.map_or_else(Vec::new, |before| before.hosts_not_in(hosts));
        let same = before.filter(|before| before.mode == to);
        let since = same.map_or(at, |before| before.since);
        events.push(match before.map(|before| before.mode) {
            None => EventKind::PolicyAppeared { id: id.clone(), mode: to },
            Some(from) if strength(to) < strength(from) => {
                EventKind::PolicyWeakened { from, to: Some(to) }
            }
            Some(from) => EventKind::PolicyChanged { id: id.clone(), from, to },
        });
        if !gone.is_empty() {
            events.push(EventKind::PolicyHostsGone { hosts: gone });
        }
        let hosts = hosts.unwrap_or_default().to_vec();
        self.policy = Some(PolicyStanding { id: id.clone(), mode: to, since, hosts });
        self.changed_at = Some(at);
    }

    /// Mail was delivered.
    fn delivered(&mut self, seen: &Observed<'_>, at: u64, events: &mut Vec<EventKind>) {
        // A report goes where mail may not, so that the failure is heard of (RFC 8460 §3).
        if !seen.is_mail() {
            return;
        }
        self.protected(seen.protection, at, events);
        self.see_exception(seen.decision, at, events);
        self.see_tlsa(seen, at, events);
        if seen.protection >= Protection::Dane {
            self.last_proof = Some(LastProof {
                at,
                protection: seen.protection,
                queue_id: seen.queue_id.to_owned(),
                host: seen.host.unwrap_or_default().to_owned(),
                certificate: seen.session.and_then(|session| {
                    session.certificate.as_ref().map(|certificate| certificate.sha256.clone())
                }),
            });
        }
        if let Some(held) = self.held.take() {
            events.push(EventKind::HeldNoMore { since: held.since });
        }
    }

    /// Mail was delivered with this protection.
    fn protected(&mut self, to: Protection, at: u64, events: &mut Vec<EventKind>) {
        self.at_least.delivered(to, at);
        let before = self.protection.replace(to);
        if before == Some(to) {
            return;
        }
        self.since = Some(at);
        if let Some(from) = before {
            self.changed_at = Some(at);
            events.push(if to < from {
                EventKind::ProtectionFell { from, to }
            } else {
                EventKind::ProtectionRose { from, to }
            });
        }
    }

    /// Whether mail went under an exception.
    fn see_exception(&mut self, seen: &DecisionSeen, at: u64, events: &mut Vec<EventKind>) {
        match (seen.exception, self.exception_since) {
            (ExceptionSeen::Used, None) => {
                self.exception_since = Some(at);
                events.push(EventKind::ExceptionUsed);
            }
            (ExceptionSeen::None, Some(_)) => {
                self.exception_since = None;
                events.push(EventKind::ExceptionEnded);
            }
            (ExceptionSeen::Used, Some(_)) | (ExceptionSeen::None, None) => {}
        }
    }

    /// Whether TLSA records protect mail.
    fn see_tlsa(&mut self, seen: &Observed<'_>, at: u64, events: &mut Vec<EventKind>) {
        let dane = seen.session.map_or(DaneSeen::NotApplied, |session| session.dane);
        match (dane, self.dane_since) {
            (DaneSeen::Matched, None) => {
                (self.dane_since, self.changed_at) = (Some(at), Some(at));
                events.push(EventKind::TlsaAppeared);
            }
            (DaneSeen::NotApplied, Some(_)) => {
                (self.dane_since, self.changed_at) = (None, Some(at));
                events.push(EventKind::TlsaGone);
            }
            (DaneSeen::Matched, Some(_))
            | (DaneSeen::NotMatched, _)
            | (DaneSeen::NotApplied, None) => {}
        }
    }

    /// Mail was not delivered.
    fn failed(&mut self, seen: &Observed<'_>, at: u64, events: &mut Vec<EventKind>) {
        let Some(cause) = seen.cause.filter(|cause| is_for_want_of_proof(*cause)) else { return };
        let error = seen.error.map(shortened);
        let since = self.held.take().map(|held| held.since);
        if since.is_none() {
            events.push(EventKind::Held { cause, error: error.clone() });
        }
        self.held = Some(Held {
            since: since.unwrap_or(at),
            last: at,
            cause,
            queue_id: seen.queue_id.to_owned(),
            host: seen.host.map(str::to_owned),
            error,
        });
    }

    /// As many of the events as a day may have.
    fn within_bounds(&mut self, mut events: Vec<EventKind>, at: u64) -> Vec<EventKind> {
        let day = Day::of(at);
        if self.events.day != day {
            self.events = EventsOfDay { day, count: 0 };
        }
        let left = EVENTS_A_DAY.saturating_sub(self.events.count);
        events.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let kept = u32::try_from(events.len()).unwrap_or(u32::MAX);
        self.events.count = self.events.count.saturating_add(kept);
        events
    }
}

impl PolicyStanding {
    /// The hosts that it names and a later version does not; none where that is not known.
    fn hosts_not_in(&self, later: Option<&[String]>) -> Vec<String> {
        let Some(later) = later.filter(|later| !later.is_empty()) else { return Vec::new() };
        self.hosts.iter().filter(|host| !later.contains(host)).cloned().collect()
    }
}

impl Counts {
    /// So many recipients more.
    pub(crate) fn add(&mut self, outcome: OutcomeKind, recipients: u64) {
        let count = match outcome {
            OutcomeKind::Bounced => &mut self.bounced,
            OutcomeKind::Deferred => &mut self.deferred,
            OutcomeKind::Delivered => &mut self.delivered,
        };
        *count = count.saturating_add(recipients);
    }
}

/// How much a mode asks for.
const fn strength(mode: PolicyMode) -> u8 {
    match mode {
        PolicyMode::None => 0,
        PolicyMode::Testing => 1,
        PolicyMode::Enforce => 2,
    }
}

/// Whether mail waits because a host has not proved what it had to, or because it could not be told
/// what it has to prove.
const fn is_for_want_of_proof(cause: FailureCause) -> bool {
    match cause {
        FailureCause::Dane
        | FailureCause::Policy
        | FailureCause::RequireTls
        | FailureCause::Undecided => true,
        FailureCause::Conversion
        | FailureCause::Dns
        | FailureCause::Expired
        | FailureCause::Loop
        | FailureCause::NoHost
        | FailureCause::NoSuchDomain
        | FailureCause::NotAccepting
        | FailureCause::NullMx
        | FailureCause::OwnSystem
        | FailureCause::Protocol
        | FailureCause::Refused
        | FailureCause::Tls
        | FailureCause::TooLarge
        | FailureCause::Unreachable => false,
    }
}

/// A text that is no longer than may be kept.
fn shortened(text: &str) -> String {
    store::rows::shortened(text, TEXT_MOST).to_owned()
}

#[cfg(test)]
mod tests;
