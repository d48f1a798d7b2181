//! From what delivery knows of an attempt to the bytes that are settled with it.

use std::net::SocketAddr;

use clock::millis;
use mail::{
    CertificateRecord, CertificateVerdict, Channel, DaneVerdict, DeliveryRecord, DeliveryResult,
    Failure, Message, MtaStsVerdict, PolicyDecision, PolicyVersion, Proof, Purpose, RouteTaken,
    SessionRecord, TlsRecord, TlsRequired, WhyClear,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smtp::{Mailbox, ReversePath};
use store::RecordBytes;

use crate::facts::{Attempt, Certificate, Dane, Decision, MtaSts, Session, Tls, Verdict};

/// No text that comes from others is kept longer than this, in octets.
const TEXT_MOST: usize = 512;

/// No more names of a certificate are kept.
const NAMES_MOST: usize = 10;

/// What most records fit into, in octets.
const USUAL_SIZE: usize = 1_280;

/// What is settled with the mail: everything about the attempt, in one piece.
#[derive(Debug, Serialize)]
struct Recorded {
    attempt: Attempt,
    decision: Decision,
    session: Option<Session>,
}

/// The same as it is read back: what many attempts share stays the text that it was written as.
#[derive(Debug, Deserialize)]
pub(crate) struct KeptAttempt<'a> {
    pub(crate) attempt: Attempt,
    #[serde(borrow)]
    pub(crate) decision: &'a RawValue,
    #[serde(borrow)]
    pub(crate) session: Option<&'a RawValue>,
}

/// What is kept of an attempt that has ended like this for these recipients of `message`: one record, or
/// several where one would be too long for a store.
#[must_use]
pub fn records_of(
    record: &DeliveryRecord,
    message: &Message,
    recipients: &[&Mailbox],
) -> Vec<RecordBytes> {
    let recorded = Recorded {
        attempt: attempt(record, message, recipients),
        decision: decision(&record.next_hop.decision),
        session: record.session.as_deref().map(session),
    };
    let mut bytes = Vec::with_capacity(USUAL_SIZE);
    let written = serde_json::to_writer(&mut bytes, &recorded).ok();
    let bytes = written.and_then(|()| RecordBytes::new(bytes));
    match (bytes, recipients.split_at(recipients.len() / 2)) {
        (Some(bytes), _) => vec![bytes],
        (None, ([], _)) => Vec::new(),
        (None, (some, others)) => {
            let mut records = records_of(record, message, some);
            records.extend(records_of(record, message, others));
            records
        }
    }
}

/// What is told of the attempt by itself.
fn attempt(record: &DeliveryRecord, message: &Message, recipients: &[&Mailbox]) -> Attempt {
    let about = &record.attempt;
    let attempt = Attempt {
        queue_id: about.queue_id.to_string(),
        attempt: about.number,
        accepted_at: millis(about.received_at),
        began_at: millis(about.began_at),
        ended_at: millis(record.ended_at),
        size: message.size,
        purpose: purpose_word(message.purpose).to_owned(),
        tls_required: tls_required_word(message.tls).map(str::to_owned),
        sender: Some(match &message.reverse_path {
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            ReversePath::Null => String::new(),
        }),
        recipients: recipients.iter().map(ToString::to_string).collect(),
        recipient_count: u32::try_from(recipients.len()).unwrap_or(u32::MAX),
        domain: about.destination.to_string(),
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

/// What the policy asked for.
fn decision(decision: &PolicyDecision) -> Decision {
    let (word, policy, why) = match decision {
        PolicyDecision::Enforced(policy) => ("enforced", Some(policy), None),
        PolicyDecision::NotLookedUp => ("not-looked-up", None, None),
        PolicyDecision::Permitted { policy, why } => {
            ("permitted", policy.as_ref(), Some(why.word()))
        }
        PolicyDecision::Undecided(why) => ("undecided", None, Some(why.word())),
    };
    let of_policy = |field: fn(&PolicyVersion) -> String| policy.map(field);
    Decision {
        decision: word.to_owned(),
        mode: of_policy(|policy| policy.mode.word().to_owned()),
        policy_domain: of_policy(|policy| policy.domain.clone()),
        policy_id: of_policy(|policy| policy.id.clone()),
        why: why.map(str::to_owned),
    }
}

/// The session.
fn session(session: &SessionRecord) -> Session {
    let (tls, why_clear) = match &session.channel {
        Channel::Tls(record) => (Some(tls(record)), None),
        Channel::Clear(WhyClear::AfterFailure) => (None, Some("after-failure".to_owned())),
        Channel::Clear(WhyClear::NotOffered) => (None, Some("not-offered".to_owned())),
    };
    let proof = match session.proof {
        Proof::Dane => "dane",
        Proof::Demanded => "demanded",
        Proof::None => "none",
        Proof::Policy => "policy",
    };
    Session {
        host: session.host.clone(),
        address: address(session.address),
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
fn tls(record: &TlsRecord) -> Tls {
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
        certificate: record.certificate.as_ref().map(certificate),
        pkix: Verdict { verdict: verdict.to_owned(), result_type, reason },
        dane: dane(&record.dane),
    }
}

/// The certificate.
fn certificate(record: &CertificateRecord) -> Certificate {
    Certificate {
        sha256: record.digest.as_ref().map(|digest| crate::chain::hex(digest)),
        issuer: record.issuer.as_deref().map(shortened),
        names: record.names.iter().take(NAMES_MOST).map(|name| shortened(name)).collect(),
        not_after: record.not_after.map(millis),
    }
}

/// What the TLSA records make of it.
fn dane(verdict: &DaneVerdict) -> Dane {
    let of = |verdict: &str, base: Option<&String>| Dane {
        verdict: verdict.to_owned(),
        base: base.cloned(),
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
    text.get(..text.floor_char_boundary(TEXT_MOST)).unwrap_or_default().to_owned()
}
