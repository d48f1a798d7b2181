//! `sts-relay history`: the files that are kept of attempts.

mod verify;

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use clock::{Timestamp, time};
use history::{History, Order, Stats};
use mail::QueueId;
use serde::Serialize;

use self::verify::verify;
use super::ending::Ending;
use super::output::{Format, Output};
use super::records_csv::Csv;
use super::trace::{HistoryFilter, queue_id};
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
    /// Write a proof of what became of a message: its records, all that they name, and the way from each
    /// to a link that went to the log.
    Proof {
        /// The message, by its queue id.
        #[arg(value_parser = queue_id)]
        id: QueueId,
    },
    /// Remove an address that is kept in clear; all else of its records stays, and the chain holds.
    Forget {
        /// The address.
        address: String,
        #[command(flatten)]
        format: Format,
    },
    /// Check that no record was changed, removed or put in; reads all of them.
    Verify {
        /// A proof, a segment or the directory of a history, of whichever relay; none: this relay's own.
        path: Option<PathBuf>,
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
    own_dir: impl FnOnce() -> PathBuf,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    if let HistoryCommand::Verify { path: Some(path), format } = command {
        return verify(path, *format, output);
    }
    let dir = own_dir();
    let history = History::in_dir(&dir);
    let unreadable = || format!("{}: the history cannot be read", dir.display());
    match command {
        HistoryCommand::Stats { format } => {
            let stats = history.stats().with_context(unreadable)?;
            format.write(&stats, output, print_stats)?;
            Ok(if stats.unreadable.is_empty() { Ending::Done } else { Ending::Refused })
        }
        HistoryCommand::Export(export) => export.run(&history, output).with_context(unreadable),
        HistoryCommand::Proof { id } => {
            let proof = history.proof(*id).with_context(unreadable)?;
            let Some(proof) = proof else { anyhow::bail!("{id}: no record of it") };
            output.json(&proof)?;
            Ok(Ending::Done)
        }
        HistoryCommand::Forget { address, format } => {
            let forgotten = Forgotten { files: history.forget(address).with_context(unreadable)? };
            format.write(&forgotten, output, print_forgotten)?;
            Ok(if forgotten.files > 0 { Ending::Done } else { Ending::Refused })
        }
        HistoryCommand::Verify { format, .. } => verify(&dir, *format, output),
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

/// What has become of an address.
#[derive(Debug, Serialize)]
struct Forgotten {
    /// In how many files it was.
    files: usize,
}

/// The same for people.
fn print_forgotten(forgotten: &Forgotten, output: &mut Output) -> io::Result<()> {
    match forgotten.files {
        0 => output.line("no file has it in clear"),
        files => output.line(format_args!("removed from {files} files")),
    }
}
