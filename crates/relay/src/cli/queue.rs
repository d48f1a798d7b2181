//! `sts-relay queue`: what waits, and why, and what an operator does about it.

mod print;

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use queue::{Filter, QueueId, Selection, StateKind};
use serde::Serialize;
use smtp::{MailboxDomain, ReversePath};

use super::exceptions::Excepted;
use super::output::Format;
use super::{Ending, Output, exceptions};
use crate::admin::answer::QueueStats;
use crate::admin::answers::Answers;
use crate::admin::view::Bounce;
use crate::admin::wishes::{reverse_path, state_kind};
use crate::settings::{Settings, duration_text};

/// What can be asked about the queue, and done to it.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List the messages that wait, oldest first.
    List {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        format: Format,
    },
    /// Show one message: who it is for, and why it is held.
    Show {
        /// The queue id.
        id: QueueId,
        /// Print its header and body instead, byte for byte.
        #[arg(long, conflicts_with = "json")]
        body: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Have messages tried now.
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        format: Format,
    },
    /// Keep a message from being sent, until it is released.
    Hold {
        /// The queue id.
        id: QueueId,
        #[command(flatten)]
        format: Format,
    },
    /// Let a message go that is held or quarantined.
    Release {
        /// The queue id.
        id: QueueId,
        #[command(flatten)]
        format: Format,
    },
    /// Remove a message for ever.
    Delete {
        /// The queue id.
        id: QueueId,
        /// Tell its sender.
        #[arg(long)]
        bounce: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Show what waits for whom.
    Stats {
        #[command(flatten)]
        format: Format,
    },
    /// Compare the spool with the index, changing neither; status 1 if anything is wrong.
    Verify {
        #[command(flatten)]
        format: Format,
    },
}

/// Which messages are listed: those that meet all of it.
#[derive(Args, Clone, Debug)]
pub(super) struct Wanted {
    /// Only messages from this address; <> for the null one.
    #[arg(long, value_name = "ADDRESS", value_parser = read_sender)]
    sender: Option<ReversePath>,
    /// Only messages with a recipient left at this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = MailboxDomain::parse)]
    recipient_domain: Option<MailboxDomain>,
    /// Only messages in this state: queued, held or quarantined.
    #[arg(long, value_name = "STATE", value_parser = read_state)]
    state: Option<StateKind>,
    /// Only messages whose copy on disk is damaged; the same as --state quarantined.
    #[arg(long, conflicts_with = "state")]
    quarantined: bool,
    /// Only messages that have waited at least so long, as in 90s, 2h or 3d.
    #[arg(long, value_name = "AGE", value_parser = read_age)]
    older_than: Option<Duration>,
}

impl Wanted {
    /// The same as the queue has it.
    fn filter(&self) -> Filter {
        Filter {
            sender: self.sender.clone(),
            destination: self.recipient_domain.clone(),
            state: self.quarantined.then_some(StateKind::Quarantined).or(self.state),
            older_than: self.older_than,
        }
    }
}

/// Which messages are tried now.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// The message with this queue id.
    id: Option<QueueId>,
    /// Everything for this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = MailboxDomain::parse)]
    domain: Option<MailboxDomain>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

impl Which {
    /// The same as the queue has it; with none of the three it is everything, and clap sees to it
    /// that there is one.
    fn selection(&self) -> Selection {
        match (self.id, &self.domain) {
            (Some(id), _) => Selection::Message(id),
            (None, Some(domain)) => Selection::Destination(domain.clone()),
            (None, None) => Selection::All,
        }
    }
}

/// A sender as it is typed.
fn read_sender(text: &str) -> Result<ReversePath, String> {
    reverse_path(text).map_err(|refusal| refusal.error)
}

/// A state as it is typed.
fn read_state(text: &str) -> Result<StateKind, String> {
    state_kind(text).map_err(|refusal| refusal.error)
}

/// An age as it is typed.
fn read_age(text: &str) -> Result<Duration, String> {
    duration_text::parse(text)
        .ok_or_else(|| "write a number and a unit, as in 90s, 2h or 3d".to_owned())
}

