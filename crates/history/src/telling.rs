//! What the history tells, in words for people.

use std::fmt::{self, Display, Formatter};

use clock::{Timestamp, time};

use crate::activity::{Act, Messages};
use crate::ledger::EventKind;

/// What an act was done to.
impl Display for Act {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyRead { queue_id } => f.write_str(queue_id),
            Self::Delete { messages, bounce } => {
                write!(f, "{messages}{}", if *bounce { ", senders told" } else { "" })
            }
            Self::ExceptionAdd { domain, what, until, reason } => {
                write!(f, "{domain} ({what}) until {until}: {reason}")
            }
            Self::ExceptionRemove { domain }
            | Self::PolicyPurge { domain }
            | Self::PolicyRefresh { domain, error: None } => f.write_str(domain),
            Self::PolicyRefresh { domain, error: Some(error) } => write!(f, "{domain}: {error}"),
            Self::Reload { error: Some(error), .. } => write!(f, "refused: {error}"),
            Self::Reload { changed, error: None } => f.write_str(&changed.join(", ")),
            Self::Hold { messages } | Self::Release { messages } | Self::Retry { messages } => {
                messages.fmt(f)
            }
        }
    }
}

/// Which messages were meant.
impl Display for Messages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { queue_id, domain, count } = self;
        match (queue_id, domain) {
            (Some(queue_id), _) => f.write_str(queue_id),
            (None, Some(domain)) => write!(f, "{count} for {domain}"),
            (None, None) => count.fmt(f),
        }
    }
}

/// What has happened.
impl Display for EventKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(self))
    }
}

/// An event, in words.
fn in_words(event: &EventKind) -> String {
    match event {
        EventKind::CertificateChanged { host, from: _, to, not_after } => {
            let end = not_after.map_or_else(String::new, |end| format!(", which ends {}", at(end)));
            format!("{host} shows another certificate, {to}{end}")
        }
        EventKind::CertificateEnding { host, sha256, not_after } => {
            format!("the certificate of {host} ends {}: {sha256}", at(*not_after))
        }
        EventKind::ExceptionEnded => "mail goes without an exception again".to_owned(),
        EventKind::ExceptionUsed => "mail went under an operator's exception".to_owned(),
        EventKind::Held { cause, error } => {
            let why = error.as_deref().unwrap_or_else(|| cause.word());
            format!("mail is held: {why}")
        }
        EventKind::HeldNoMore { since } => {
            format!("mail is delivered that was held since {}", at(*since))
        }
        EventKind::PolicyAppeared { id, mode } => {
            format!("policy {id} appeared, mode {}", mode.word())
        }
        EventKind::PolicyChanged { id, from, to } if from == to => {
            format!("policy changed to {id}, mode {}", to.word())
        }
        EventKind::PolicyChanged { id, from, to } => {
            format!("policy changed to {id}, mode {} after {}", to.word(), from.word())
        }
        EventKind::PolicyHostsGone { hosts } => {
            format!("the policy does not name {} any more", hosts.join(", "))
        }
        EventKind::PolicyWeakened { from, to } => match to {
            Some(to) => format!("policy weakened: mode {} after {}", to.word(), from.word()),
            None => format!("policy weakened: none after mode {}", from.word()),
        },
        EventKind::ProtectionFell { from, to } => {
            format!("protection fell from {} to {}", from.label(), to.label())
        }
        EventKind::ProtectionRose { from, to } => {
            format!("protection rose from {} to {}", from.label(), to.label())
        }
        EventKind::RefreshFailing { error } => {
            format!("the policy cannot be fetched again: {error}")
        }
        EventKind::RefreshWorks => "the policy was fetched again".to_owned(),
        EventKind::TlsaAppeared => "the hosts match TLSA records".to_owned(),
        EventKind::TlsaGone => "the TLSA records are gone".to_owned(),
    }
}

/// A moment.
fn at(millis: u64) -> String {
    Timestamp::of(time(millis)).to_string()
}
