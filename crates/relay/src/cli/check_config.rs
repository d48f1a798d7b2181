//! `sts-relay check-config`: what is set, and whether it can be used.

use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;

use super::{Ending, Output};
use crate::settings::{Settings, Source};
use crate::surroundings;

/// What is looked at besides the settings.
#[derive(Args, Debug)]
pub(super) struct CheckConfigCommand {
    /// Look at the network too: resolver, own name, port 25; mail need not be sent for it.
    #[arg(long)]
    network: bool,
}

/// Prints what differs from the defaults, as lines of TOML, each with its place.
pub(super) fn run(
    command: &CheckConfigCommand,
    source: &Source,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let settings = Settings::check(source, now).context("the settings cannot be used")?;
    let differences = source.differences();
    for difference in &differences {
        let place = source.place(&difference.key);
        output.line(format_args!("{} = {}  # {place}", difference.key, difference.value))?;
    }
    if differences.is_empty() {
        output.line("# every setting has its default")?;
    }
    let mut warnings = settings.warnings.clone();
    warnings.extend(surroundings::of_machine(&settings, source, now));
    if command.network {
        let network = Box::pin(surroundings::of_network(&settings));
        warnings.extend(super::runtime()?.block_on(network));
    }
    for warning in &warnings {
        output.line(format_args!("# warning: {warning}"))?;
    }
    Ok(Ending::Done)
}
