//! `sts-relay dane`: TLSA records, for those who publish them and those who send by them.

mod lookup;
mod matching;

use std::time::SystemTime;

use clap::Subcommand;
use settings::Settings;

use super::ending::Ending;
use super::output::Output;

/// What can be asked about TLSA records.
#[derive(Debug, Subcommand)]
pub(super) enum DaneCommand {
    /// Look up the TLSA records of a mail host, and whether it matches them.
    Lookup(lookup::LookupCommand),
    /// Check whether certificates match TLSA records.
    Match(matching::MatchCommand),
}

/// Answers a command; `settings` are read only where they are needed.
pub(super) async fn run(
    command: &DaneCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        DaneCommand::Lookup(command) => Box::pin(lookup::run(command, &settings()?, output)).await,
        DaneCommand::Match(command) => matching::run(command, now, output),
    }
}
