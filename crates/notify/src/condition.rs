//! What is seen of the relay that a person should know, and the words for it.

use std::time::SystemTime;

use clock::Timestamp;

use crate::event::Event;
use crate::severity::Severity;
use crate::visible::visible;

/// Something that a person should know, as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The certificate of a host that has to prove its name ends soon.
    CertificateEnding {
        /// Whose host it is.
        domain: String,
        /// The host.
        host: String,
        /// When.
        ends: SystemTime,
    },
    /// The wall clock is in doubt.
    Clock {
        /// How, in words.
        seen: String,
    },
    /// The disk is nearly full.
    Disk,
    /// An exception has ended.
    ExceptionEnded {
        /// Whose.
        domain: String,
        /// When.
        at: SystemTime,
    },
    /// An exception ends within a day.
    ExceptionEnding {
        /// Whose.
        domain: String,
        /// When.
        until: SystemTime,
        /// What it was made for.
        reason: String,
    },
    /// An exception is in force that was not before.
    ExceptionGranted {
        /// Whose.
        domain: String,
        /// Until when.
        until: SystemTime,
        /// What it was made for.
        reason: String,
    },
    /// A policy keeps a domain's mail.
    Held {
        /// Whose.
        domain: String,
        /// What kind of failure it is, in a word.
        cause: String,
        /// The same in words.
        why: String,
        /// How much of it waits.
        messages: u64,
        /// Since when.
        since: SystemTime,
        /// How much of the time is left in which it is tried.
        left: TimeLeft,
    },
    /// A check of `/readyz` fails.
    NotReady {
        /// Which.
        check: String,
        /// What it sees.
        seen: String,
    },
    /// The certificate that listeners show ends soon.
    OwnCertificate {
        /// When.
        ends: SystemTime,
    },
    /// A policy cannot be fetched again, and ends.
    PolicyEnding {
        /// Whose.
        domain: String,
        /// When.
        ends: SystemTime,
    },
    /// Messages are quarantined.
    Quarantined {
        /// How many.
        messages: u64,
    },
    /// No key signs TLS reports of this domain.
    ReportKey {
        /// Which.
        domain: String,
    },
    /// Mail is due and none leaves.
    Stalled {
        /// For how long, and the likely cause.
        seen: String,
    },
    /// A domain protects its mail less than before.
    Weakened {
        /// Whose.
        domain: String,
        /// How, in words.
        how: String,
        /// When.
        at: SystemTime,
    },
}

/// How much of the time is left in which mail is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimeLeft {
    /// At most half.
    LessThanHalf,
    /// More than half.
    More,
}

impl Condition {
    /// Which event it is.
    #[must_use]
    pub const fn event(&self) -> Event {
        match self {
            Self::CertificateEnding { .. } => Event::CertificateEnding,
            Self::Clock { .. } => Event::Clock,
            Self::Disk => Event::Disk,
            Self::ExceptionEnded { .. } => Event::ExceptionEnded,
            Self::ExceptionEnding { .. } => Event::ExceptionEnding,
            Self::ExceptionGranted { .. } => Event::ExceptionGranted,
            Self::Held { .. } => Event::Held,
            Self::NotReady { .. } => Event::NotReady,
            Self::OwnCertificate { .. } => Event::OwnCertificate,
            Self::PolicyEnding { .. } => Event::PolicyEnding,
            Self::Quarantined { .. } => Event::Quarantined,
            Self::ReportKey { .. } => Event::ReportKey,
            Self::Stalled { .. } => Event::Stalled,
            Self::Weakened { .. } => Event::Weakened,
        }
    }

