//! `sts-relay queue`: what waits, and why.

use std::io;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use queue::{QueueId, Selection};
use smtp::MailboxDomain;

use super::output::Format;
use super::table::{Table, printable};
use super::words::{ago, ahead, size};
use super::{Ending, Output};
use crate::admin::answer::{Destination, FullMessage, Message, QueueStats, Why};
use crate::admin::answers::Answers;
use crate::settings::Settings;

/// What can be asked about the queue.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List the messages that wait, oldest first.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show one message: who it is for, and why it is held.
    Show {
        /// The queue id.
        id: QueueId,
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
    /// Show what waits for whom.
    Stats {
        #[command(flatten)]
        format: Format,
    },
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

/// Answers a command.
pub(super) async fn run(
    command: &QueueCommand,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut answers = Answers::reach(settings).await?;
    let ending = match command {
        QueueCommand::List { format } => list(&mut answers, *format, output).await,
        QueueCommand::Show { id, format } => show(&mut answers, *id, *format, output).await,
        QueueCommand::Retry { which, format } => {
            retry(&mut answers, &which.selection(), *format, output).await
        }
        QueueCommand::Stats { format } => stats(&mut answers, *format, output).await,
    };
    answers.end().await;
    ending
}

/// `queue list`
async fn list(
    answers: &mut Answers,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let page = answers.messages(after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.parse::<QueueId>().context("the relay's answer has a strange id")?);
        messages.extend(page);
    }
    format.write(&messages, output, |messages, output| print_list(messages, output))?;
    Ok(Ending::Done)
}

/// `queue show`
async fn show(
    answers: &mut Answers,
    id: QueueId,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let Some(message) = answers.message(id).await? else {
        anyhow::bail!("{id} is not in the queue: it was delivered, returned, or never there");
    };
    format.write(&message, output, print_message)?;
    Ok(Ending::Done)
}

/// `queue retry`
async fn retry(
    answers: &mut Answers,
    selection: &Selection,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let Some(retried) = answers.retry(selection).await? else {
        anyhow::bail!(
            "the message is not in the queue: it was delivered, returned, or never there"
        );
    };
    format.write(&retried, output, |retried, output| match retried.retried {
        0 => output.line("nothing waits there that is not tried now anyway"),
        1 => output.line("1 attempt is made now"),
        many => output.line(format_args!("{many} attempts are made now")),
    })?;
    Ok(Ending::Done)
}

/// `queue stats`
async fn stats(
    answers: &mut Answers,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let stats = answers.stats().await?.context("the running relay cannot do that")?;
    format.write(&stats, output, print_stats)?;
    Ok(Ending::Done)
}

/// The list as a table.
fn print_list(messages: &[Message], output: &mut Output) -> io::Result<()> {
    if messages.is_empty() {
        return output.line("the queue is empty");
    }
    let now = super::now();
    let mut table = Table::new(["ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT", "REASON"]);
    for message in messages {
        table.row([
            message.id.clone(),
            ago(message.received_at, now),
            size(message.size),
            sender(message.sender.as_deref()),
            recipients(message),
            next(message, now),
            message.reason.as_ref().map(short).unwrap_or_default(),
        ]);
    }
    table.print(output)
}

/// Whom a message is for, in short.
fn recipients(message: &Message) -> String {
    let first = message.first_recipient.as_deref().unwrap_or("?");
    match message.recipients {
        0 | 1 => first.to_owned(),
        many => format!("{first} and {} more", many.saturating_sub(1)),
    }
}

/// When a message is tried again, or why it is not.
fn next(message: &Message, now: SystemTime) -> String {
    match message.next_attempt {
        Some(next) if message.state == "queued" => ahead(next, now),
        Some(_) | None => message.state.clone(),
    }
}

/// A message with everything that is known.
fn print_message(message: &FullMessage, output: &mut Output) -> io::Result<()> {
    let now = super::now();
    let received = message.received_at;
    output.line(format_args!("id        {}", message.id))?;
    output.line(format_args!("sender    {}", sender(message.sender.as_deref())))?;
    output.line(format_args!("state     {}", message.state))?;
    output.line(format_args!("received  {received} ({} ago)", ago(received, now)))?;
    output.line(format_args!("size      {}", size(message.size)))?;
    output.line(format_args!("file      {}", message.file))?;
    message.destinations.iter().try_for_each(|one| print_destination(one, now, output))
}

/// The recipients at one domain.
fn print_destination(
    destination: &Destination,
    now: SystemTime,
    output: &mut Output,
) -> io::Result<()> {
    output.line("")?;
    output.line(format_args!("domain    {}", printable(&destination.destination)))?;
    output.line(format_args!("attempts  {}", destination.attempts))?;
    if let Some(next) = destination.next_attempt {
        output.line(format_args!("next      {next} ({})", ahead(next, now)))?;
    }
    // Recipients of one attempt mostly share its reason; it is told once, after all of them.
    for alike in destination.recipients.chunk_by(|one, next| one.reason == next.reason) {
        for recipient in alike {
            output.line(format_args!("for       {}", printable(&recipient.address)))?;
        }
        if let Some(why) = alike.first().and_then(|one| one.reason.as_ref()) {
            print_why(why, output)?;
        }
    }
    Ok(())
}

/// Why mail is held.
fn print_why(why: &Why, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("  held    {} {}", why.status, printable(&why.text)))?;
    for (name, value) in [("host", &why.mx), ("reply", &why.reply), ("policy", &why.policy)] {
        if let Some(value) = value {
            output.line(format_args!("  {name:<6}  {}", printable(value)))?;
        }
    }
    Ok(())
}

/// What waits for whom, as a table.
fn print_stats(stats: &QueueStats, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("messages    {}", stats.messages))?;
    output.line(format_args!("recipients  {}", stats.recipients))?;
    output.line(format_args!("size        {}", size(stats.bytes)))?;
    if stats.destinations.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let mut table = Table::new(["DESTINATION", "MESSAGES", "DUE", "OLDEST"]);
    for one in &stats.destinations {
        table.row([
            one.destination.clone(),
            one.messages.to_string(),
            one.due.to_string(),
            super::words::span(one.oldest_seconds),
        ]);
    }
    table.print(output)
}

/// A reverse-path.
fn sender(sender: Option<&str>) -> String {
    printable(sender.unwrap_or("<>"))
}

/// A reason in short.
fn short(why: &Why) -> String {
    let host = why.mx.as_deref().map(|mx| format!(" ({mx})")).unwrap_or_default();
    format!("{} {}{host}", why.status, why.text)
}
