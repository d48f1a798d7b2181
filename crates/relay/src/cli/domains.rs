//! `sts-relay domains` and `domain`: what protects mail to each domain, and since when.

mod print;

use std::collections::HashMap;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use clock::millis;
use history::{Between, DomainQuery, Ledger};
use mail::Protection;
use settings::RelayPaths;
use smtp::Domain;

use super::ending::Ending;
use super::output::{Format, ListFormat, Output};
use super::relay_or_disk::RelayOrDisk;
use super::typed::{domain, moment, protection};

/// So many events of a domain are shown.
const EVENTS: usize = 200;

/// Which domains are listed, and how.
#[derive(Args, Debug)]
pub(super) struct DomainsCommand {
    /// Domains whose mail was protected like this the last time: plaintext, tls, dane or verified.
    #[arg(long, value_parser = protection)]
    protection: Option<Protection>,
    /// Domains whose protection, policy or TLSA records have changed since: a day, an RFC 3339 time,
    /// or so long ago (7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    changed: Option<SystemTime>,
    /// Domains with an attempt at this time or later.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Domains whose first attempt was before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    #[command(flatten)]
    format: ListFormat,
}

/// Which domain is shown, and how.
#[derive(Args, Debug)]
pub(super) struct DomainCommand {
    /// The domain.
    #[arg(value_parser = domain)]
    domain: Domain,
    /// Days and events from this time on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Days and events before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    #[command(flatten)]
    format: Format,
}

/// `sts-relay domains`
pub(super) async fn list(
    command: &DomainsCommand,
    paths: &RelayPaths,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let query = DomainQuery {
        protection: command.protection,
        changed_since: command.changed.map(millis),
        since: command.since.map(millis),
        until: command.until.map(millis),
    };
    let ledger = ledger(paths)?;
    let mut domains = ledger.domains(&query).context(UNREADABLE)?;
    let waiting = waiting(paths).await;
    for domain in &mut domains {
        domain.waiting = waiting.as_ref().map(|all| count(all, &domain.domain));
    }
    let width = output.width();
    command.format.write(
        &domains,
        output,
        |domains| print::csv(domains),
        |domains, output| print::table(domains, millis(now), width, output),
    )?;
    Ok(Ending::Done)
}

/// `sts-relay domain`
pub(super) async fn show(
    command: &DomainCommand,
    paths: &RelayPaths,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let within = Between {
        since: command.since.map_or(Between::ALWAYS.since, millis),
        until: command.until.map_or(Between::ALWAYS.until, millis),
    };
    let name = command.domain.as_str();
    let found = ledger(paths)?.domain(name, within, EVENTS).context(UNREADABLE)?;
    let Some(mut found) = found else {
        let nothing =
            |(): &(), output: &mut Output| output.line(format_args!("{name}: no attempt is known"));
        command.format.write(&(), output, nothing)?;
        return Ok(Ending::Refused);
    };
    found.domain.waiting = waiting(paths).await.map(|all| count(&all, name));
    command
        .format
        .write(&found, output, |found, output| print::full(found, millis(now), output))?;
    Ok(Ending::Done)
}

/// Said when the ledger cannot be read.
const UNREADABLE: &str = "the ledger cannot be read";

/// The ledger that is kept at these places.
fn ledger(paths: &RelayPaths) -> anyhow::Result<Ledger> {
    let ledger = Ledger::in_dir(&paths.history);
    let dir = paths.history.display();
    anyhow::ensure!(
        ledger.is_kept().context(UNREADABLE)?,
        "{dir}: no ledger is kept here; history.enabled says whether one is, and a relay that has just \
         started writes it within seconds"
    );
    Ok(ledger)
}

/// Messages in the queue, by domain; none where the queue cannot be read.
async fn waiting(paths: &RelayPaths) -> Option<HashMap<String, u64>> {
    let mut queue = RelayOrDisk::reach(paths).await.ok()?;
    let stats = queue.stats().await.ok()??;
    let of = stats.destinations.into_iter();
    Some(of.map(|one| (one.destination, one.messages.saturating_add(one.on_hold))).collect())
}

/// How many wait for a domain.
fn count(waiting: &HashMap<String, u64>, domain: &str) -> u64 {
    waiting.get(domain).copied().unwrap_or_default()
}
