//! `sts-relay policy`: what is cached, and trying out what is to be published.

mod keep;
mod lint;
mod new;
mod print;
mod typed;

use std::ffi::OsString;
use std::io;

use admin::api::answers::ListedPolicy;
use anyhow::Context as _;
use clap::Subcommand;
use clock::{Clock as _, SystemClock};
use mta_sts::PolicyDomain;
use serde::Serialize;
use settings::{RelayPaths, Settings};

use super::output::Format;
use super::table::{Room, Table, printable};
use crate::check::Exception;
use crate::cli::ending::Ending;
use crate::cli::exceptions;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;

/// What can be asked about policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Show the cached policy of a domain.
    Show {
        /// The policy domain: the part of an address after the @.
        domain: String,
        #[command(flatten)]
        format: Format,
    },
    /// List the cached policies.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Fetch the policy of a domain now.
    Refresh {
        /// The policy domain.
        domain: String,
        #[command(flatten)]
        format: Format,
    },
    /// Remove the cached policy of a domain; it is looked up again before mail leaves.
    Purge {
        /// The policy domain.
        #[arg(required_unless_present = "all")]
        domain: Option<String>,
        /// Remove all cached policies.
        #[arg(long, conflicts_with = "domain")]
        all: bool,
    },
    /// Write a policy to publish, and print the DNS records that go with it, in order.
    New(new::NewPolicy),
    /// Check a policy file as a sending relay does.
    Lint {
        /// The file, or - for standard input.
        file: OsString,
        #[command(flatten)]
        format: Format,
    },
    /// Check a TXT record as a sending relay does.
    LintRecord {
        /// The record's text, its strings joined.
        text: OsString,
        #[command(flatten)]
        format: Format,
    },
    /// Check whether one of the mx patterns names a host.
    Match {
        /// The MX host.
        host: OsString,
        /// The patterns.
        #[arg(required = true)]
        patterns: Vec<OsString>,
    },
}

impl PolicyCommand {
    /// Whether the answer needs neither a relay nor a queue.
    pub(super) const fn asks_nobody(&self) -> bool {
        match self {
            Self::Lint { .. } | Self::LintRecord { .. } | Self::Match { .. } | Self::New(_) => true,
            Self::List { .. } | Self::Purge { .. } | Self::Refresh { .. } | Self::Show { .. } => {
                false
            }
        }
    }
}

/// Answers a command; `paths` and `settings` are read only where they are needed.
pub(super) async fn run(
    command: &PolicyCommand,
    paths: impl FnOnce() -> RelayPaths,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        PolicyCommand::Lint { file, format } => lint::policy(file, *format, output),
        PolicyCommand::LintRecord { text, format } => lint::record(text, *format, output),
        PolicyCommand::Match { host, patterns } => lint::matches(host, patterns, output),
        PolicyCommand::List { format } => {
            let paths = paths();
            let mut answers = RelayOrDisk::reach(&paths).await?;
            list(&mut answers, &paths, *format, output).await
        }
        PolicyCommand::New(new) => {
            Box::pin(new::run(new, settings, SystemClock.now(), output)).await
        }
        PolicyCommand::Refresh { domain, format } => {
            let domain = typed::domain(domain)?;
            let mut answers = RelayOrDisk::running(&paths()).await?;
            keep::refresh(&mut answers, domain, *format, output).await
        }
        PolicyCommand::Purge { domain, all: _ } => {
            let domain = domain.as_deref().map(typed::domain).transpose()?;
            let mut answers = RelayOrDisk::running(&paths()).await?;
            keep::purge(&mut answers, domain, output).await
        }
        PolicyCommand::Show { domain, format } => {
            let (domain, paths) = (typed::domain(domain)?, paths());
            let mut answers = RelayOrDisk::reach(&paths).await?;
            show(&mut answers, &paths, domain, *format, output).await
        }
    }
}

/// `policy list`
async fn list(
    answers: &mut RelayOrDisk,
    paths: &RelayPaths,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let set_aside = answers.exceptions(paths).await?;
    let mut policies = Vec::new();
    let mut after = None;
    loop {
        let page = answers.policies(after).await?;
        let Some(last) = page.last() else { break };
        let last = PolicyDomain::parse(last.domain());
        after = Some(last.context("the relay's answer has an invalid domain")?);
        for policy in page {
            let exception = exceptions::of(&set_aside, policy.domain());
            policies.push(Excepted { policy, exception });
        }
    }
    format.write(&policies, output, |policies, output| {
        print_list(policies, output)?;
        exceptions::print(&set_aside, output)
    })?;
    Ok(Ending::Done)
}

/// `policy show`
async fn show(
    answers: &mut RelayOrDisk,
    paths: &RelayPaths,
    domain: PolicyDomain,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let name = domain.as_str().to_owned();
    let exception = exceptions::of(&answers.exceptions(paths).await?, domain.as_str());
    let Some(policy) = answers.policy(domain).await? else {
        anyhow::bail!("no policy of {name} is cached; one is looked up when mail goes there");
    };
    let excepted = Excepted { policy, exception };
    format.write(&excepted, output, |excepted, output| {
        print::print_policy(&excepted.policy, output)?;
        let Some(exception) = &excepted.exception else { return Ok(()) };
        let (until, reason) = (exception.until, printable(&exception.reason));
        output.line(format_args!("exception until {until}, not enforced: {reason}"))
    })?;
    Ok(Ending::Done)
}

/// A policy, with what the operator's settings make of it.
#[derive(Debug, Serialize)]
struct Excepted<T> {
    #[serde(flatten)]
    policy: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Exception>,
}

/// The list as a table.
fn print_list(policies: &[Excepted<ListedPolicy>], output: &mut Output) -> io::Result<()> {
    if policies.is_empty() {
        return output.line("no policy is cached");
    }
    let now = SystemClock.now();
    let mut table = Table::new([
        ("DOMAIN", Room::AtLeast(16)),
        ("MODE", Room::Whole),
        ("ID", Room::AtLeast(8)),
        ("VALID", Room::Whole),
        ("MX", Room::AtLeast(12)),
        ("TROUBLE", Room::AtLeast(16)),
    ]);
    for policy in policies {
        table.row(match &policy.policy {
            ListedPolicy::Cached(policy) => [
                policy.domain.clone(),
                policy.mode.clone(),
                policy.id.clone(),
                print::validity(policy, now),
                policy.mx.join(","),
                policy.trouble.as_ref().map(|one| one.error.clone()).unwrap_or_default(),
            ],
            ListedPolicy::Unreadable { domain, error } => {
                let nothing = String::new;
                [domain.clone(), nothing(), nothing(), nothing(), nothing(), error.clone()]
            }
        });
    }
    table.print(output.width(), output)
}