    /// How urgent it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::CertificateEnding { .. }
            | Self::Clock { .. }
            | Self::ExceptionEnded { .. }
            | Self::ExceptionEnding { .. }
            | Self::ExceptionGranted { .. }
            | Self::Held { left: TimeLeft::More, .. }
            | Self::OwnCertificate { .. }
            | Self::PolicyEnding { .. }
            | Self::Quarantined { .. }
            | Self::ReportKey { .. }
            | Self::Weakened { .. } => Severity::Warning,
            Self::Disk
            | Self::Held { left: TimeLeft::LessThanHalf, .. }
            | Self::NotReady { .. }
            | Self::Stalled { .. } => Severity::Critical,
        }
    }

    /// Whom it is about: a domain or a check; nobody but the relay.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Clock { .. }
            | Self::Disk
            | Self::OwnCertificate { .. }
            | Self::Quarantined { .. }
            | Self::Stalled { .. } => String::new(),
            Self::CertificateEnding { domain, .. }
            | Self::ExceptionEnded { domain, .. }
            | Self::ExceptionEnding { domain, .. }
            | Self::ExceptionGranted { domain, .. }
            | Self::Held { domain, .. }
            | Self::PolicyEnding { domain, .. }
            | Self::ReportKey { domain }
            | Self::Weakened { domain, .. } => visible(domain),
            Self::NotReady { check, .. } => visible(check),
        }
    }

    /// What many of them have in common, which are then told in one notice; none for what is about the
    /// relay alone.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Clock { .. }
            | Self::Disk
            | Self::NotReady { .. }
            | Self::OwnCertificate { .. }
            | Self::Quarantined { .. }
            | Self::ReportKey { .. }
            | Self::Stalled { .. } => None,
            Self::CertificateEnding { .. } => Some("certificates end soon".to_owned()),
            Self::ExceptionEnded { .. } => Some("exceptions have ended".to_owned()),
            Self::ExceptionEnding { .. } => Some("exceptions end within a day".to_owned()),
            Self::ExceptionGranted { .. } => Some("exceptions are in force".to_owned()),
            Self::Held { cause, .. } => {
                Some(format!("mail is held ({cause}): is it your resolver or network?"))
            }
            Self::PolicyEnding { .. } => {
                Some("policies cannot be fetched: is it your network?".to_owned())
            }
            Self::Weakened { .. } => Some("they protect their mail less than before".to_owned()),
        }
    }

    /// What is so, in one line.
    pub(crate) fn summary(&self) -> String {
        let day = |time: &SystemTime| Timestamp::of(*time);
        visible(&match self {
            Self::CertificateEnding { domain, host, ends } => {
                format!(
                    "the certificate of {host}, which has to prove its name for {domain}, ends at {}",
                    day(ends)
                )
            }
            Self::Clock { seen } => format!("the clock is {seen}"),
            Self::Disk => "the disk is nearly full, and mail is refused".to_owned(),
            Self::ExceptionEnded { domain, at } => {
                format!("the exception for {domain} ended at {}", day(at))
            }
            Self::ExceptionEnding { domain, until, reason } => {
                format!("the exception for {domain} ends at {} ({reason})", day(until))
            }
            Self::ExceptionGranted { domain, until, reason } => {
                format!("mail for {domain} may leave unverified until {} ({reason})", day(until))
            }
            Self::Held { domain, why, messages, since, .. } => {
                format!("{messages} messages for {domain} are held since {}: {why}", day(since))
            }
            Self::NotReady { check, seen } => format!("the relay is not ready: {check}: {seen}"),
            Self::OwnCertificate { ends } => {
                format!("the certificate that listeners show ends at {}", day(ends))
            }
            Self::PolicyEnding { domain, ends } => format!(
                "the policy of {domain} cannot be fetched again, and protects its mail until {}",
                day(ends)
            ),
            Self::Quarantined { messages } => {
                format!("{messages} messages are quarantined, because their copies are damaged")
            }
            Self::ReportKey { domain } => {
                format!("no DKIM key of {domain} signs TLS reports, so none is sent by mail")
            }
            Self::Stalled { seen } => seen.clone(),
            Self::Weakened { domain, how, at } => format!("{domain}: {how}, at {}", day(at)),
        })
    }
}
