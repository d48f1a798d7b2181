//! What `domains` and `domain` print for people and for spreadsheets.

use std::fmt::Display;
use std::io;

use clock::{Timestamp, time};
use history::{DayBar, Domain, DomainState, Event, FullDomain, PolicyStanding};
use mail::Protection;

use crate::cli::csv::csv_line;
use crate::cli::output::Output;
use crate::cli::table::{Room, Table, printable};
use crate::cli::words::span;

/// The columns of a spreadsheet.
const COLUMNS: [&str; 15] = [
    "domain",
    "protection",
    "since",
    "tls_at_least_since",
    "policy",
    "policy_id",
    "policy_since",
    "dane_since",
    "last_proof",
    "held_since",
    "last_attempt",
    "delivered",
    "deferred",
    "bounced",
    "waiting",
];

/// Domains as CSV.
pub(super) fn csv(domains: &[Domain]) -> Vec<String> {
    let heading = COLUMNS.join(",");
    let rows = domains.iter().map(|domain| csv_line(&cells(domain)));
    [heading].into_iter().chain(rows).collect()
}

/// A domain's cells.
fn cells(domain: &Domain) -> [String; COLUMNS.len()] {
    let Domain { domain, state, waiting } = domain;
    let policy = state.policy.as_ref();
    [
        domain.clone(),
        state.protection.map_or_else(String::new, |protection| protection.label().to_owned()),
        moment(state.since),
        moment(state.at_least.tls),
        policy.map_or_else(String::new, |policy| policy.mode.word().to_owned()),
        policy.map_or_else(String::new, |policy| policy.id.clone()),
        moment(policy.map(|policy| policy.since)),
        moment(state.dane_since),
        moment(state.last_proof.as_ref().map(|proof| proof.at)),
        moment(state.held.as_ref().map(|held| held.since)),
        moment(Some(state.last_at)),
        state.counts.delivered.to_string(),
        state.counts.deferred.to_string(),
        state.counts.bounced.to_string(),
        waiting.map_or_else(String::new, |waiting| waiting.to_string()),
    ]
}

/// Domains as a table, of this width at most.
pub(super) fn table(
    domains: &[Domain],
    now: u64,
    width: Option<usize>,
    output: &mut Output,
) -> io::Result<()> {
    if domains.is_empty() {
        return output.line("no domain matches");
    }
    let mut table = Table::new([
        ("DOMAIN", Room::AtLeast(16)),
        ("PROTECTION", Room::Whole),
        ("SINCE", Room::Whole),
        ("POLICY", Room::Whole),
        ("SINCE", Room::IfThereIs),
        ("LAST", Room::IfThereIs),
        ("DELIVERED", Room::IfThereIs),
        ("WAITING", Room::Whole),
        ("REMARK", Room::AtLeast(16)),
    ]);
    for Domain { domain, state, waiting } in domains {
        let policy = state.policy.as_ref();
        table.row([
            domain.clone(),
            or_none(state.protection.map(Protection::label)),
            or_none(state.since.map(date)),
            or_none(policy.map(|policy| policy.mode.word())),
            or_none(policy.map(|policy| date(policy.since))),
            ago(state.last_at, now),
            state.counts.delivered.to_string(),
            or_none(*waiting),
            remark(state, now),
        ]);
    }
    table.print(width, output)
}

/// A domain with all that is known of it.
pub(super) fn full(found: &FullDomain, now: u64, output: &mut Output) -> io::Result<()> {
    let FullDomain { domain: Domain { domain, state, waiting }, days, events } = found;
    let mut field =
        |name: &str, text: String| output.line(format_args!("{name:<14}{}", printable(&text)));
    field("domain", domain.clone())?;
    field("protection", protection(state))?;
    field("policy", policy(state))?;
    if let Some(since) = state.dane_since {
        field("tlsa records", format!("matched since {}", at(since)))?;
    }
    if let Some(proof) = &state.last_proof {
        let what = proof.protection.label();
        let text = format!("{} {what}, {}, message {}", at(proof.at), proof.host, proof.queue_id);
        field("last proof", text)?;
    }
    for host in &state.certificates.0 {
        let Some(shown) = host.shown.last() else { continue };
        let end = shown.not_after.map_or_else(String::new, |end| format!(", ends {}", at(end)));
        let text = format!("{} {} since {}{end}", host.host, shown.sha256, date(shown.since));
        field("certificate", text)?;
    }
    let counts = state.counts;
    let waiting = waiting.map_or_else(String::new, |waiting| format!(", {waiting} waiting now"));
    field(
        "mail",
        format!(
            "{} delivered, {} deferred, {} bounced since {}{waiting}",
            counts.delivered,
            counts.deferred,
            counts.bounced,
            date(state.first_at)
        ),
    )?;
    let remark = remark(state, now);
    if !remark.is_empty() {
        field("remark", remark)?;
    }
    print_days(days, output)?;
    print_events(events, output)
}

