//! What the queue's commands print for people.

use std::collections::BTreeSet;
use std::io;
use std::time::SystemTime;

use admin::api::answers::{
    Changed, Destination, DestinationStats, FullMessage, Message, QueueStats, Removed, Verified,
    Why,
};
use admin::api::limit_stats::LimitStats;
use admin::api::state_word::state_word;
use clock::{Clock as _, SystemClock};
use queue::{Filter, StateKind};

use crate::cli::output::Output;
use crate::cli::table::{Room, Table, printable};
use crate::cli::words::{ago, ahead, size, span};
use crate::number_text::counted;

/// What is said where no message meets a filter.
pub(super) fn none_of(filter: &Filter) -> &'static str {
    if *filter == Filter::default() {
        "the queue is empty"
    } else {
        "no message in the queue matches"
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
        Some(bounce) => output.line(format_args!("{id} is deleted; {bounce} notifies its sender")),
        None => output.line(format_args!("{id} is deleted")),
    }
}

/// What `queue verify` found.
pub(super) fn verified(verified: &Verified, output: &mut Output) -> io::Result<()> {
    for problem in &verified.problems {
        output.line(printable(&problem.text))?;
    }
    let Verified { messages, records, problems } = verified;
    let messages = counted(*messages, "message", "messages");
    let records = counted(*records, "whole record", "whole records");
    let problems = counted(problems.len(), "problem", "problems");
    output.line(format_args!("{messages}, {records}, {problems}"))
}

/// The list as a table, of this width at most.
pub(super) fn list(
    messages: &[Message],
    width: Option<usize>,
    output: &mut Output,
) -> io::Result<()> {
    let now = SystemClock.now();
    let mut table = Table::new([
        ("ID", Room::Whole),
        ("AGE", Room::Whole),
        ("SIZE", Room::IfThereIs),
        ("SENDER", Room::IfThereIs),
        ("RECIPIENTS", Room::AtLeast(12)),
        ("NEXT", Room::Whole),
        ("REASON", Room::AtLeast(24)),
    ]);
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
    table.print(width, output)
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
    let now = SystemClock.now();
    let received = message.headline.received_at;
    output.line(format_args!("id        {}", message.headline.id))?;
    output.line(format_args!("sender    {}", sender(message.headline.sender.as_deref())))?;
    output.line(format_args!("state     {}", state(message)))?;
    if let Some(damage) = &message.headline.damage {
        output.line(format_args!("damage    {}", printable(damage)))?;
    }
    output.line(format_args!("received  {received} ({} ago)", ago(received, now)))?;
    output.line(format_args!("size      {}", size(message.headline.size)))?;
    output.line(format_args!("file      {}", message.file))?;
    message.destinations.iter().try_for_each(|one| destination(one, now, output))
}

/// The state of a message, and what it waits for.
fn state(message: &FullMessage) -> String {
    let recipients = message.destinations.iter().flat_map(|one| &one.recipients);
    let reasons = recipients.filter_map(|one| one.reason.as_ref());
    let classes: BTreeSet<&str> = reasons.map(|why| why.class.as_str()).collect();
    let state = message.headline.state.as_str();
    if state == state_word(StateKind::Queued) && !classes.is_empty() {
        return format!(
            "waiting: {}",
            printable(&classes.into_iter().collect::<Vec<_>>().join(", "))
        );
    }
    printable(state)
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

/// Why mail waits.
fn why(why: &Why, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("  why     {} {}", why.status, printable(&why.text)))?;
    for (name, value) in
        [("host", &why.mx), ("addr", &why.addr), ("reply", &why.reply), ("policy", &why.policy)]
    {
        if let Some(value) = value {
            output.line(format_args!("  {name:<6}  {}", printable(value)))?;
        }
    }
    Ok(())
}

