//! `sts-relay exception`: what is set aside for a domain while it mends what it has broken.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use clock::{Clock as _, SystemClock, Timestamp, TimestampError};
use mta_sts::{
    CertificateDigest, CertificateDigestError, EXCEPTION_MAX, Exception, ExceptionEnding,
    ExceptionScope, Lifts, MxHost, PolicyDomain,
};
use settings::{RelayPaths, parse_duration};

use admin::api::exceptions::{ExceptionKind, ExceptionSource, ListedException};

use super::output::Format;
use super::table::{Room, Table, printable};
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;

/// What can be done about exceptions.
#[derive(Debug, Subcommand)]
pub(super) enum ExceptionCommand {
    /// Let mail for a domain leave in spite of its policy or its TLSA records, from now on, for a while: to one
    /// certificate, to one host, or to any host.
    Add(AddCommand),
    /// List the exceptions that last, those of the settings as well.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// End the exceptions for a domain that were added by command, or one of them.
    Remove(RemoveCommand),
}

/// `exception remove`
#[derive(Args, Debug)]
pub(super) struct RemoveCommand {
    /// The policy domain.
    #[arg(value_parser = domain)]
    domain: PolicyDomain,
    #[command(flatten)]
    accepted: Accepted,
    #[command(flatten)]
    format: Format,
}

/// The one certificate, or the one host, that an exception is for.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(super) struct Accepted {
    /// Only for hosts that show the certificate with this SHA-256, whatever its names, issuers and dates.
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    accept_certificate: Option<CertificateDigest>,
    /// Only for this MX host, which the policy does not name; it has to prove its name.
    #[arg(long, value_name = "MX", value_parser = mx_host)]
    accept_host: Option<MxHost>,
}

impl Accepted {
    /// What it lets pass; none where it is for the whole domain.
    fn scope(&self) -> Option<ExceptionScope> {
        let certificate = self.accept_certificate.map(ExceptionScope::Certificate);
        certificate.or_else(|| self.accept_host.clone().map(ExceptionScope::Host))
    }
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
    #[command(flatten)]
    accepted: Accepted,
    /// What it sets aside for all hosts of the domain: mta-sts (where nothing narrower is said), dane, or
    /// mta-sts,dane.
    #[arg(
        long, value_name = "WHAT", value_parser = what,
        conflicts_with_all = ["accept_certificate", "accept_host"]
    )]
    what: Option<Lifts>,
    /// Let it last to its end, also when the host has long passed without it.
    #[arg(long)]
    keep: bool,
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
        ExceptionCommand::Remove(command) => remove(command, paths, output).await,
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
    let whole = ExceptionScope::Domain(command.what.unwrap_or_default());
    let scope = command.accepted.scope().unwrap_or(whole);
    let ending =
        if command.keep { ExceptionEnding::AtItsTime } else { ExceptionEnding::OncePassed };
    // Who asks is for the relay to say.
    let exception = exception.of(scope).granted("", ending);
    let added = RelayOrDisk::running(paths).await?.add_exception(&exception).await?;
    command.format.write(&added, output, |added, output| {
        let (domain, words, until) = (&added.domain, added.scope_in_words(), added.until);
        let waits = "mail that waits is tried as it is due";
        match added.kind {
            ExceptionKind::Domain => {
                output.line(format_args!("{domain}: not enforced ({words}) until {until}; {waits}"))
            }
            ExceptionKind::Certificate | ExceptionKind::Host => {
                output.line(format_args!("{domain}: {words} passes until {until}; {waits}"))
            }
        }?;
        output.line(format_args!("{}", ends(added)))
    })?;
    Ok(Ending::Done)
}

/// `exception remove`
async fn remove(
    command: &RemoveCommand,
    paths: &RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let (domain, scope) = (&command.domain, command.accepted.scope());
    let removed =
        RelayOrDisk::running(paths).await?.remove_exceptions(domain, scope.as_ref()).await?;
    let such = scope.map(|scope| format!(" of the {scope}")).unwrap_or_default();
    let removed = removed.with_context(|| format!("there is no exception for {domain}{such}"))?;
    command.format.write(&removed, output, |removed, output| {
        removed.iter().try_for_each(|one| {
            let words = one.scope_in_words();
            output.line(format_args!("{}: the exception is removed ({words})", one.domain))
        })
    })?;
    Ok(Ending::Done)
}

/// Whether an exception ends before its time, in a sentence.
const fn ends(exception: &ListedException) -> &'static str {
    if exception.ends_once_passed {
        "it ends before that once the host has passed without it, in 3 sessions over an hour at least"
    } else {
        "it lasts until then, whatever the host does meanwhile"
    }
}

/// The list as a table.
fn print_list(listed: &[ListedException], output: &mut Output) -> io::Result<()> {
    if listed.is_empty() {
        return output.line("there is no exception");
    }
    let mut table = Table::new([
        ("DOMAIN", Room::AtLeast(16)),
        ("WHAT", Room::AtLeast(16)),
        ("UNTIL", Room::Whole),
        ("ENDS", Room::Whole),
        ("USES", Room::Whole),
        ("FROM", Room::Whole),
        ("BY", Room::AtLeast(8)),
        ("REASON", Room::AtLeast(16)),
    ]);
    for one in listed {
        table.row([
            one.domain.clone(),
            one.scope_in_words(),
            one.until.to_string(),
            if one.ends_once_passed { "once-passed" } else { "then" }.to_owned(),
            one.uses.map(|uses| uses.to_string()).unwrap_or_default(),
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

/// The certificate that an exception is for.
fn digest(text: &str) -> Result<CertificateDigest, String> {
    let how = "openssl x509 -noout -fingerprint -sha256 prints it";
    text.parse().map_err(|error: CertificateDigestError| format!("{error}; {how}"))
}

/// The host that an exception is for.
fn mx_host(text: &str) -> Result<MxHost, String> {
    let taken = "an exception is for one host, such as mx1.example.org";
    if text.contains('*') || text.starts_with('.') {
        return Err(format!("{taken}, and not for a pattern"));
    }
    if text.starts_with('[') || text.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("{taken}, and not for an address, which can prove no name"));
    }
    MxHost::parse(text).map_err(|error| format!("{taken}: {error}"))
}

/// What an exception sets aside.
fn what(text: &str) -> Result<Lifts, String> {
    Lifts::parse(text).ok_or_else(|| "write mta-sts, dane, or mta-sts,dane".to_owned())
}
