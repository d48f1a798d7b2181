//! `sts-relay check-config`: what is set, and whether it can be used.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use settings::{Settings, Source};

use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::preflight;

/// What is checked besides the settings.
#[derive(Args, Debug)]
pub(super) struct CheckConfigCommand {
    /// Check the network too: resolver, own host name, port 25, DKIM records, domains of [[rewrite]]; no
    /// mail is sent.
    #[arg(long)]
    network: bool,
    /// Check as this user (root only): finds files that the service's user cannot read.
    #[arg(long, value_name = "USER")]
    as_user: Option<String>,
}

impl CheckConfigCommand {
    /// The user in whose name the check is made, where it is another's.
    pub(super) fn as_user(&self) -> Option<&str> {
        self.as_user.as_deref()
    }
}

/// Has the same check made in the name of `user`, with that user's groups.
pub(super) fn run_as(
    user: &str,
    command: &CheckConfigCommand,
    config: Option<&Path>,
) -> anyhow::Result<Ending> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let mut check = Command::new("runuser");
    check.args(["-u", user, "--"]).arg(program).arg("check-config");
    check.args(command.network.then_some("--network"));
    if let Some(file) = config {
        check.arg("--config").arg(file);
    }
    let status = check.status().context("runuser (package util-linux) cannot be run")?;
    Ok(if status.success() { Ending::Done } else { Ending::Refused })
}

/// Prints what differs from the defaults, as lines of TOML, each with its location.
pub(super) fn run(
    command: &CheckConfigCommand,
    source: &Source,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let settings = Settings::check(source, now).context("the settings cannot be used")?;
    let differences = source.differences();
    for difference in &differences {
        let location = source.location(&difference.key);
        output.line(format_args!("{} = {}  # {location}", difference.key, difference.value))?;
    }
    if differences.is_empty() {
        output.line("# every setting has its default")?;
    }
    let mut warnings = settings.warnings.clone();
    warnings.extend(preflight::queues_elsewhere(&settings.data_dir));
    warnings.extend(preflight::of_machine(&settings, source, now));
    if command.network {
        let runtime = crate::cli::runtime::runtime()?;
        warnings.extend(runtime.block_on(Box::pin(preflight::of_network(&settings))));
        warnings.extend(runtime.block_on(Box::pin(preflight::of_dkim_keys(&settings))));
        warnings.extend(runtime.block_on(Box::pin(preflight::of_rewriting(&settings))));
        warnings.extend(runtime.block_on(Box::pin(preflight::of_validation(&settings))));
    }
    for warning in &warnings {
        output.line(format_args!("# warning: {warning}"))?;
    }
    Ok(Ending::Done)
}
