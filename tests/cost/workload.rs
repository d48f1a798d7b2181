//! What a relay does while it is counted.

use crate::internet::Kind;

/// Messages of one kind, and how the relay is set for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) kind: Kind,
    pub(crate) connections: Connections,
    pub(crate) reports: Reports,
    pub(crate) history: History,
}

/// Whether a history is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum History {
    /// As it is unless something else is set.
    Kept,
    Off,
}

/// Which connections messages leave over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connections {
    /// Those that are there.
    Kept,
    /// Each over one of its own.
    New,
}

/// Whether connections are counted for TLS reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reports {
    Off,
    On,
}

impl Workload {
    /// The settings that make the difference.
    pub(crate) fn settings(self) -> String {
        let connections = match self.connections {
            Connections::Kept => "",
            Connections::New => "delivery.messages_per_connection = 1\n",
        };
        let reports = match self.reports {
            Reports::Off => "",
            Reports::On => "tls_rpt.contact = \"tls@relay.test\"\n",
        };
        let history = match self.history {
            History::Kept => "",
            History::Off => "history.enabled = false\n",
        };
        format!("{connections}{reports}{history}")
    }
}
