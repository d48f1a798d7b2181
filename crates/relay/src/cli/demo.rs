//! `sts-relay demo`: a private internet, a real relay in it, and what it does there.

use std::io;
use std::path::Path;
use std::time::Duration;

use access::Role;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::output::Reader;
use super::table::printable;
use super::ui;
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::demo::{self, Audience, Fate, Hearing, Kind, Row};

/// How long the runtime may take to end what is left of the internet.
const END: Duration = Duration::from_secs(2);

/// `demo`
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags that are typed or not")]
pub(super) struct DemoCommand {
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
    /// Go on running, and print a link to the operators' page of the relay.
    #[arg(long, conflicts_with = "json")]
    page: bool,
}

/// Who sees the demonstration.
struct Viewer<'a> {
    command: &'a DemoCommand,
    page: Page,
    output: &'a mut Output,
}

impl Audience for Viewer<'_> {
    fn row(&mut self, row: &Row) -> io::Result<()> {
        if self.command.json { Ok(()) } else { self.output.line(self.page.row(row)) }
    }

    async fn stay(&mut self, admin_socket: &Path, rows: &[Row]) -> anyhow::Result<()> {
        if !self.command.json {
            summarise(rows, promises_kept(rows), self.page, self.output)?;
        }
        if self.command.page {
            self.output.line("")?;
            ui::serve(admin_socket, Role::Operator, None, self.output).await?;
        }
        Ok(())
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    domains: &'a [Row],
    as_promised: usize,
    otherwise: usize,
}

/// Gives the demonstration.
pub(super) fn run(command: &DemoCommand, output: &mut Output) -> anyhow::Result<Ending> {
    let runtime = Runtime::new()?;
    let ending = runtime.block_on(async {
        tokio::select! {
            ending = Box::pin(show(command, output)) => ending,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("signal handlers cannot be installed")?;
                Ok(Ending::Refused)
            }
        }
    });
    runtime.shutdown_timeout(END);
    ending
}

/// The demonstration itself.
async fn show(command: &DemoCommand, output: &mut Output) -> anyhow::Result<Ending> {
    let ears = Hearing::begin().context("the relay's log cannot be heard")?;
    let page = Page::of(output.reader());
    if !command.json {
        output.line(page.heading())?;
    }
    let mut viewer = Viewer { command, page, output };
    let rows = Box::pin(demo::run(ears, &mut viewer)).await?;
    let as_promised = promises_kept(&rows);
    let otherwise = rows.len().saturating_sub(as_promised);
    if command.json {
        output.json(&Answer { domains: &rows, as_promised, otherwise })?;
    }
    Ok(if otherwise == 0 { Ending::Done } else { Ending::Refused })
}

/// How many domains were treated as it was promised.
fn promises_kept(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.is_as_promised()).count()
}

/// The last lines.
fn summarise(rows: &[Row], kept: usize, page: Page, output: &mut Output) -> io::Result<()> {
    let count = |fate: Fate| rows.iter().filter(|row| row.fate == fate).count();
    output.line("")?;
    let verdict = format!("{kept} of {} as promised", rows.len());
    let style = if kept == rows.len() { Style::Good } else { Style::Bad };
    output.line(format_args!(
        "{}: {} delivered to hosts that proved their names, {} waiting, {} without an enforced policy",
        page.styled(style, &verdict),
        count(Fate::Verified),
        count(Fate::Waiting),
        count(Fate::Encrypted).saturating_add(count(Fate::Clear)),
    ))
}

/// How the table looks.
#[derive(Clone, Copy, Debug)]
struct Page {
    reader: Reader,
}

/// How a word looks on a terminal.
#[derive(Clone, Copy, Debug)]
enum Style {
    Bad,
    Good,
    Waiting,
    Heading,
}

impl Page {
    const fn of(reader: Reader) -> Self {
        Self { reader }
    }

    /// The heading.
    fn heading(self) -> String {
        let line = columns("DOMAIN", "POLICY", "ITS MX HOST", "THE RELAY");
        self.styled(Style::Heading, &line)
    }

    /// A row.
    fn row(self, row: &Row) -> String {
        let did = format!("{}{}", self.styled(style(row), did(row)), printable(&because(row)));
        let broken = self.styled(Style::Bad, " (NOT AS PROMISED)");
        let verdict = if row.is_as_promised() { "" } else { &broken };
        columns(row.domain, row.policy, row.mx, &format!("{did}{verdict}"))
    }

    /// A word with its colour, where there is a terminal.
    fn styled(self, style: Style, word: &str) -> String {
        let code = match style {
            Style::Bad => "1;31",
            Style::Good => "32",
            Style::Waiting => "33",
            Style::Heading => "1",
        };
        match self.reader {
            Reader::Person => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
            Reader::Program => word.to_owned(),
        }
    }
}

/// One line of the table.
fn columns(domain: &str, policy: &str, mx: &str, relay: &str) -> String {
    let domains = Kind::ALL.map(|kind| kind.domain().len()).into_iter().max().unwrap_or_default();
    let hosts = Kind::ALL.map(|kind| kind.hosts().len()).into_iter().max().unwrap_or_default();
    format!("{domain:domains$}  {policy:7}  {mx:hosts$}  {relay}")
}

/// What the relay did.
const fn did(row: &Row) -> &'static str {
    match row.fate {
        Fate::Verified | Fate::Encrypted | Fate::Clear => "delivered",
        Fate::Waiting => "waiting",
        Fate::Astray => "astray",
    }
}

/// The colour of what it did.
fn style(row: &Row) -> Style {
    match row.fate {
        _ if !row.is_as_promised() => Style::Bad,
        Fate::Waiting => Style::Waiting,
        Fate::Verified | Fate::Encrypted | Fate::Clear => Style::Good,
        Fate::Astray => Style::Bad,
    }
}

/// How, or why not, without what the rest of the row says already.
fn because(row: &Row) -> String {
    let host = row.host.as_deref().unwrap_or_default();
    match row.fate {
        Fate::Verified => format!(" to {host}, verified"),
        Fate::Encrypted => format!(" by TLS, unverified: {}", row.why),
        Fate::Clear => format!(" in clear: {}", row.why),
        Fate::Waiting | Fate::Astray => format!(": {}", reason(row)),
    }
}

/// The relay's reason in few words; JSON has all of them.
fn reason(row: &Row) -> &str {
    let own_host = format!("mx.{}: ", row.domain);
    let hosts = ["not met by any of its hosts: ", "go to none of its hosts (RFC 7672): "]
        .iter()
        .find_map(|lead| row.why.split_once(lead).map(|(_policy, hosts)| hosts));
    let reason = hosts.unwrap_or(&row.why);
    let reason = reason.strip_prefix(own_host.as_str()).unwrap_or(reason);
    let reason = reason.strip_prefix("certificate verification failed: ").unwrap_or(reason);
    let reason = reason.strip_prefix("TLSA records not matched: ").unwrap_or(reason);
    let end = [";", " (TLSA base domain"].iter().filter_map(|end| reason.find(end)).min();
    end.and_then(|end| reason.get(..end)).unwrap_or(reason)
}
