//! From what delivery knows of an attempt to the words that are kept of it.

use std::net::SocketAddr;
use std::time::SystemTime;

use clock::millis;
use mail::{
    CertificateRecord, CertificateVerdict, Channel, DaneVerdict, DeliveryRecord, DeliveryResult,
    Failure, Message, Met, MtaStsVerdict, NextHopRecord, PolicyDecision, PolicySource,
    PolicyVersion, Proof, Purpose, RouteTaken, SessionRecord, TlsRecord, TlsRequired, TriedHost,
    TxtSeen, WhyClear,
};
use tls_rpt::TlsaRecord;

use crate::digest::Digest;
use crate::facts::{Attempt, Certificate, Dane, Decision, MtaSts, Session, Tls, Tried, Verdict};
use crate::span::whole_millis;

/// No text that comes from others is kept longer than this, in octets.
const TEXT_MOST: usize = 512;

/// No more names of a certificate are kept.
const NAMES_MOST: usize = 10;

/// No more TLSA records of a host are kept, and no more hosts that were tried.
const LISTED_MOST: usize = 32;

/// The attempt by itself, without addresses.
pub(crate) fn attempt(record: &DeliveryRecord, message: &Message, recipients: usize) -> Attempt {
    let about = &record.attempt;
    let since = |time: SystemTime| {
        // A session that was there before is no part of the attempt.
        time.duration_since(about.began_at).ok().map(whole_millis)
    };
    let attempt = Attempt {
        queue_id: about.queue_id.to_string(),
        attempt: about.number,
        accepted_at: millis(about.received_at),
        began_at: millis(about.began_at),
        ended_at: millis(record.ended_at),
        size: message.size,
        purpose: purpose_word(message.purpose).to_owned(),
        tls_required: tls_required_word(message.tls).map(str::to_owned),
        key: None,
        sender: None,
        recipients: Vec::new(),
        recipient_count: u32::try_from(recipients).unwrap_or(u32::MAX),
        domain: about.destination.to_string(),
        tried: record.next_hop.tried.iter().take(LISTED_MOST).map(tried).collect(),
        connected_ms: record.session.as_ref().and_then(|session| since(session.connected_at)),
        proved_ms: record.session.as_ref().and_then(|session| since(session.proved_at)),
        settled_ms: since(record.ended_at),
        route: match &record.next_hop.route {
            RouteTaken::Configured(next_hop) => Some(next_hop.clone()),
            RouteTaken::Direct => None,
        },
        outcome: String::new(),
        protection: record.protection().label().to_owned(),
        host: record.session.as_ref().map(|session| session.host.clone()),
        address: record.session.as_ref().and_then(|session| address(session.address)),
        status: None,
        cause: None,
        error: None,
        reply: None,
    };
    with_result(attempt, &record.result)
}

/// The same with what came of it.
fn with_result(attempt: Attempt, result: &DeliveryResult) -> Attempt {
    match result {
        DeliveryResult::Delivered { mx, addr, reply, reports: _ } => Attempt {
            outcome: "delivered".to_owned(),
            host: Some(mx.clone()),
            address: address(*addr).or(attempt.address),
            reply: Some(shortened(reply)),
            ..attempt
        },
        DeliveryResult::Deferred(failure) => with_failure(attempt, "deferred", failure),
        DeliveryResult::Bounced(failure) => with_failure(attempt, "bounced", failure),
    }
}

/// The same with why it failed.
fn with_failure(attempt: Attempt, outcome: &str, failure: &Failure) -> Attempt {
    let Failure { cause, reason } = failure;
    Attempt {
        outcome: outcome.to_owned(),
        host: reason.mx.clone().or(attempt.host),
        address: address(reason.addr).or(attempt.address),
        status: Some(reason.enhanced.to_string()),
        cause: Some(cause.word().to_owned()),
        error: Some(shortened(&reason.text)),
        reply: reason.reply.as_deref().map(shortened),
        ..attempt
    }
}

/// A host that was tried.
fn tried(tried: &TriedHost) -> Tried {
    let (met, error) = match &tried.met {
        Met::Failure { cause, text } => (cause.word(), Some(shortened(text))),
        Met::Session => ("session", None),
    };
    let (host, address) = (tried.host.clone(), address(tried.address));
    Tried { host, address, met: met.to_owned(), error }
}

/// The policy that a decision is about, where there is one.
pub(crate) const fn policy_of(decision: &PolicyDecision) -> Option<&PolicyVersion> {
    match decision {
        PolicyDecision::Enforced(policy)
        | PolicyDecision::Permitted { policy: Some(policy), .. } => Some(policy),
        PolicyDecision::NotLookedUp
        | PolicyDecision::Permitted { policy: None, .. }
        | PolicyDecision::Undecided(_) => None,
    }
}

/// What the policy asked for, whose text has this digest.
pub(crate) fn decision(next_hop: &NextHopRecord, text: Option<Digest>) -> Decision {
    let (word, policy, why) = match &next_hop.decision {
        PolicyDecision::Enforced(policy) => ("enforced", Some(policy), None),
        PolicyDecision::NotLookedUp => ("not-looked-up", None, None),
        PolicyDecision::Permitted { policy, why } => {
            ("permitted", policy.as_ref(), Some(why.word()))
        }
        PolicyDecision::Undecided(why) => ("undecided", None, Some(why.word())),
    };
    let of_policy = |field: fn(&PolicyVersion) -> String| policy.map(field);
    let at = |time: fn(&PolicySource) -> Option<SystemTime>| {
        policy.and_then(|policy| time(&policy.source)).map(millis)
    };
    let (txt, txt_id) = match &next_hop.txt {
        Some(TxtSeen::Failed) => (Some("failed"), None),
        Some(TxtSeen::Found(id)) => (Some("found"), Some(id.clone())),
        Some(TxtSeen::NotPublished) => (Some("not-published"), None),
        None => (None, None),
    };
    Decision {
        decision: word.to_owned(),
        mode: of_policy(|policy| policy.mode.word().to_owned()),
        policy_domain: of_policy(|policy| policy.domain.clone()),
        policy_id: of_policy(|policy| policy.id.clone()),
        policy_sha256: text.map(|digest| digest.to_string()),
        fetched_at: at(|source| source.fetched_at),
        valid_until: at(|source| source.valid_until),
        txt: txt.map(str::to_owned),
        txt_id,
        why: why.map(str::to_owned),
    }
}

