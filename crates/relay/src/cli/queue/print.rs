//! What the queue's commands print for people.

use std::io;
use std::time::SystemTime;

use super::super::table::{Table, printable};
use super::super::words::{ago, ahead, size, span};
use super::Output;
use crate::admin::answer::{
    Changed, Destination, FullMessage, Message, QueueStats, Removed, Retried, Verified, Why,
};

/// What `queue retry` did.
pub(super) fn retried(retried: &Retried, output: &mut Output) -> io::Result<()> {
    match retried.retried {
        0 => output.line("nothing waits there that is not tried now anyway"),
        1 => output.line("1 attempt is made now"),
        many => output.line(format_args!("{many} attempts are made now")),
    }
}

/// What `queue hold` and `queue release` did.
pub(super) fn changed(changed: &Changed, output: &mut Output) -> io::Result<()> {
    let Changed { id, state, changed } = changed;
    output.line(format_args!("{id} {} {state}", if *changed { "is now" } else { "was already" }))
}

/// What `queue delete` did.
pub(super) fn removed(removed: &Removed, output: &mut Output) -> io::Result<()> {
    let Removed { id, bounce } = removed;
    match bounce {
        Some(bounce) => {
            output.line(format_args!("{id} is removed; its sender is told by {bounce}"))
        }
        None => output.line(format_args!("{id} is removed")),
    }
}

/// What `queue verify` found.
pub(super) fn verified(verified: &Verified, output: &mut Output) -> io::Result<()> {
    for problem in &verified.problems {
        output.line(printable(&problem.text))?;
    }
    let Verified { messages, records, problems } = verified;
    let problems = problems.len();
    output.line(format_args!("{messages} messages, {records} whole records, {problems} problems"))
}

/// The list as a table.
pub(super) fn list(messages: &[Message], output: &mut Output) -> io::Result<()> {
    if messages.is_empty() {
        return output.line("there are no such messages");
    }
    let now = super::super::now();
    let mut table = Table::new(["ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT", "REASON"]);
    for message in messages {
        table.row([
            message.headline.id.clone(),
            ago(message.headline.received_at, now),
            size(message.headline.size),
            sender(message.headline.sender.as_deref()),
            recipients(message),
            next(message, now),
            message
                .headline
                .damage
                .clone()
                .or_else(|| message.reason.as_ref().map(short))
                .unwrap_or_default(),
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
        Some(next) if message.headline.state == "queued" => ahead(next, now),
        Some(_) | None => message.headline.state.clone(),
    }
}

/// A message with everything that is known.
pub(super) fn message(message: &FullMessage, output: &mut Output) -> io::Result<()> {
    let now = super::super::now();
    let received = message.headline.received_at;
    output.line(format_args!("id        {}", message.headline.id))?;
    output.line(format_args!("sender    {}", sender(message.headline.sender.as_deref())))?;
    output.line(format_args!("state     {}", message.headline.state))?;
    if let Some(damage) = &message.headline.damage {
        output.line(format_args!("damage    {}", printable(damage)))?;
    }
    output.line(format_args!("received  {received} ({} ago)", ago(received, now)))?;
    output.line(format_args!("size      {}", size(message.headline.size)))?;
    output.line(format_args!("file      {}", message.file))?;
    message.destinations.iter().try_for_each(|one| destination(one, now, output))
}

/// The recipients at one domain.
fn destination(destination: &Destination, now: SystemTime, output: &mut Output) -> io::Result<()> {
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
            self::why(why, output)?;
        }
    }
    Ok(())
}

/// Why mail is held.
fn why(why: &Why, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("  held    {} {}", why.status, printable(&why.text)))?;
    for (name, value) in
        [("host", &why.mx), ("addr", &why.addr), ("reply", &why.reply), ("policy", &why.policy)]
    {
        if let Some(value) = value {
            output.line(format_args!("  {name:<6}  {}", printable(value)))?;
        }
    }
    Ok(())
}

/// What waits for whom, as a table.
pub(super) fn stats(stats: &QueueStats, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("messages    {}", stats.messages))?;
    output.line(format_args!("recipients  {}", stats.recipients))?;
    output.line(format_args!("size        {}", size(stats.bytes)))?;
    for one in &stats.quarantine {
        output.line(format_args!("damaged     {} in {}", size(one.size), printable(&one.file)))?;
    }
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
            span(one.oldest_seconds),
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
