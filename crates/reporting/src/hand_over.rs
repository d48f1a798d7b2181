//! Where a report stands with one of its destinations.

use serde::{Deserialize, Serialize};
use tls_rpt::Destination;

/// How a report travels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// RFC 8460 §5.4.
    Https,
    /// RFC 8460 §5.3.
    Mail,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Https, Self::Mail];

    /// How a report gets to `destination`.
    #[must_use]
    pub const fn to(destination: &Destination) -> Self {
        match destination {
            Destination::Https(_) => Self::Https,
            Destination::Mailto(_) => Self::Mail,
        }
    }

    /// A word for a metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Mail => "mail",
        }
    }
}

/// How a report has ended at a destination.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportResult {
    /// It was taken.
    Accepted,
    /// It was tried until the time was over.
    Expired,
    /// It was refused for good.
    Refused,
    /// It was not tried: the destination has refused reports for days.
    Suppressed,
    /// It was not sent: no DKIM key of the submitter is fit for it (RFC 8460 §3).
    Unsigned,
}

impl ReportResult {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Expired, Self::Refused, Self::Suppressed, Self::Unsigned];

    /// A word for a metric or a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Suppressed => "suppressed",
            Self::Unsigned => "unsigned",
        }
    }
}

/// A report at one of its destinations, as it is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct HandOver {
    /// Where it goes.
    pub(crate) destination: Destination,
    /// Where it stands.
    pub(crate) state: HandOverState,
    /// How many tries have failed.
    #[serde(default)]
    pub(crate) attempts: u32,
    /// What the last of them met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl HandOver {
    /// A report that is to go to `destination` from `at` on, in milliseconds since 1970.
    pub(crate) const fn due(destination: Destination, at: u64) -> Self {
        Self { destination, state: HandOverState::Due { at }, attempts: 0, problem: None }
    }

    /// When it is to be tried; none where it is not ours to try.
    pub(crate) const fn due_at(&self) -> Option<u64> {
        match self.state {
            HandOverState::Due { at } => Some(at),
            HandOverState::Ended(_)
            | HandOverState::Lost
            | HandOverState::Queued { .. }
            | HandOverState::Queueing { .. } => None,
        }
    }

    /// Whether nothing more happens to it.
    pub(crate) const fn is_over(&self) -> bool {
        match self.state {
            HandOverState::Ended(_) | HandOverState::Lost => true,
            HandOverState::Due { .. }
            | HandOverState::Queued { .. }
            | HandOverState::Queueing { .. } => false,
        }
    }

    /// The number of its message in the queue.
    pub(crate) const fn message(&self) -> Option<u64> {
        match self.state {
            HandOverState::Queued { id } | HandOverState::Queueing { id } => Some(id),
            HandOverState::Due { .. } | HandOverState::Ended(_) | HandOverState::Lost => None,
        }
    }
}

/// Where a report stands with a destination.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HandOverState {
    /// It is to be tried.
    Due {
        /// From when on, in milliseconds since 1970.
        at: u64,
    },
    /// It is over.
    Ended(ReportResult),
    /// Its message has left the queue, and nobody noted how.
    Lost,
    /// Its message is in the queue.
    Queued {
        /// The message's number.
        id: u64,
    },
    /// Its message is being put into the queue, and may be there or not.
    Queueing {
        /// The message's number.
        id: u64,
    },
}