/// The days with mail, as a table.
fn print_days(days: &[DayBar], output: &mut Output) -> io::Result<()> {
    if days.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let columns = ["DAY", "WORST", "DELIVERED", "DEFERRED", "BOUNCED"];
    let mut table = Table::new(columns.map(|name| (name, Room::Whole)));
    for DayBar { day, worst, counts } in days {
        table.row([
            day.to_string(),
            or_none(worst.map(Protection::label)),
            counts.delivered.to_string(),
            counts.deferred.to_string(),
            counts.bounced.to_string(),
        ]);
    }
    table.print(None, output)
}

/// What has happened, as lines.
fn print_events(events: &[Event], output: &mut Output) -> io::Result<()> {
    if !events.is_empty() {
        output.line("")?;
    }
    events
        .iter()
        .try_for_each(|event| output.line(printable(&format!("{}  {}", at(event.at), event.what))))
}

/// What protects mail, in words.
fn protection(state: &DomainState) -> String {
    let Some(protection) = state.protection else {
        return "not known: nothing was delivered yet".to_owned();
    };
    let since = state.since.map_or_else(String::new, |since| format!(" since {}", at(since)));
    let runs = state.at_least;
    let less = [
        (Protection::Dane, "dane at least", runs.dane),
        (Protection::Tls, "tls at least", runs.tls),
    ];
    let longer =
        less.into_iter().filter(|(least, _, run)| *least < protection && *run < state.since);
    let longer: Vec<_> = longer
        .filter_map(|(_, words, run)| Some(format!("; {words} since {}", at(run?))))
        .collect();
    format!("{}{since}{}", protection.label(), longer.concat())
}

/// The policy, in words.
fn policy(state: &DomainState) -> String {
    let policy = state.policy.as_ref().map(|PolicyStanding { id, mode, since, hosts: _ }| {
        format!("{} since {}, id {id}", mode.word(), at(*since))
    });
    let failing = state
        .refresh_failing_since
        .map(|since| format!("; it cannot be fetched again since {}", at(since)));
    policy.unwrap_or_else(|| "none".to_owned()) + &failing.unwrap_or_default()
}

/// What somebody should know first.
fn remark(state: &DomainState, now: u64) -> String {
    let held = state.held.as_ref().map(|held| {
        let since = ago(held.since, now);
        let why = held.error.as_deref().unwrap_or_else(|| held.cause.word());
        format!("not delivered for {since}: {why}")
    });
    let excepted =
        state.exception_since.map(|since| format!("under an exception since {}", at(since)));
    let failing = state.refresh_failing_since.map(|_| "policy cannot be fetched again".to_owned());
    let mut ending = state.certificates.near_end(now).filter_map(|(host, shown)| {
        Some(format!("certificate of {host} ends {}", at(shown.not_after?)))
    });
    held.or(excepted).or(failing).or_else(|| ending.next()).unwrap_or_default()
}

/// A value, or a dash.
fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A moment, or nothing.
fn moment(millis: Option<u64>) -> String {
    millis.map_or_else(String::new, at)
}

/// A moment.
fn at(millis: u64) -> String {
    Timestamp::of(time(millis)).to_string()
}

/// The day of a moment.
fn date(millis: u64) -> String {
    history::Day::of(millis).to_string()
}

/// How long ago a moment was.
fn ago(millis: u64, now: u64) -> String {
    span(now.saturating_sub(millis) / 1_000)
}
