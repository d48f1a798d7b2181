//! Changes of many messages: counted, asked for, and made part by part.

use std::io::{self, IsTerminal as _, Write as _};

use admin::api::answers::{ManyChanged, Matched, Retried};
use admin::api::change::{Bounce, Change};
use admin::api::query::Part;
use anyhow::Context as _;
use clap::Args;
use queue::{Filter, QueueId, Selection};

use super::print;
use super::wanted::Meant;
use crate::cli::ending::Ending;
use crate::cli::output::Format;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;
use crate::number_text::counted;

/// Whether the one who types has agreed to a change of many messages.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Agreed {
    /// Change many messages without confirmation.
    #[arg(long)]
    yes: bool,
}

/// Changes all messages that meet `filter`, if that is agreed to: those alone that were counted.
pub(super) async fn change(
    answers: &mut RelayOrDisk,
    change: Change,
    filter: &Filter,
    agreed: Agreed,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let Matched { messages, last } = answers.matching(filter).await?;
    if messages > 0 && !is_agreed(change, messages, agreed)? {
        return Ok(Ending::Refused);
    }
    let mut total = ManyChanged::default();
    let mut part = Part { filter: filter.clone(), after: None, until: None };
    part.until = last.as_deref().map(id).transpose()?;
    while part.until.is_some() {
        let done = answers.change_part(change, &part).await?;
        total.matched = total.matched.saturating_add(done.matched);
        total.changed = total.changed.saturating_add(done.changed);
        let Some(after) = done.after else { break };
        part.after = Some(id(&after)?);
    }
    format.write(&total, output, |total, output| match total.matched {
        0 => output.line(print::none_of(filter)),
        _ => output.line(done_in_words(change, *total)),
    })?;
    let is_in_vain = total.matched == 0 || (change == Change::Retry && total.changed == 0);
    Ok(if is_in_vain { Ending::Refused } else { Ending::Done })
}

/// Has messages tried now.
pub(super) async fn retry(
    answers: &mut RelayOrDisk,
    meant: &Meant,
    agreed: Agreed,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let selection = match meant {
        Meant::One(id) => Selection::Message(*id),
        Meant::Many(filter) => match selection(filter) {
            // Nobody is asked who cannot answer: a retry changes nothing that could be missed.
            Some(selection) if agreed.yes || !can_answer() => selection,
            Some(_) | None => {
                let agreed = Agreed { yes: agreed.yes || !can_answer() };
                return change(answers, Change::Retry, filter, agreed, format, output).await;
            }
        },
    };
    let retried = answers.retry(&selection).await?;
    let retried = retried.with_context(|| match &selection {
        Selection::Message(id) => print::gone(*id),
        Selection::All | Selection::Destination(_) => String::new(),
    })?;
    format.write(&retried, output, |retried, output| {
        output.line(retried_in_words(&selection, retried))
    })?;
    Ok(if retried.retried == 0 { Ending::Refused } else { Ending::Done })
}

/// The selection that is the same as `filter`, if the queue has one.
fn selection(filter: &Filter) -> Option<Selection> {
    match filter {
        Filter {
            destination: Some(domain),
            sender: None,
            state: None,
            reason: None,
            older_than: None,
        } => Some(Selection::Destination(domain.clone())),
        all if *all == Filter::default() => Some(Selection::All),
        _ => None,
    }
}

/// Whether there is somebody to ask.
fn can_answer() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether so many messages may be changed; asks, if that is not known.
fn is_agreed(change: Change, messages: u64, agreed: Agreed) -> anyhow::Result<bool> {
    if agreed.yes {
        return Ok(true);
    }
    let question = question(change, messages);
    anyhow::ensure!(
        can_answer(),
        "{question} There is no terminal to answer at: nothing was changed, pass --yes to continue"
    );
    let mut terminal = io::stderr();
    write!(terminal, "{question} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let agrees = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    if !agrees {
        writeln!(terminal, "nothing was changed")?;
    }
    Ok(agrees)
}

/// What is asked before a change.
fn question(change: Change, messages: u64) -> String {
    let messages = counted(messages, "message", "messages");
    match change {
        Change::Delete(Bounce::None) => {
            format!("Delete {messages} permanently, without notifying the senders?")
        }
        Change::Delete(Bounce::Sent) => {
            format!("Delete {messages} permanently, and notify the senders?")
        }
        Change::Hold => format!("Put {messages} on hold?"),
        Change::Release => format!("Release {messages}?"),
        Change::Retry => format!("Try {messages} now?"),
    }
}

/// What a change did.
fn done_in_words(change: Change, ManyChanged { matched, changed }: ManyChanged) -> String {
    let messages = counted(changed, "message", "messages");
    let others = match matched.saturating_sub(changed) {
        0 => String::new(),
        others => format!(", {others} not changed by that"),
    };
    match change {
        Change::Delete(_) => format!("{messages} deleted{others}"),
        Change::Hold => format!("{messages} put on hold{others}"),
        Change::Release => format!("{messages} released{others}"),
        Change::Retry => attempts_in_words(changed),
    }
}

/// How many attempts are made now.
fn attempts_in_words(attempts: u64) -> String {
    match attempts {
        0 => "no waiting message matches".to_owned(),
        1 => "1 attempt is made now".to_owned(),
        many => format!("{many} attempts are made now"),
    }
}

/// What `queue retry` did.
fn retried_in_words(selection: &Selection, Retried { retried, state }: &Retried) -> String {
    match (selection, state.as_deref(), retried) {
        (Selection::Message(id), Some("queued") | None, 0) => {
            format!("{id} has no recipient that could be tried")
        }
        (Selection::Message(id), Some(state), 0) => {
            format!(
                "{id} is {state} and is not tried: release it with `sts-relay queue release {id}`"
            )
        }
        (Selection::All, _, 0) => "the queue has nothing that could be tried".to_owned(),
        (_, _, attempts) => attempts_in_words(*attempts),
    }
}

/// An id of an answer.
fn id(text: &str) -> anyhow::Result<QueueId> {
    text.parse().context("the relay's answer has an invalid id")
}
