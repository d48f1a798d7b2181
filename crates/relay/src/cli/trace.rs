//! `sts-relay trace`: what became of mail.

mod print;

use std::path::Path;
use std::time::SystemTime;
use std::{io, iter};

use anyhow::Context as _;
use clap::Args;
use history::{Found, History, OutcomeKind, Query, Wanted};
use mail::{Protection, QueueId};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use tls_rpt::ResultType;

use self::print::{attempts, table};
use super::ending::Ending;
use super::output::{ListFormat, Output};
use super::records_csv::Csv;
use super::typed::{moment, protection};

/// What is looked for, and how it is told.
#[derive(Args, Debug)]
pub(super) struct TraceCommand {
    /// The message, by its queue id: everything that is known of its attempts.
    #[arg(value_parser = queue_id)]
    id: Option<QueueId>,
    #[command(flatten)]
    filter: HistoryFilter,
    /// How many attempts are told at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    format: ListFormat,
}

/// Which attempts are meant: those that meet all of it.
#[derive(Args, Debug)]
pub(super) struct HistoryFilter {
    /// Attempts of mail with this reverse-path; empty: the null reverse-path.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Attempts for this recipient.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Attempts for recipients at this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Attempts that this host took, or that ended with it.
    #[arg(long, value_name = "MX")]
    host: Option<String>,
    /// Attempts with a host that showed the certificate with this SHA-256.
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    certificate: Option<String>,
    /// Attempts in whose session this was wrong, by its name in TLS reports (RFC 8460), as in
    /// certificate-expired.
    #[arg(long, value_parser = result_type)]
    verdict: Option<ResultType>,
    /// Attempts whose mail was protected like this: plaintext, tls, dane or verified.
    #[arg(long, value_parser = protection)]
    protection: Option<Protection>,
    /// Attempts that ended like this: delivered, deferred or bounced.
    #[arg(long, value_parser = outcome)]
    outcome: Option<OutcomeKind>,
    /// Attempts that ended at this time or later: a day, an RFC 3339 time, or so long ago (7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Attempts that ended before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
}

impl HistoryFilter {
    /// What the history is asked.
    pub(super) fn query(&self) -> Query {
        let texts = [
            self.sender.clone().map(Wanted::Sender),
            self.recipient.clone().map(Wanted::Recipient),
            self.domain.clone().map(Wanted::Domain),
            self.host.clone().map(Wanted::Host),
            self.certificate.clone().map(Wanted::Certificate),
            self.verdict.map(Wanted::Failure),
            self.protection.map(Wanted::Protection),
            self.outcome.map(Wanted::Outcome),
        ];
        let wanted = texts.into_iter().flatten().collect();
        Query { wanted, since: self.since, until: self.until }
    }
}

/// `sts-relay trace`
pub(super) fn run(
    command: &TraceCommand,
    dir: &Path,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut query = command.filter.query();
    query.wanted.extend(command.id.map(Wanted::QueueId));
    let found = History::in_dir(dir).find(&query, command.limit);
    let found = found.with_context(|| format!("{}: the history cannot be read", dir.display()))?;
    let text = |found: &Found, output: &mut Output| print(found, command.id, output);
    command.format.write(&found, output, rows, text)?;
    let is_found = !found.records.is_empty() && found.unreadable.is_empty();
    Ok(if is_found { Ending::Done } else { Ending::Refused })
}

/// What was found, for spreadsheets.
fn rows(found: &Found) -> Vec<String> {
    iter::once(Csv::heading()).chain(found.records.iter().map(Csv::of)).collect()
}

/// What was found, for people.
fn print(found: &Found, message: Option<QueueId>, output: &mut Output) -> io::Result<()> {
    match (found.records.as_slice(), message) {
        ([], _) => output.line("no attempt matches")?,
        (records, Some(_)) => attempts(records, output)?,
        (records, None) => table(records, output.width(), output)?,
    }
    if found.more {
        output.line("there are more; --limit says how many are told")?;
    }
    for unreadable in &found.unreadable {
        output.line(format_args!("not read: {unreadable}"))?;
    }
    Ok(())
}

/// A queue id.
pub(super) fn queue_id(text: &str) -> Result<QueueId, String> {
    text.parse().map_err(|_malformed| "it is not a queue id, which has 13 digits".to_owned())
}

/// A SHA-256, however it is written.
fn sha256(text: &str) -> Result<String, &'static str> {
    let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_lowercase();
    let is_whole = digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_whole.then_some(digits).ok_or("a SHA-256 has 64 hexadecimal digits")
}

/// What was wrong.
fn result_type(text: &str) -> Result<ResultType, String> {
    let input: StrDeserializer<'_, ValueError> = text.into_deserializer();
    ResultType::deserialize(input).map_err(|error| error.to_string())
}

/// How an attempt ended.
fn outcome(text: &str) -> Result<OutcomeKind, &'static str> {
    let found = OutcomeKind::ALL.into_iter().find(|one| one.word() == text);
    found.ok_or("it is one of delivered, deferred, bounced")
}