/// What waits for whom and why, as a table of this width at most.
pub(super) fn stats(
    stats: &QueueStats,
    width: Option<usize>,
    output: &mut Output,
) -> io::Result<()> {
    if let Some(staging) = &stats.staging {
        output.line(printable(staging))?;
    }
    if stats.messages == 0 && stats.quarantine.is_empty() {
        limits(&stats.limits, width, output)?;
        return output.line("the queue is empty");
    }
    output.line(format_args!("messages    {}", stats.messages))?;
    output.line(format_args!("recipients  {}", stats.recipients))?;
    output.line(format_args!("size        {}", size(stats.bytes)))?;
    for one in &stats.quarantine {
        output.line(format_args!("damaged     {} in {}", size(one.size), printable(&one.file)))?;
    }
    limits(&stats.limits, width, output)?;
    if stats.destinations.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let mut table = Table::new([
        ("DESTINATION", Room::AtLeast(16)),
        ("MESSAGES", Room::Whole),
        ("DUE", Room::Whole),
        ("OLDEST", Room::Whole),
        ("ON HOLD", Room::Whole),
        ("WAITING FOR", Room::AtLeast(24)),
    ]);
    for one in &stats.destinations {
        table.row([
            one.destination.clone(),
            one.messages.to_string(),
            one.due.to_string(),
            span(one.oldest_seconds),
            one.on_hold.to_string(),
            waiting(one),
        ]);
    }
    table.print(width, output)
}

/// How limits stand, as a table of this width at most.
fn limits(limits: &[LimitStats], width: Option<usize>, output: &mut Output) -> io::Result<()> {
    if limits.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("LIMIT", Room::AtLeast(16)),
        ("CONNECTIONS", Room::Whole),
        ("RATE", Room::Whole),
        ("WAITING", Room::Whole),
        ("SLOWED BY", Room::AtLeast(24)),
    ]);
    for one in limits {
        let most = one.most_connections.map(|most| format!(" of {most}")).unwrap_or_default();
        let slowed = one.slowed_by.as_ref().zip(one.slowed_since);
        table.row([
            printable(&one.limit),
            format!("{}{most}", one.connections),
            one.interval_ms.map_or_else(|| "-".to_owned(), rate),
            one.waiting_destinations.to_string(),
            slowed
                .map(|(reply, since)| format!("{since} {}", printable(reply)))
                .unwrap_or_default(),
        ]);
    }
    table.print(width, output)?;
    output.line("")
}

/// How many messages follow each other in a time, where they are so many milliseconds apart.
fn rate(interval_ms: f64) -> String {
    let times = [("s", 1e3), ("m", 60e3), ("h", 3_600e3), ("d", 86_400e3)];
    let per = |(name, millis): (&'static str, f64)| (name, millis / interval_ms);
    let (name, number) = times
        .map(per)
        .into_iter()
        .find(|(_, number)| *number >= 1.0 && (number - number.round()).abs() < 0.01)
        .unwrap_or(("m", 60e3 / interval_ms));
    let text = format!("{number:.2}");
    format!("{}/{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What the mail for a destination waits for, and a reason of the class that most of it waits for.
fn waiting(one: &DestinationStats) -> String {
    let mut classes: Vec<_> = one.waiting.iter().collect();
    classes.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
    let each = classes.iter().map(|(class, count)| format!("{class} {count}"));
    let classes = each.collect::<Vec<_>>().join(", ");
    match &one.reason {
        Some(why) => format!("{classes}: {}", short(why)),
        None => classes,
    }
}

/// A reverse-path.
fn sender(sender: Option<&str>) -> String {
    printable(sender.unwrap_or("<>"))
}

/// A reason in short: what is cut off at its end must be what matters least.
fn short(why: &Why) -> String {
    let Why { status, text, cause, mx, reply, .. } = why;
    match (mx, reply, cause) {
        (Some(mx), Some(reply), _) => format!("{status} {mx}: {reply}"),
        (Some(mx), None, Some(cause)) => format!("{status} {mx}: {cause}"),
        (Some(_), None, None) | (None, _, _) => format!("{status} {text}"),
    }
}

/// Says that a message is not there.
pub(super) fn gone(id: mail::QueueId) -> String {
    format!("{id} is not in the queue: it was delivered, bounced, deleted, or never there")
}