/// The answer to `queue stats`: what waits, and whose policies are set aside meanwhile.
#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    stats: QueueStats,
    exceptions: Vec<Excepted>,
}

/// Answers a command.
pub(super) async fn run(
    command: &QueueCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut answers = match command {
        QueueCommand::Verify { format } => return verify(settings, *format, output).await,
        QueueCommand::List { .. } | QueueCommand::Show { .. } | QueueCommand::Stats { .. } => {
            Answers::reach(settings).await?
        }
        QueueCommand::Delete { .. }
        | QueueCommand::Hold { .. }
        | QueueCommand::Release { .. }
        | QueueCommand::Retry { .. } => Answers::running(settings).await?,
    };
    let ending = answered(command, settings, &mut answers, output).await;
    answers.end().await;
    ending
}

/// Answers a command that needs the queue.
async fn answered(
    command: &QueueCommand,
    settings: &Settings,
    answers: &mut Answers,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        QueueCommand::List { wanted, format } => {
            list(answers, &wanted.filter(), *format, output).await
        }
        QueueCommand::Show { id, body: true, .. } => body(answers, *id, output).await,
        QueueCommand::Show { id, body: false, format } => {
            let message = answers.message(*id).await?.with_context(|| gone(*id))?;
            format.write(&message, output, print::message)?;
            Ok(Ending::Done)
        }
        QueueCommand::Retry { which, format } => {
            let retried = answers.retry(&which.selection()).await?;
            let retried = retried.with_context(|| which.id.map_or_else(String::new, gone))?;
            format.write(&retried, output, print::retried)?;
            Ok(Ending::Done)
        }
        QueueCommand::Hold { id, format } => {
            let changed = answers.hold(*id).await?.with_context(|| gone(*id))?;
            format.write(&changed, output, print::changed)?;
            Ok(Ending::Done)
        }
        QueueCommand::Release { id, format } => {
            let changed = answers.release(*id).await?.with_context(|| gone(*id))?;
            format.write(&changed, output, print::changed)?;
            Ok(Ending::Done)
        }
        QueueCommand::Delete { id, bounce, format } => {
            let bounce = if *bounce { Bounce::Sent } else { Bounce::None };
            let removed = answers.delete(*id, bounce).await?.with_context(|| gone(*id))?;
            format.write(&removed, output, print::removed)?;
            Ok(Ending::Done)
        }
        QueueCommand::Stats { format } => {
            let stats = answers.stats().await?.context("the running relay cannot do that")?;
            let shown = Standing { stats, exceptions: exceptions::in_force(settings) };
            format.write(&shown, output, |Standing { stats, exceptions }, output| {
                exceptions::print(exceptions, output)?;
                print::stats(stats, output)
            })?;
            Ok(Ending::Done)
        }
        QueueCommand::Verify { .. } => Ok(Ending::Done),
    }
}

/// Says that a message is not there.
fn gone(id: QueueId) -> String {
    format!("{id} is not in the queue: it was delivered, returned, removed, or never there")
}

/// `queue list`
async fn list(
    answers: &mut Answers,
    filter: &Filter,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let page = answers.messages(filter, after).await?;
        let Some(last) = page.last() else { break };
        after = Some(
            last.headline.id.parse::<QueueId>().context("the relay's answer has a strange id")?,
        );
        messages.extend(page);
    }
    format.write(&messages, output, |messages, output| print::list(messages, output))?;
    Ok(Ending::Done)
}

/// `queue show --body`
async fn body(answers: &mut Answers, id: QueueId, output: &mut Output) -> anyhow::Result<Ending> {
    if answers.body(id, |bytes| output.bytes(bytes)).await? {
        Ok(Ending::Done)
    } else {
        anyhow::bail!(gone(id))
    }
}

/// `queue verify`
async fn verify(
    settings: &Settings,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let verified = Answers::verify(settings).await?;
    format.write(&verified, output, print::verified)?;
    Ok(if verified.problems.is_empty() { Ending::Done } else { Ending::Refused })
}
