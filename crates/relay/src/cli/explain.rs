//! `sts-relay explain`: a text for a domain's postmaster, to forward: what their policy says, what their
//! host showed, what to change.

mod advice;
mod letter;

use anyhow::Context as _;
use clap::Args;
use history::{Between, FoundRecord, History, Ledger, Query, Wanted};
use mail::QueueId;
use serde::Serialize;
use settings::RelayPaths;
use smtp::Domain;

use self::letter::{Case, Seen, letter};
use super::ending::Ending;
use super::output::{Format, Output};
use super::table::printable;

/// So many of the last attempts are looked at.
const ATTEMPTS: usize = 200;

/// What is explained, and how.
#[derive(Args, Debug)]
pub(super) struct ExplainCommand {
    /// The message, by its queue id, or the domain.
    #[arg(value_name = "ID|DOMAIN", value_parser = subject)]
    subject: Subject,
    #[command(flatten)]
    format: Format,
}

/// What is explained.
#[derive(Clone, Debug)]
enum Subject {
    /// What happened to mail for a domain last.
    Domain(Domain),
    /// What happened to a message.
    Message(QueueId),
}

/// The text for one domain.
#[derive(Debug, Serialize)]
struct Explanation {
    /// The domain.
    domain: String,
    /// The text.
    text: String,
}

/// `sts-relay explain`
pub(super) fn run(
    command: &ExplainCommand,
    paths: &RelayPaths,
    hostname: &str,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let wanted = match &command.subject {
        Subject::Domain(domain) => Wanted::Domain(domain.as_str().to_owned()),
        Subject::Message(id) => Wanted::QueueId(*id),
    };
    let query = Query { wanted: vec![wanted], ..Query::default() };
    let unreadable = || format!("{}: the history cannot be read", paths.history.display());
    let found = History::in_dir(&paths.history).find(&query, ATTEMPTS).with_context(unreadable)?;
    let mut explained: Vec<Explanation> = Vec::new();
    // The newest attempt of each domain is what it is about.
    for record in &found.records {
        let FoundRecord::Attempt { attempt, policy, session, .. } = record else { continue };
        if explained.iter().any(|known| known.domain == attempt.domain) {
            continue;
        }
        let seen = Seen { attempt, policy, session: session.as_deref() };
        let ledger = Ledger::in_dir(&paths.history);
        let state = ledger.domain(&attempt.domain, Between::ALWAYS, 0).with_context(unreadable)?;
        let state = state.map(|full| full.domain.state);
        let text = letter(&Case { hostname, seen, state: state.as_ref() });
        explained.push(Explanation { domain: attempt.domain.clone(), text });
    }
    command.format.write(&explained, output, |explained, output| {
        if explained.is_empty() {
            return output.line("no attempt is known of it");
        }
        for (place, Explanation { text, .. }) in explained.iter().enumerate() {
            if place > 0 {
                output.line("")?;
            }
            text.lines().try_for_each(|line| output.line(printable(line)))?;
        }
        Ok(())
    })?;
    Ok(if explained.is_empty() { Ending::Refused } else { Ending::Done })
}

/// A queue id or a domain.
fn subject(text: &str) -> Result<Subject, String> {
    if let Ok(id) = text.parse() {
        return Ok(Subject::Message(id));
    }
    Domain::parse(text)
        .map(Subject::Domain)
        .map_err(|error| format!("it is neither a queue id nor a domain: {error}"))
}
