//! What became of a message: what the relay says and what was seen at the MX hosts, held together.

use super::fate::Fate;
use super::hearing::{Handover, Policy, Word};
use super::internet::Seen;
use super::kind::Kind;
use super::row::Row;

/// Judges one domain.
pub(super) fn of(kind: Kind, handover: &Handover, seen: &Seen) -> Row {
    let message = seen.messages.first();
    let tls = message.and_then(|message| message.tls.as_ref());
    let fate = match (handover.word, seen.messages.len(), tls) {
        (Word::Deferred, 0, _) => waiting(seen),
        (Word::Delivered, 1, _) if handover.policy != Policy::NotEnforced => {
            verified(handover, seen)
        }
        (Word::Delivered, 1, Some(_)) => Fate::Encrypted,
        (Word::Delivered, 1, None) => Fate::Clear,
        (Word::Deferred | Word::Delivered | Word::Bounced, _, _) => Fate::Astray,
    };
    Row {
        domain: kind.domain(),
        policy: kind.policy(),
        mx: kind.hosts(),
        fate,
        promised: kind.promised(),
        host: message.map(|message| message.host.clone()),
        tls: tls.map(|tls| tls.version.replace("TLSv1_", "TLSv1.")),
        why: why(handover),
        in_clear: in_clear(seen),
    }
}

/// No host may have heard of a message that waits.
fn waiting(seen: &Seen) -> Fate {
    let is_quiet = seen.connections.iter().all(|connection| connection.envelope().is_empty());
    if is_quiet { Fate::Waiting } else { Fate::Astray }
}

/// A verified message came by a session in which the host was asked for by its name, and nothing of
/// it was said in clear to any host of the domain.
fn verified(handover: &Handover, seen: &Seen) -> Fate {
    let is_quiet = seen.connections.iter().all(|one| one.envelope_in_clear().is_empty());
    let is_proved = seen.messages.iter().all(|message| {
        let asked_for = message.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        asked_for == Some(message.host.as_str()) && handover.mx == message.host
    });
    if is_quiet && is_proved { Fate::Verified } else { Fate::Astray }
}

/// Why, in the relay's words.
fn why(handover: &Handover) -> String {
    match handover.word {
        Word::Delivered if handover.policy == Policy::Matched => {
            format!("{} matched its TLSA record", handover.mx)
        }
        Word::Delivered => match handover.why.as_str() {
            "" => format!("{} proved its name", handover.mx),
            reason => reason.to_owned(),
        },
        Word::Deferred | Word::Bounced => format!("{} {}", handover.status, handover.error),
    }
}

/// What anybody on the way could read, without repetitions.
fn in_clear(seen: &Seen) -> Vec<String> {
    let mut verbs: Vec<String> = Vec::new();
    for command in seen.connections.iter().flat_map(|connection| &connection.commands) {
        let verb = command.line.split([' ', ':']).next().unwrap_or_default();
        if command.channel == testbed::Channel::Clear && !verbs.iter().any(|one| one == verb) {
            verbs.push(verb.to_owned());
        }
    }
    verbs
}
