//! What operators are told of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What must be so for this long before it is told, and be over for as long before that is told.
const GRACE: Duration = Duration::from_secs(5 * 60);

/// What operators are told of; `[[notify]] events` lists their words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The certificate of a host that has to prove its name ends soon.
    CertificateEnding,
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
    /// A policy keeps a domain's mail.
    Held,
    /// The relay cannot do its work.
    NotReady,
    /// The certificate that listeners show ends soon.
    OwnCertificate,
    /// A policy cannot be fetched again, and ends.
    PolicyEnding,
    /// Messages are quarantined, because their copies are damaged.
    Quarantined,
    /// No key signs TLS reports.
    ReportKey,
    /// Mail is due and none leaves.
    Stalled,
    /// A domain protects its mail less than before.
    Weakened,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::CertificateEnding,
        Self::Clock,
        Self::Disk,
        Self::ExceptionEnded,
        Self::ExceptionEnding,
        Self::ExceptionGranted,
        Self::Held,
        Self::NotReady,
        Self::OwnCertificate,
        Self::PolicyEnding,
        Self::Quarantined,
        Self::ReportKey,
        Self::Stalled,
        Self::Weakened,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CertificateEnding => "certificate-ending",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::ExceptionEnded => "exception-ended",
            Self::ExceptionEnding => "exception-ending",
            Self::ExceptionGranted => "exception-granted",
            Self::Held => "held",
            Self::NotReady => "not-ready",
            Self::OwnCertificate => "own-certificate",
            Self::PolicyEnding => "policy-ending",
            Self::Quarantined => "quarantined",
            Self::ReportKey => "report-key",
            Self::Stalled => "stalled",
            Self::Weakened => "weakened",
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
            Self::ExceptionEnded
            | Self::ExceptionEnding
            | Self::ExceptionGranted
            | Self::Weakened => Lasting::Happens,
            Self::CertificateEnding
            | Self::Clock
            | Self::Disk
            | Self::Held
            | Self::NotReady
            | Self::OwnCertificate
            | Self::PolicyEnding
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
