//! Who is told of what happens: metrics, reports, tests.

use std::fmt::Debug;
use std::time::Duration;

use queue::{Outcome, QueueId};
use smtp::MailboxDomain;
use tls_rpt::Observation;

/// Is told of what happens; must not block.
pub trait Observer: Debug + Send + Sync {
    /// TLS was judged, for a report (RFC 8460).
    fn observed(&self, observation: &Observation);

    /// TLS with a host failed, for this reason, one of a few words.
    fn tls_failed(&self, _reason: &'static str) {}

    /// A session was opened, over which mail can go.
    fn opened(&self, protection: Protection);

    /// Recipients were handed over, or were not.
    fn finished(&self, handover: &Handover<'_>);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observed(&self, _observation: &Observation) {}

    fn opened(&self, _protection: Protection) {}

    fn finished(&self, _handover: &Handover<'_>) {}
}

/// What became of recipients of one message who share their fate.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// The message.
    pub queue_id: QueueId,
    /// Where they are.
    pub domain: &'a MailboxDomain,
    /// How many they are.
    pub recipients: usize,
    /// What became of them.
    pub outcome: &'a Outcome,
    /// What the way there was like.
    pub terms: Terms,
    /// How long the message had been in the queue when it was tried.
    pub queued_for: Duration,
}

/// What protects mail on its way to the next host.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protection {
    /// Nothing.
    Plaintext,
    /// TLS with whoever answered.
    Tls,
    /// TLS with a host that an enforced policy names and that has proved its name.
    Verified,
}

impl Protection {
    /// Of a session that nobody had to prove anything for.
    #[must_use]
    pub fn of_open(tls: &str) -> Self {
        if [NO_TLS, TLS_FAILED].contains(&tls) { Self::Plaintext } else { Self::Tls }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::Verified => "verified",
        }
    }
}

/// What [`Terms::tls`] says of a session in clear, and where there was none.
pub(crate) const NO_TLS: &str = "none";

/// What [`Terms::tls`] says of a session in clear because TLS with the host has just failed.
pub(crate) const TLS_FAILED: &str = "failed";

/// The terms of an attempt, as words for the log and for metric labels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The mode of the policy that applied: enforce, testing, none, or undecided.
    pub policy: &'static str,
    /// Why nothing was enforced; empty where it was.
    pub why: &'static str,
    /// The version of TLS of the last session; "none" in clear or without a session, "failed" in
    /// clear because TLS failed.
    pub tls: &'static str,
}

impl Terms {
    /// What protected the mail that went on these terms.
    #[must_use]
    pub fn protection(&self) -> Protection {
        match (self.policy, self.why) {
            ("enforce", "") => Protection::Verified,
            _ => Protection::of_open(self.tls),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enforced_policy_that_nothing_lifts_counts_as_verified() {
        let of = |policy, why, tls| Terms { policy, why, tls }.protection();
        assert_eq!(of("enforce", "", "TLSv1.3"), Protection::Verified);
        assert_eq!(of("enforce", "exception", "TLSv1.3"), Protection::Tls);
        assert_eq!(of("testing", "mode-testing", "TLSv1.2"), Protection::Tls);
        assert_eq!(of("none", "no-policy", "none"), Protection::Plaintext);
        assert_eq!(of("none", "no-policy", "failed"), Protection::Plaintext);
    }
}
