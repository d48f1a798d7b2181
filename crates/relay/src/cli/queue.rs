//! `sts-relay queue`: what waits, and why, and what an operator does about it.

mod many;
mod print;
mod wanted;

use admin::api::answers::QueueStats;
use admin::api::change::{Bounce, Change};
use admin::api::exceptions::ListedException;
use anyhow::Context as _;
use clap::Subcommand;
use queue::{Filter, QueueId};
use serde::Serialize;
use settings::RelayPaths;

use self::many::Agreed;
use self::wanted::{Meant, Wanted, Which};
use super::output::Format;
use crate::cli::ending::Ending;
use crate::cli::exceptions;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;

/// What can be asked about the queue, and done to it.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List queued messages, oldest first.
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// Print all columns in full, whatever the width of the terminal.
        #[arg(long, conflicts_with = "json")]
        wide: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Show one message: its recipients, and why it waits.
    Show {
        /// The queue id.
        id: QueueId,
        /// Print its header and body instead, unchanged.
        #[arg(long, conflicts_with = "json")]
        body: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Try messages now; status 1 if none is tried.
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        agreed: Agreed,
        #[command(flatten)]
        format: Format,
    },
    /// Keep messages from being sent, until they are released.
    Hold {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        agreed: Agreed,
        #[command(flatten)]
        format: Format,
    },
    /// Release messages that are held or quarantined.
    Release {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        agreed: Agreed,
        #[command(flatten)]
        format: Format,
    },
    /// Delete messages permanently.
    Delete {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        agreed: Agreed,
        /// Notify their senders by a bounce.
        #[arg(long)]
        bounce: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Show waiting mail by domain.
    Stats {
        #[command(flatten)]
        format: Format,
    },
    /// Compare the spool with the index without changing them; status 1 if they differ.
    Verify {
        #[command(flatten)]
        format: Format,
    },
}

/// The answer to `queue stats`: what waits, and whose policies are set aside meanwhile.
#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    stats: QueueStats,
    exceptions: Vec<ListedException>,
}

/// Answers a command.
pub(super) async fn run(
    command: &QueueCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut answers = match command {
        QueueCommand::Verify { format } => return verify(paths, *format, output).await,
        QueueCommand::List { .. } | QueueCommand::Show { .. } | QueueCommand::Stats { .. } => {
            RelayOrDisk::reach(paths).await?
        }
        QueueCommand::Delete { .. }
        | QueueCommand::Hold { .. }
        | QueueCommand::Release { .. }
        | QueueCommand::Retry { .. } => RelayOrDisk::running(paths).await?,
    };
    answered(command, paths, &mut answers, output).await
}

/// Answers a command that needs the queue.
async fn answered(
    command: &QueueCommand,
    paths: &RelayPaths,
    answers: &mut RelayOrDisk,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        QueueCommand::List { wanted, wide, format } => {
            let width = if *wide { None } else { output.width() };
            list(answers, &wanted.filter(), width, *format, output).await
        }
        QueueCommand::Show { id, body: true, .. } => body(answers, *id, output).await,
        QueueCommand::Show { id, body: false, format } => {
            let message = answers.message(*id).await?.with_context(|| print::gone(*id))?;
            format.write(&message, output, print::message)?;
            Ok(Ending::Done)
        }
        QueueCommand::Retry { which, agreed, format } => {
            many::retry(answers, &which.meant(), *agreed, *format, output).await
        }
        QueueCommand::Hold { which, agreed, format } => match which.meant() {
            Meant::One(id) => {
                let changed = answers.hold(id).await?.with_context(|| print::gone(id))?;
                format.write(&changed, output, print::changed)?;
                Ok(Ending::Done)
            }
            Meant::Many(filter) => {
                many::change(answers, Change::Hold, &filter, *agreed, *format, output).await
            }
        },
        QueueCommand::Release { which, agreed, format } => match which.meant() {
            Meant::One(id) => {
                let changed = answers.release(id).await?.with_context(|| print::gone(id))?;
                format.write(&changed, output, print::changed)?;
                Ok(Ending::Done)
            }
            Meant::Many(filter) => {
                many::change(answers, Change::Release, &filter, *agreed, *format, output).await
            }
        },
        QueueCommand::Delete { which, agreed, bounce, format } => {
            let bounce = if *bounce { Bounce::Sent } else { Bounce::None };
            match which.meant() {
                Meant::One(id) => {
                    let removed =
                        answers.delete(id, bounce).await?.with_context(|| print::gone(id))?;
                    format.write(&removed, output, print::removed)?;
                    Ok(Ending::Done)
                }
                Meant::Many(filter) => {
                    let change = Change::Delete(bounce);
                    many::change(answers, change, &filter, *agreed, *format, output).await
                }
            }
        }
        QueueCommand::Stats { format } => {
            let stats =
                answers.stats().await?.context("the running relay does not support this")?;
            let shown = Standing { stats, exceptions: answers.exceptions(paths).await? };
            format.write(&shown, output, |Standing { stats, exceptions }, output| {
                exceptions::print(exceptions, output)?;
                let width = output.width();
                print::stats(stats, width, output)
            })?;
            Ok(Ending::Done)
        }
        QueueCommand::Verify { .. } => Ok(Ending::Done),
    }
}

/// `queue list`
async fn list(
    answers: &mut RelayOrDisk,
    filter: &Filter,
    width: Option<usize>,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let page = answers.messages(filter, after).await?;
        let Some(last) = page.last() else { break };
        after = Some(
            last.headline.id.parse::<QueueId>().context("the relay's answer has an invalid id")?,
        );
        messages.extend(page);
    }
    format.write(&messages, output, |messages, output| {
        if messages.is_empty() {
            return output.line(print::none_of(filter));
        }
        print::list(messages, width, output)
    })?;
    Ok(Ending::Done)
}

/// `queue show --body`
async fn body(
    answers: &mut RelayOrDisk,
    id: QueueId,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    if answers.body(id, |bytes| output.bytes(bytes)).await? {
        Ok(Ending::Done)
    } else {
        anyhow::bail!(print::gone(id))
    }
}

/// `queue verify`
async fn verify(paths: &RelayPaths, format: Format, output: &mut Output) -> anyhow::Result<Ending> {
    let verified = RelayOrDisk::verify(paths).await?;
    format.write(&verified, output, print::verified)?;
    Ok(if verified.problems.is_empty() { Ending::Done } else { Ending::Refused })
}
