//! Who is told of what happens: metrics, reports, tests.

use std::fmt::Debug;

use queue::{Outcome, QueueId};
use smtp::MailboxDomain;
use tls_rpt::Observation;

/// Is told of what happens; must not block.
pub trait Observer: Debug + Send + Sync {
    /// TLS was judged, for a report (RFC 8460).
    fn observed(&self, observation: &Observation);

    /// Recipients were handed over, or were not.
    fn finished(&self, handover: &Handover<'_>);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observed(&self, _observation: &Observation) {}

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
}

/// The terms of an attempt, as words for the log and for metric labels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The mode of the policy that applied: enforce, testing, none, or undecided.
    pub policy: &'static str,
    /// Why nothing was enforced; empty where it was.
    pub why: &'static str,
    /// The version of TLS of the last session; "none" in clear or without a session.
    pub tls: &'static str,
}
