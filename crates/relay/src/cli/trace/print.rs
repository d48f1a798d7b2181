//! What `trace` prints for people.

use std::io;

use clock::{Timestamp, time};
use history::{Attempt, Decision, FoundRecord, Gap, Session, Tls, Tried};

use crate::cli::output::Output;
use crate::cli::table::{Room, Table, printable};

/// Records as a table, of this width at most.
pub(super) fn table(
    records: &[FoundRecord],
    width: Option<usize>,
    output: &mut Output,
) -> io::Result<()> {
    let mut table = Table::new([
        ("TIME", Room::Whole),
        ("ID", Room::Whole),
        ("DOMAIN", Room::AtLeast(12)),
        ("HOST", Room::IfThereIs),
        ("OUTCOME", Room::Whole),
        ("PROTECTION", Room::Whole),
        ("REPLY OR ERROR", Room::AtLeast(20)),
    ]);
    for record in records {
        match record {
            FoundRecord::Attempt { attempt, .. } => table.row([
                at(attempt.ended_at),
                attempt.queue_id.clone(),
                attempt.domain.clone(),
                attempt.host.clone().unwrap_or_default(),
                attempt.outcome.clone(),
                attempt.protection.clone(),
                attempt.error.clone().or_else(|| attempt.reply.clone()).unwrap_or_default(),
            ]),
            FoundRecord::Gap { gap, .. } => {
                let none = String::new;
                let row = [
                    at(gap.found_at),
                    none(),
                    none(),
                    none(),
                    "gap".to_owned(),
                    none(),
                    in_words(gap),
                ];
                table.row(row);
            }
        }
    }
    table.print(width, output)
}

/// Attempts with everything that is known of them, the oldest first.
pub(super) fn attempts(records: &[FoundRecord], output: &mut Output) -> io::Result<()> {
    for (place, record) in records.iter().rev().enumerate() {
        if place > 0 {
            output.line("")?;
        }
        if let FoundRecord::Attempt { number, attempt, policy, session } = record {
            print_attempt(*number, attempt, output)?;
            line(output, "policy", &policy_in_words(policy))?;
            if let Some(session) = session {
                print_session(session, output)?;
            }
        }
    }
    Ok(())
}

/// What is told of the attempt by itself.
fn print_attempt(number: u64, attempt: &Attempt, output: &mut Output) -> io::Result<()> {
    let Attempt { queue_id, attempt: which, outcome, protection, .. } = attempt;
    line(output, "message", &format!("{queue_id}, attempt {which} (record {number})"))?;
    line(output, "accepted", &at(attempt.accepted_at))?;
    line(output, "ended", &at(attempt.ended_at))?;
    if let Some(sender) = &attempt.sender {
        line(output, "sender", if sender.is_empty() { "<>" } else { sender })?;
    }
    let recipients = match attempt.recipients.as_slice() {
        [] => format!("{} at {}", attempt.recipient_count, attempt.domain),
        some => some.join(", "),
    };
    line(output, "recipients", &recipients)?;
    if let Some(route) = &attempt.route {
        line(output, "route", route)?;
    }
    let host = [attempt.host.as_deref(), attempt.address.as_deref()];
    let host: Vec<&str> = host.into_iter().flatten().collect();
    if !host.is_empty() {
        line(output, "host", &host.join(" "))?;
    }
    for Tried { host, address, met, error } in &attempt.tried {
        let address = address.as_deref().unwrap_or_default();
        let met = error.as_deref().unwrap_or(met);
        line(output, "tried", &format!("{} {met}", [host, address].join(" ").trim_end()))?;
    }
    line(output, "outcome", outcome)?;
    line(output, "protection", protection)?;
    let status = attempt.status.iter().chain(&attempt.error).cloned().collect::<Vec<_>>();
    if !status.is_empty() {
        line(output, "error", &status.join(" "))?;
    }
    attempt.reply.iter().try_for_each(|reply| line(output, "reply", reply))
}

/// What is told of the session.
fn print_session(session: &Session, output: &mut Output) -> io::Result<()> {
    let mta_sts = &session.mta_sts;
    if let Some(proved) = session.proved_at {
        let from = session.source.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
        line(output, "session", &format!("ready at {}{from}", at(proved)))?;
    }
    match (&session.tls, &session.why_clear) {
        (Some(tls), _) => print_tls(tls, output)?,
        (None, Some(why)) => line(output, "tls", &format!("none: {why}"))?,
        (None, None) => line(output, "tls", "none")?,
    }
    let verdict = [Some(mta_sts.verdict.as_str()), mta_sts.reason.as_deref()];
    line(output, "mta-sts", &verdict.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

/// What is told of TLS.
fn print_tls(tls: &Tls, output: &mut Output) -> io::Result<()> {
    let suite = tls.cipher_suite.as_deref().unwrap_or_default();
    let exchange = tls.key_exchange.as_deref().unwrap_or_default();
    line(output, "tls", format!("{} {suite} {exchange}", tls.version).trim_end())?;
    if let Some(certificate) = &tls.certificate {
        let sha256 = certificate.sha256.as_deref().unwrap_or("of unknown digest");
        line(output, "certificate", sha256)?;
        line(output, "", &format!("for {}", certificate.names.join(", ")))?;
    }
    let pkix = [Some(tls.pkix.verdict.as_str()), tls.pkix.reason.as_deref()];
    line(output, "pkix", &pkix.into_iter().flatten().collect::<Vec<_>>().join(": "))?;
    let dane = [Some(tls.dane.verdict.as_str()), tls.dane.record.as_deref()];
    line(output, "dane", &dane.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

/// What the policy asked for.
fn policy_in_words(policy: &Decision) -> String {
    let mode = policy.mode.as_deref().map(|mode| format!("mode {mode}"));
    let id = policy.policy_id.as_deref().map(|id| format!("id {id}"));
    let fetched = policy.fetched_at.map(|fetched| format!("fetched at {}", at(fetched)));
    let words = [Some(policy.decision.clone()), policy.why.clone(), mode, id, fetched];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Why attempts have no record.
fn in_words(gap: &Gap) -> String {
    let count = gap.count.map_or_else(String::new, |count| format!("{count} attempts: "));
    let why = gap.why.words();
    let file = gap.file.as_deref().map_or_else(String::new, |file| format!(" ({file})"));
    let since = gap.since.map_or_else(String::new, |since| format!(" since {}", at(since)));
    format!("{count}{why}{since}{file}")
}

/// A time for people.
fn at(millis: u64) -> String {
    Timestamp::of(time(millis)).to_string()
}

/// One line of what is told.
fn line(output: &mut Output, name: &str, value: &str) -> io::Result<()> {
    output.line(format_args!("{name:<12}{}", printable(value)))
}
