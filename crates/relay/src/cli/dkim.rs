//! `sts-relay dkim`: keys that sign mail, and their records.

mod check;
mod keygen;

use std::time::SystemTime;

use clap::Subcommand;
use settings::Settings;

use super::ending::Ending;
use super::output::{Format, Output};

/// What can be done about keys that sign mail.
#[derive(Debug, Subcommand)]
pub(super) enum DkimCommand {
    /// Make a key, and print the DNS record to publish for it.
    Keygen(keygen::Keygen),
    /// Compare the keys of the settings with the records that are published.
    Check {
        /// Only the keys of this domain.
        domain: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// Does what was typed; `settings` are read only where they are needed.
pub(super) async fn run(
    command: &DkimCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        DkimCommand::Keygen(new) => keygen::run(new, now, output),
        DkimCommand::Check { domain, format } => {
            check::run(&settings()?, domain.as_deref(), *format, output).await
        }
    }
}
