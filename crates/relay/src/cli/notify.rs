//! `sts-relay notify`: who is told when a person is needed.

use std::io;

use admin::api::notice_answers::TestedDestination;
use clap::Subcommand;
use settings::RelayPaths;

use super::ending::Ending;
use super::output::{Format, Output};
use super::relay_or_disk::{AnswerError, RelayOrDisk};
use super::runtime::runtime;
use super::table::printable;

/// What can be done with destinations of notices.
#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test to a destination, or to all.
    ///
    /// It is sent once, by the running relay; a mail is in its queue when this ends.
    Test {
        /// The name of a [[notify]] [default: all].
        name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// Does what was typed.
pub(super) fn run(
    command: &NotifyCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    runtime()?.block_on(Box::pin(test(command, paths, output)))
}

/// Has the relay send tests.
async fn test(
    command: &NotifyCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let NotifyCommand::Test { name, format } = command;
    let mut relay = RelayOrDisk::running(paths).await?;
    let client = relay.client()?;
    let path = match name {
        Some(name) if !is_name(name) => anyhow::bail!("`{}` is no name", printable(name)),
        Some(name) => format!("/notify/test?name={name}"),
        None => "/notify/test".to_owned(),
    };
    let tested: Option<Vec<TestedDestination>> = client.post(&path).await?;
    let tested = match (tested, name) {
        (Some(tested), _) => tested,
        (None, Some(name)) => anyhow::bail!("the settings have no [[notify]] of the name {name}"),
        (None, None) => return Err(AnswerError::TooOld.into()),
    };
    if tested.is_empty() {
        anyhow::bail!("nobody is told: the settings have no [[notify]]");
    }
    format.write(&tested, output, |tested, output| print(tested, output))?;
    let failed = tested.iter().any(|one| one.error.is_some());
    Ok(if failed { Ending::Refused } else { Ending::Done })
}

/// Whether a name can be one of a `[[notify]]`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// One line for each.
fn print(tested: &[TestedDestination], output: &mut Output) -> io::Result<()> {
    tested.iter().try_for_each(|one| match &one.error {
        None => output.line(format_args!("{}: sent", one.name)),
        Some(error) => output.line(format_args!("{}: not sent: {}", one.name, printable(error))),
    })
}
