//! How far a pass over the hosts of a next hop has come.

use std::net::SocketAddr;

use mail::{Met, TriedHost};

use crate::disposition::{Disposition, NotTaken};
use crate::host_failure::{HostFailure, Kind};
use crate::recipient::{HopResult, LeasedRecipient, OpenRecipient};
use crate::target::Target;

use super::effort::Effort;

/// How far a pass has come: a value that each of its steps takes and gives back.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Those for whom another host can be asked.
    pub(super) open: Vec<OpenRecipient>,
    /// Those who are settled.
    pub(super) settled: Vec<HopResult>,
    /// Why there were no sessions with hosts.
    pub(super) failures: Vec<HostFailure>,
    /// The hosts that were asked to take the message.
    pub(super) asked: Vec<Asked>,
    /// What was done to reach hosts; one that the policy does not name costs nothing.
    pub(super) effort: Effort,
}

/// A host that was asked to take the message.
#[derive(Debug)]
pub(super) struct Asked {
    /// The host.
    pub(super) target: Target,
    /// What has come of it.
    pub(super) answered: Answered,
    /// How many failures there were by then.
    failures: usize,
}

/// What has come of asking a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answered {
    /// How much it has judged.
    pub(super) judged: Judged,
    /// Whether its connection lasted.
    pub(super) connection: Lasted,
    /// At which address.
    pub(super) address: Option<SocketAddr>,
}

/// How much a host has judged of a message.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Judged {
    /// Whether it can take such a message, at most.
    Form,
    /// More than that.
    Mail,
}

impl Judged {
    /// How much a host has judged for whom that is to be done.
    pub(super) const fn of(disposition: &Disposition) -> Self {
        match disposition {
            Disposition::NextHost(NotTaken::Unfit(_)) => Self::Form,
            Disposition::Final(_)
            | Disposition::NextHost(NotTaken::Later(_))
            | Disposition::NextTransaction(_) => Self::Mail,
        }
    }
}

/// Whether a connection has lasted until its end was ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lasted {
    /// It has.
    Yes,
    /// It was lost.
    Lost,
}

impl Walk {
    /// Nobody has been asked yet.
    pub(super) fn new(recipients: Vec<LeasedRecipient>) -> Self {
        let open = recipients.into_iter().map(OpenRecipient::new).collect();
        Self { open, ..Self::default() }
    }

    /// Whether a host was asked to take the message.
    pub(super) fn has_asked(&self, target: &Target) -> bool {
        self.asked.iter().any(|asked| asked.target == *target)
    }

    /// How many hosts have judged the mail, and not only its form.
    pub(super) fn engaged(&self) -> usize {
        self.asked.iter().filter(|asked| asked.answered.judged == Judged::Mail).count()
    }

    /// Whether the address that was tried last is this relay's own.
    pub(super) fn has_met_ourselves(&self) -> bool {
        self.failures.last().is_some_and(|failure| failure.kind == Kind::Loop)
    }

    /// Whether a host has shown what matches none of its TLSA records.
    pub(super) fn has_mismatched(&self, target: &Target) -> bool {
        let name = target.name();
        self.failures.iter().any(|failure| failure.host == name && failure.is_mismatch())
    }

    /// Whether a host was reached and TLS with it failed, for another reason than its TLSA records.
    pub(super) fn has_failed_tls(&self, target: &Target) -> bool {
        let name = target.name();
        self.failures.iter().any(|failure| failure.host == name && failure.kind == Kind::Tls)
    }

    /// The walk before a host did not match its records, which have changed.
    pub(super) fn without_mismatch_of(mut self, target: &Target) -> Self {
        let name = target.name();
        self.failures.retain(|failure| failure.host != name || !failure.is_mismatch());
        self
    }

    /// Whether no connection was lost, and somebody could be asked unless there was nobody to ask.
    pub(super) fn is_answered(&self) -> bool {
        let lost = |asked: &Asked| asked.answered.connection == Lasted::Lost;
        let nobody = self.asked.is_empty() && !self.failures.is_empty();
        !nobody && !self.asked.iter().any(lost)
    }

    /// The hosts that were tried, in their order; none where the first one has settled everyone.
    pub(super) fn tried(&self) -> Vec<TriedHost> {
        if self.failures.is_empty() && self.asked.len() <= 1 && self.open.is_empty() {
            return Vec::new();
        }
        let mut tried = Vec::with_capacity(self.failures.len().saturating_add(self.asked.len()));
        let mut failures = self.failures.iter();
        let mut before = 0;
        for asked in &self.asked {
            let new = asked.failures.saturating_sub(std::mem::replace(&mut before, asked.failures));
            tried.extend(failures.by_ref().take(new).map(HostFailure::tried));
            let (host, address) = (asked.target.name().to_string(), asked.answered.address);
            tried.push(TriedHost { host, address, met: Met::Session });
        }
        tried.extend(failures.map(HostFailure::tried));
        tried
    }

    /// The walk after there was no session with a host.
    pub(super) fn failed(mut self, failure: HostFailure) -> Self {
        self.failures.push(failure);
        self
    }

    /// The walk after a host was asked.
    pub(super) fn asked(mut self, target: Target, answered: Answered) -> Self {
        let failures = self.failures.len();
        self.asked.push(Asked { target, answered, failures });
        self
    }
}
