//! A notice, as it is kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::severity::Severity;

/// Which notice: what it is of, and about whom. No two are kept of one key.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct NoticeKey {
    pub(crate) event: Event,
    pub(crate) about: About,
}

/// Whom a notice is about.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum About {
    /// Many, with this in common.
    Many(String),
    /// One domain or check; empty: the relay itself.
    One(String),
}

impl fmt::Display for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            About::Many(cause) => write!(f, "{}/many/{cause}", self.event.word()),
            About::One(subject) => write!(f, "{}/one/{subject}", self.event.word()),
        }
    }
}

/// A notice, and how far each destination has been told. Times are milliseconds since 1970.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Notice {
    pub(crate) key: NoticeKey,
    pub(crate) severity: Severity,
    /// What is so, in one line.
    pub(crate) summary: String,
    /// Since when it is told.
    pub(crate) since: u64,
    /// When it was over; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<u64>,
    /// By the names of destinations.
    pub(crate) places: BTreeMap<String, Place>,
}

/// What one destination knows, and is to be told.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<Told>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Pending>,
}

/// What a destination was told last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Told {
    pub(crate) at: u64,
    pub(crate) severity: Severity,
}

/// What a destination is to be told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Pending {
    pub(crate) status: Status,
    /// When it was to be told, from when on it is tried for a day.
    pub(crate) begun: u64,
    /// When it is tried next.
    pub(crate) due: u64,
    pub(crate) tries: u32,
}

/// What is said of a notice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// It is so.
    Firing,
    /// It is still so.
    Reminder,
    /// It is over.
    Resolved,
    /// Nothing is so; this is a test.
    Test,
}
