//! `sts-relay history`: the files that are kept of attempts.

mod csv;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use clock::{Timestamp, time};
use history::{Fault, History, Order, Stats, Verified, verify_activities};

use self::csv::Csv;
use super::ending::Ending;
use super::output::{Format, Output};
use super::table::printable;
use super::trace::HistoryFilter;
use super::words::size;

/// What can be done with the history.
#[derive(Debug, Subcommand)]
pub(super) enum HistoryCommand {
    /// Show how much history is kept, and since when.
    Stats {
        #[command(flatten)]
        format: Format,
    },
    /// Print records, oldest first: one JSON object a line, or CSV.
    Export(Export),
    /// Check that no record was changed, removed or put in; reads all of them.
    Verify {
        #[command(flatten)]
        format: Format,
    },
}

/// What is exported, and how.
#[derive(Args, Debug)]
pub(super) struct Export {
    #[command(flatten)]
    filter: HistoryFilter,
    /// Print CSV (RFC 4180), for spreadsheets.
    #[arg(long)]
    csv: bool,
}

/// `sts-relay history`
pub(super) fn run(
    command: &HistoryCommand,
    dir: &Path,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let history = History::in_dir(dir);
    let unreadable = || format!("{}: the history cannot be read", dir.display());
    match command {
        HistoryCommand::Stats { format } => {
            let stats = history.stats().with_context(unreadable)?;
            format.write(&stats, output, print_stats)?;
            Ok(if stats.unreadable.is_empty() { Ending::Done } else { Ending::Refused })
        }
        HistoryCommand::Export(export) => export.run(&history, output).with_context(unreadable),
        HistoryCommand::Verify { format } => {
            let mut verified = history.verify().with_context(unreadable)?;
            verified.faults.extend(verify_activities(dir).with_context(unreadable)?);
            format.write(&verified, output, print_verified)?;
            Ok(if verified.faults.is_empty() { Ending::Done } else { Ending::Refused })
        }
    }
}

impl Export {
    /// Prints what is meant.
    fn run(&self, history: &History, output: &mut Output) -> anyhow::Result<Ending> {
        if self.csv {
            output.line(Csv::heading())?;
        }
        let mut written = Ok(());
        let unreadable = history.visit(&self.filter.query(), Order::OldestFirst, |record| {
            written = if self.csv { output.line(Csv::of(&record)) } else { output.json(&record) };
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written?;
        anyhow::ensure!(unreadable.is_empty(), "not read: {}", unreadable.join("; "));
        Ok(Ending::Done)
    }
}

/// How much there is, for people.
fn print_stats(stats: &Stats, output: &mut Output) -> io::Result<()> {
    let Some(since) = stats.since else { return output.line("no history is kept here") };
    let since = Timestamp::of(time(since));
    let Stats { segments, records, bytes, .. } = stats;
    output.line(format_args!(
        "{records} records in {segments} files ({}) since {since}",
        size(*bytes)
    ))?;
    stats.unreadable.iter().try_for_each(|one| output.line(format_args!("not read: {one}")))
}

/// What a verification found, for people.
fn print_verified(verified: &Verified, output: &mut Output) -> io::Result<()> {
    for Fault { file, number, what } in &verified.faults {
        let number = number.map_or_else(String::new, |number| format!(" record {number}:"));
        output.line(printable(&format!("{file}:{number} {what}")))?;
    }
    let Verified { segments, records, head, faults } = verified;
    if let Some((number, link)) = head {
        output.line(format_args!("record {number}, link {link}"))?;
    }
    output.line(format_args!("{records} records in {segments} files, {} faults", faults.len()))
}
