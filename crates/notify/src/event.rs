//! What operators are told of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What must be so for this long before it is told, and be over for as long before that is told.
const GRACE: Duration = Duration::from_secs(5 * 60);

/// What operators are told of; `[[notify]] events` lists their words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The wall clock is in doubt.
    Clock,
    /// The disk is nearly full, and mail is refused.
    Disk,
    /// An exception has ended.
    ExceptionEnded,
    /// An exception ends within a day.
    ExceptionEnding,
    /// An exception was granted.
    ExceptionGranted,
    /// The relay cannot do its work.
    NotReady,
    /// The certificate that listeners show ends soon.
    OwnCertificate,
    /// Messages are quarantined, because their copies are damaged.
    Quarantined,
    /// No key signs TLS reports.
    ReportKey,
    /// Mail is due and none leaves.
    Stalled,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Clock,
        Self::Disk,
        Self::ExceptionEnded,
        Self::ExceptionEnding,
        Self::ExceptionGranted,
        Self::NotReady,
        Self::OwnCertificate,
        Self::Quarantined,
        Self::ReportKey,
        Self::Stalled,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::ExceptionEnded => "exception-ended",
            Self::ExceptionEnding => "exception-ending",
            Self::ExceptionGranted => "exception-granted",
            Self::NotReady => "not-ready",
            Self::OwnCertificate => "own-certificate",
            Self::Quarantined => "quarantined",
            Self::ReportKey => "report-key",
            Self::Stalled => "stalled",
        }
    }

    /// The event of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.word() == word)
    }

    /// How long it must last before it is told, and how long it must be over: what happens once and was
    /// decided by a person is told at once.
    pub(crate) const fn grace(self) -> Duration {
        match self.lasting() {
            Lasting::Happens => Duration::ZERO,
            Lasting::Lasts => GRACE,
        }
    }

    /// Whether it has an end that is told.
    pub(crate) const fn lasting(self) -> Lasting {
        match self {
            Self::ExceptionEnded | Self::ExceptionEnding | Self::ExceptionGranted => {
                Lasting::Happens
            }
            Self::Clock
            | Self::Disk
            | Self::NotReady
            | Self::OwnCertificate
            | Self::Quarantined
            | Self::ReportKey
            | Self::Stalled => Lasting::Lasts,
        }
    }
}

/// Whether something has an end that is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lasting {
    /// It happens, and that is all: it is told once.
    Happens,
    /// It lasts until it is over: it is told again, and its end is.
    Lasts,
}