/// The session.
pub(crate) fn session(session: &SessionRecord) -> Session {
    let (tls, why_clear) = match &session.channel {
        Channel::Tls(record) => (Some(tls(record, &session.host)), None),
        Channel::Clear(WhyClear::AfterFailure) => (None, Some("after-failure".to_owned())),
        Channel::Clear(WhyClear::NotOffered) => (None, Some("not-offered".to_owned())),
    };
    let proof = match session.proof {
        Proof::Dane => "dane",
        Proof::Demanded => "demanded",
        Proof::Excepted => "excepted",
        Proof::None => "none",
        Proof::Policy => "policy",
    };
    Session {
        host: session.host.clone(),
        address: address(session.address),
        source: session.source.map(|source| source.to_string()),
        connected_at: Some(millis(session.connected_at)),
        proved_at: Some(millis(session.proved_at)),
        proof: proof.to_owned(),
        tls,
        why_clear,
        mta_sts: mta_sts(&session.mta_sts),
    }
}

/// What MTA-STS makes of the session.
fn mta_sts(verdict: &MtaStsVerdict) -> MtaSts {
    let (verdict, result_type, reason) = match verdict {
        MtaStsVerdict::Met => ("met", None, None),
        MtaStsVerdict::NotApplied => ("not-applied", None, None),
        MtaStsVerdict::NotMet { result_type, reason } => {
            ("not-met", Some(result_type.to_string()), reason.as_deref().map(shortened))
        }
    };
    MtaSts { verdict: verdict.to_owned(), result_type, reason }
}

/// What the handshake showed.
fn tls(record: &TlsRecord, host: &str) -> Tls {
    let (verdict, result_type, reason) = match &record.verdict {
        CertificateVerdict::Invalid { result_type, reason } => {
            ("invalid", Some(result_type.to_string()), Some(shortened(reason)))
        }
        CertificateVerdict::NotShown => ("not-shown", None, None),
        CertificateVerdict::Valid => ("valid", None, None),
    };
    Tls {
        version: record.version.word().to_owned(),
        cipher_suite: record.cipher_suite.clone(),
        key_exchange: record.key_exchange.clone(),
        chain: record.chain.iter().map(|shown| Digest::new(shown.digest).to_string()).collect(),
        certificate: record.certificate.as_ref().map(|shown| certificate(shown, host)),
        pkix: Verdict { verdict: verdict.to_owned(), result_type, reason },
        dane: Dane { records: tlsa(&record.tlsa), ..dane(&record.dane) },
    }
}

/// The certificate.
fn certificate(record: &CertificateRecord, host: &str) -> Certificate {
    Certificate {
        sha256: record.digest.as_ref().map(|digest| Digest::new(*digest).to_string()),
        issuer: record.issuer.as_deref().map(shortened),
        names: record.names.iter().take(NAMES_MOST).map(|name| shortened(name)).collect(),
        matched: record.names.iter().find(|name| is_name_of(name, host)).cloned(),
        not_before: record.not_before.map(millis),
        not_after: record.not_after.map(millis),
    }
}

/// Whether a name in a certificate is the host's: the very same, or one whose first label stands for
/// any (RFC 6125 §6.4).
fn is_name_of(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    name.eq_ignore_ascii_case(host)
        || name
            .strip_prefix("*.")
            .zip(host.split_once('.'))
            .is_some_and(|(parent, (_label, rest))| parent.eq_ignore_ascii_case(rest))
}

/// The records that were of use.
fn tlsa(records: &[TlsaRecord]) -> Vec<String> {
    records.iter().take(LISTED_MOST).map(|record| shortened(&record.to_string())).collect()
}

/// What the TLSA records make of it.
fn dane(verdict: &DaneVerdict) -> Dane {
    let of = |verdict: &str, base: Option<&String>| Dane {
        verdict: verdict.to_owned(),
        base: base.cloned(),
        records: Vec::new(),
        record: None,
        reason: None,
    };
    match verdict {
        DaneVerdict::Matched { base, record } => {
            Dane { record: Some(shortened(&record.to_string())), ..of("matched", Some(base)) }
        }
        DaneVerdict::NotApplied => of("not-applied", None),
        DaneVerdict::NotMatched { base, reason } => {
            Dane { reason: Some(shortened(reason)), ..of("not-matched", Some(base)) }
        }
        DaneVerdict::Unusable { base } => of("unusable", Some(base)),
    }
}

/// An address and port as text.
fn address(address: Option<SocketAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

/// The word for what a message is.
const fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Mail => "mail",
        Purpose::TlsReport => "tls-report",
    }
}

/// The word for what a message asks of TLS.
const fn tls_required_word(tls: TlsRequired) -> Option<&'static str> {
    match tls {
        TlsRequired::No => Some("tls-required-no"),
        TlsRequired::Unspecified => None,
        TlsRequired::Yes | TlsRequired::YesOrRedacted => Some("requiretls"),
    }
}

/// A text that is no longer than may be kept.
fn shortened(text: &str) -> String {
    store::rows::shortened(text, TEXT_MOST).to_owned()
}
