//! `sts-relay check-config`: what is set, and whether it can be used.

use std::time::SystemTime;

use anyhow::Context as _;

use super::{Ending, Output};
use crate::settings::{Settings, Source};

/// Prints what differs from the defaults, as lines of TOML, each with its place.
pub(super) fn run(source: &Source, now: SystemTime, output: &mut Output) -> anyhow::Result<Ending> {
    let settings = Settings::check(source, now).context("the settings cannot be used")?;
    let differences = source.differences();
    for difference in &differences {
        let place = source.place(&difference.key);
        output.line(format_args!("{} = {}  # {place}", difference.key, difference.value))?;
    }
    if differences.is_empty() {
        output.line("# every setting has its default")?;
    }
    for warning in &settings.warnings {
        output.line(format_args!("# warning: {warning}"))?;
    }
    Ok(Ending::Done)
}
