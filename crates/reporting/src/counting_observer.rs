//! Who is told of what is counted for reports: metrics, tests.

use std::fmt::Debug;

/// Is told of what is counted and of what is not; must not block.
pub trait CountingObserver: Debug + Send + Sync {
    /// So many domains are counted on the present day.
    fn counting(&self, domains: usize);

    /// So many connections that a report should have counted are in none.
    fn dropped(&self, reason: DropReason, sessions: u64);
}

/// Why connections are in no report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DropReason {
    /// The report of their day has been made already: the clock was set back.
    DayClosed,
    /// As many domains as may be are counted on their day.
    Domains,
    /// More came than could be counted at once.
    Overflow,
    /// The store could not keep them.
    Store,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DayClosed, Self::Domains, Self::Overflow, Self::Store];

    /// A word for a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::DayClosed => "day-closed",
            Self::Domains => "domains",
            Self::Overflow => "overflow",
            Self::Store => "store",
        }
    }
}
