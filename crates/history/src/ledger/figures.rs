//! How much mail flowed in a minute or an hour.

use std::collections::BTreeMap;

use mail::{FailureCause, Protection};
use serde::{Deserialize, Serialize};

use crate::ledger::observed::Observed;
use crate::query::OutcomeKind;

/// How much mail flowed in a span of time. Counts of outcomes are recipients.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Figures {
    /// When the span began, in milliseconds since 1970.
    pub at: u64,
    /// Messages that clients handed in.
    #[serde(default)]
    pub accepted: u64,
    /// Delivered, by what protected the mail.
    #[serde(default)]
    pub delivered: BTreeMap<Protection, u64>,
    /// Deferred, by reason.
    #[serde(default)]
    pub deferred: BTreeMap<FailureCause, u64>,
    /// Bounced, by reason.
    #[serde(default)]
    pub bounced: BTreeMap<FailureCause, u64>,
    /// The most messages that were in the queue; absent: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u64>,
    /// The longest that a message had been in the queue, in milliseconds; absent: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
}

/// How long a span of figures is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Span {
    /// An hour.
    Hour,
    /// A minute.
    Minute,
}

impl Span {
    /// In milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        match self {
            Self::Hour => 60 * 60 * 1_000,
            Self::Minute => 60 * 1_000,
        }
    }

    /// The beginning of the span that this moment is in.
    #[must_use]
    pub const fn begins(self, at: u64) -> u64 {
        at.saturating_sub(at % self.millis())
    }
}

impl Figures {
    /// Nothing has flowed in the span that began then.
    #[must_use]
    pub fn beginning(at: u64) -> Self {
        Self { at, ..Self::default() }
    }

    /// All of these, in a span that began then.
    #[must_use]
    pub fn sum(at: u64, parts: &[Self]) -> Self {
        let mut sum = Self::beginning(at);
        parts.iter().for_each(|part| sum.merge(part));
        sum
    }

    /// Counts an attempt.
    pub(crate) fn count(&mut self, seen: &Observed<'_>) {
        let cause = seen.cause.unwrap_or(FailureCause::OwnSystem);
        let count = match seen.outcome {
            OutcomeKind::Bounced => self.bounced.entry(cause).or_default(),
            OutcomeKind::Deferred => self.deferred.entry(cause).or_default(),
            OutcomeKind::Delivered => self.delivered.entry(seen.protection).or_default(),
        };
        *count = count.saturating_add(seen.recipients);
    }

    /// Takes in another part of the same span, or of a shorter one within it.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.accepted = self.accepted.saturating_add(other.accepted);
        add(&mut self.delivered, &other.delivered);
        add(&mut self.deferred, &other.deferred);
        add(&mut self.bounced, &other.bounced);
        self.queue = self.queue.max(other.queue);
        self.oldest = self.oldest.max(other.oldest);
    }
}

/// Adds counts to counts.
fn add<K: Copy + Ord>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, other) in others {
        let count = counts.entry(*key).or_default();
        *count = count.saturating_add(*other);
    }
}
