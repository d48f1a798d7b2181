//! `sts-relay exception`: what is set aside for a domain while it mends what it has broken.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use clock::{Clock as _, SystemClock, Timestamp, TimestampError};
use mta_sts::{EXCEPTION_MAX, Exception, Lifts, PolicyDomain};
use settings::{RelayPaths, parse_duration};

use admin::api::exceptions::{ExceptionSource, ListedException};

use super::output::Format;
use super::table::{Room, Table, printable};
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;

/// What can be done about exceptions.
#[derive(Debug, Subcommand)]
pub(super) enum ExceptionCommand {
    /// Let mail for a domain leave in spite of its policy or its TLSA records, from now on, for a while.
    Add(AddCommand),
    /// List the exceptions that last, those of the settings as well.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// End an exception that was added by command.
    Remove {
        /// The policy domain.
        #[arg(value_parser = domain)]
        domain: PolicyDomain,
        #[command(flatten)]
        format: Format,
    },
}

/// `exception add`
#[derive(Args, Debug)]
pub(super) struct AddCommand {
    /// The policy domain: the part of an address after the @. Its subdomains are others.
    #[arg(value_parser = domain)]
    domain: PolicyDomain,
    /// Why there is one, for the log and for whoever finds it.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// How long it lasts: at most 30d.
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", value_parser = lasts)]
    lasts: Duration,
    /// When it ends: a day such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "lasts", value_parser = until)]
    until: Option<Timestamp>,
    /// What it sets aside: mta-sts, dane, or mta-sts,dane.
    #[arg(long, value_name = "WHAT", default_value = "mta-sts", value_parser = what)]
    what: Lifts,
    #[command(flatten)]
    format: Format,
}

/// Answers a command.
pub(super) async fn run(
    command: &ExceptionCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        ExceptionCommand::Add(command) => add(command, paths, output).await,
        ExceptionCommand::List { format } => {
            let listed = RelayOrDisk::reach(paths).await?.exceptions(paths).await?;
            format.write(&listed, output, |listed, output| print_list(listed, output))?;
            Ok(Ending::Done)
        }
        ExceptionCommand::Remove { domain, format } => {
            let removed = RelayOrDisk::running(paths).await?.remove_exception(domain).await?;
            let removed = removed.with_context(|| format!("there is no exception for {domain}"))?;
            format.write(&removed, output, |removed, output| {
                output.line(format_args!("{}: the exception is removed", removed.domain))
            })?;
            Ok(Ending::Done)
        }
    }
}

/// `exception add`
async fn add(
    command: &AddCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let now = SystemClock.now();
    let by_length = now.checked_add(command.lasts).context("the exception would never end")?;
    let until = command.until.map_or(by_length, Timestamp::time);
    let exception = Exception::new(command.domain.clone(), until, &command.reason, now)?;
    let exception = exception.lifting(command.what);
    let added = RelayOrDisk::running(paths).await?.add_exception(&exception).await?;
    command.format.write(&added, output, |added, output| {
        let (what, until) = (added.what.join(", "), added.until);
        output.line(format_args!(
            "{}: not enforced ({what}) until {until}; mail that waits is tried as it is due",
            added.domain
        ))
    })?;
    Ok(Ending::Done)
}

/// The list as a table.
fn print_list(listed: &[ListedException], output: &mut Output) -> io::Result<()> {
    if listed.is_empty() {
        return output.line("there is no exception");
    }
    let mut table = Table::new([
        ("DOMAIN", Room::AtLeast(16)),
        ("WHAT", Room::Whole),
        ("UNTIL", Room::Whole),
        ("FROM", Room::Whole),
        ("BY", Room::AtLeast(8)),
        ("REASON", Room::AtLeast(16)),
    ]);
    for one in listed {
        table.row([
            one.domain.clone(),
            one.what.join(","),
            one.until.to_string(),
            match one.from {
                ExceptionSource::Command => "command".to_owned(),
                ExceptionSource::Settings => "settings".to_owned(),
            },
            one.by.clone().unwrap_or_default(),
            printable(&one.reason),
        ]);
    }
    table.print(output.width(), output)
}

/// One domain.
fn domain(text: &str) -> Result<PolicyDomain, String> {
    let taken = "an exception is for one domain, such as example.org";
    if text.contains('*') || text.starts_with('.') {
        return Err(format!("{taken}, and not for a pattern"));
    }
    let is_literal = text.starts_with('[') || text.parse::<std::net::IpAddr>().is_ok();
    if is_literal {
        return Err(format!("{taken}, and not for an address, which has no policy"));
    }
    PolicyDomain::parse(text).map_err(|error| format!("{taken}: {error}"))
}

/// A reason that says something.
fn reason(text: &str) -> Result<String, String> {
    let said = text.trim();
    if said.is_empty() {
        return Err("an exception must say its reason, such as \"ticket 4711\"".to_owned());
    }
    Ok(said.to_owned())
}

/// How long an exception lasts.
fn lasts(text: &str) -> Result<Duration, String> {
    let taken = "write a number and a unit (m, h, d), as in 24h, of 30d at most";
    let given = parse_duration(text).filter(|lasts| !lasts.is_zero() && *lasts <= EXCEPTION_MAX);
    given.ok_or_else(|| taken.to_owned())
}

/// When an exception ends.
fn until(text: &str) -> Result<Timestamp, String> {
    let until: Timestamp = text.parse().map_err(|error: TimestampError| error.to_string())?;
    let left = until.time().duration_since(SystemClock.now());
    match left {
        Ok(left) if !left.is_zero() && left <= EXCEPTION_MAX => Ok(until),
        Ok(_) | Err(_) => Err("an exception ends in the future, at most 30 days ahead".to_owned()),
    }
}

/// What an exception sets aside.
fn what(text: &str) -> Result<Lifts, String> {
    Lifts::parse(text).ok_or_else(|| "write mta-sts, dane, or mta-sts,dane".to_owned())
}
