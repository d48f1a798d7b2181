//! `sts-relay completions` and `sts-relay man`: made of the same definitions as the help.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use crate::cli::ending::Ending;
use crate::cli::output::Output;

/// Which completions are printed.
#[derive(Args, Debug)]
pub(super) struct CompletionsCommand {
    /// The shell.
    shell: Shell,
}

/// Where the manual goes.
#[derive(Args, Debug)]
pub(super) struct ManCommand {
    /// The directory that the pages are written to; it is created if needed.
    directory: PathBuf,
}

/// Prints the completions of a shell.
pub(super) fn completions(
    command: &CompletionsCommand,
    mut described: clap::Command,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut described, "sts-relay", &mut script);
    output.bytes(&script)?;
    Ok(Ending::Done)
}

/// Writes a manual page for each command.
pub(super) fn man(
    command: &ManCommand,
    described: clap::Command,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let directory = &command.directory;
    let written = || format!("{} cannot be written", directory.display());
    std::fs::create_dir_all(directory).with_context(written)?;
    let count = pages(described, directory).with_context(written)?;
    output.line(format_args!("{count} pages written to {}", directory.display()))?;
    Ok(Ending::Done)
}

/// Writes the pages, and says how many there are.
fn pages(described: clap::Command, directory: &Path) -> std::io::Result<usize> {
    let mut command = described.disable_help_subcommand(true);
    command.build();
    let mut names = Vec::new();
    write_page(&command, directory, &mut names)?;
    Ok(names.len())
}

fn write_page(
    command: &clap::Command,
    directory: &Path,
    names: &mut Vec<String>,
) -> std::io::Result<()> {
    for sub in command.get_subcommands() {
        write_page(sub, directory, names)?;
    }
    let page = clap_mangen::Man::new(command.clone());
    let name = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(directory.join(&name), text)?;
    names.push(name);
    Ok(())
}
