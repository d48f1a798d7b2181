//! What of the ledger somebody should look at.

use mail::{FailureCause, PolicyMode, Protection};
use serde::{Deserialize, Serialize};

use crate::ledger::domain_state::DomainState;
use crate::ledger::event::{Event, EventKind};

/// What has become less is told for so long, in milliseconds: somebody has looked by then.
pub(crate) const TOLD_FOR: u64 = 24 * 60 * 60 * 1_000;

/// A policy may fail to be fetched again for so long before somebody should look.
const REFRESH_MAY_FAIL: u64 = 24 * 60 * 60 * 1_000;

/// A host that was not seen for so long says nothing about its certificate any more.
const SEEN_WITHIN: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A domain that somebody should look at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Need {
    /// The domain.
    pub domain: String,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Why.
    #[serde(flatten)]
    pub why: NeedKind,
}

/// Why somebody should look at a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "need", rename_all = "kebab-case")]
pub enum NeedKind {
    /// The certificate of a host that has to prove its name is near its end, or has ended.
    CertificateEnding {
        /// The host.
        host: String,
        /// When it ends, in milliseconds since 1970.
        not_after: u64,
    },
    /// Mail is not delivered because no host proves what it has to. Whether any waits still, the queue
    /// knows.
    Held {
        /// What kind of failure it is.
        cause: FailureCause,
        /// The same in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The policy cannot be fetched again, and ends some day.
    PolicyEnding,
    /// Mail was delivered with less protection than before.
    ProtectionFell {
        /// What protected the mail before.
        from: Protection,
        /// What protects it now.
        to: Protection,
    },
    /// The TLSA records that protected mail are gone.
    TlsaGone,
    /// The policy asks for less than before.
    Weakened {
        /// The mode of the one before.
        from: PolicyMode,
        /// The mode now; absent: there is no policy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<PolicyMode>,
    },
}

/// What of a domain somebody should look at now.
pub(crate) fn of_state(domain: &str, state: &DomainState, now: u64) -> Vec<Need> {
    let need = |since, why| Need { domain: domain.to_owned(), since, why };
    let held = state.held.as_ref().map(|held| {
        need(held.since, NeedKind::Held { cause: held.cause, error: held.error.clone() })
    });
    let failing = state.refresh_failing_since;
    let failing = failing.filter(|since| now.saturating_sub(*since) >= REFRESH_MAY_FAIL);
    let failing = failing.map(|since| need(since, NeedKind::PolicyEnding));
    let has_to_prove =
        state.policy.as_ref().is_some_and(|policy| policy.mode == PolicyMode::Enforce);
    let ending = state.certificates.near_end(now).filter_map(|(host, shown)| {
        let is_seen = now.saturating_sub(shown.last) < SEEN_WITHIN;
        let not_after = shown.not_after.filter(|_| is_seen && has_to_prove)?;
        Some(need(shown.last, NeedKind::CertificateEnding { host: host.to_owned(), not_after }))
    });
    held.into_iter().chain(failing).chain(ending).collect()
}

/// What of an event somebody should look at.
pub(crate) fn of_event(event: &Event) -> Option<Need> {
    let why = match &event.what {
        EventKind::PolicyWeakened { from, to } => NeedKind::Weakened { from: *from, to: *to },
        EventKind::ProtectionFell { from, to } => NeedKind::ProtectionFell { from: *from, to: *to },
        EventKind::TlsaGone => NeedKind::TlsaGone,
        // These are told by the state, for as long as they last.
        EventKind::CertificateChanged { .. }
        | EventKind::CertificateEnding { .. }
        | EventKind::ExceptionEnded
        | EventKind::ExceptionUsed
        | EventKind::Held { .. }
        | EventKind::HeldNoMore { .. }
        | EventKind::PolicyAppeared { .. }
        | EventKind::PolicyChanged { .. }
        // Hosts come and go; what fails by that is held.
        | EventKind::PolicyHostsGone { .. }
        | EventKind::ProtectionRose { .. }
        | EventKind::RefreshFailing { .. }
        | EventKind::RefreshWorks
        | EventKind::TlsaAppeared => return None,
    };
    Some(Need { domain: event.domain.clone(), since: event.at, why })
}
