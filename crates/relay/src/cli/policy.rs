//! `sts-relay policy`: what is cached, and trying out what is to be published.

mod lint;

use std::ffi::OsString;
use std::io;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Subcommand;
use mta_sts::PolicyDomain;

use super::output::Format;
use super::table::{Table, printable};
use super::words::{ago, span};
use super::{Ending, Output};
use crate::admin::answer::{ListedPolicy, Policy};
use crate::admin::answers::Answers;
use crate::settings::{Settings, Source};

/// What can be asked about policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Show the cached policy of a domain.
    Show {
        /// The policy domain: what stands behind the @.
        domain: String,
        #[command(flatten)]
        format: Format,
    },
    /// List the cached policies.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Judge a policy file as a sending relay would.
    Lint {
        /// The file, or - for standard input.
        file: OsString,
        #[command(flatten)]
        format: Format,
    },
    /// Judge a TXT record as a sending relay would.
    LintRecord {
        /// The record's text, its strings joined.
        text: OsString,
        #[command(flatten)]
        format: Format,
    },
    /// Tell whether one of the mx patterns names a host (status 0) or none does (1).
    Match {
        /// The MX host.
        host: OsString,
        /// The patterns.
        #[arg(required = true)]
        patterns: Vec<OsString>,
    },
}

/// Answers a command; `settings` are read only where they are needed.
pub(super) async fn run(
    command: &PolicyCommand,
    settings: impl FnOnce() -> anyhow::Result<(Settings, Source)>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        PolicyCommand::Lint { file, format } => lint::policy(file, *format, output),
        PolicyCommand::LintRecord { text, format } => lint::record(text, *format, output),
        PolicyCommand::Match { host, patterns } => lint::matches(host, patterns, output),
        PolicyCommand::List { format } => {
            let mut answers = Answers::reach(&settings()?.0).await?;
            let ending = list(&mut answers, *format, output).await;
            answers.end().await;
            ending
        }
        PolicyCommand::Show { domain, format } => {
            let domain =
                PolicyDomain::parse(domain).with_context(|| format!("{domain} is not a domain"))?;
            let mut answers = Answers::reach(&settings()?.0).await?;
            let ending = show(&mut answers, domain, *format, output).await;
            answers.end().await;
            ending
        }
    }
}

/// `policy list`
async fn list(
    answers: &mut Answers,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let mut policies = Vec::new();
    let mut after = None;
    loop {
        let page = answers.policies(after).await?;
        let Some(last) = page.last() else { break };
        let last = PolicyDomain::parse(last.domain());
        after = Some(last.context("the relay's answer has a strange domain")?);
        policies.extend(page);
    }
    format.write(&policies, output, |policies, output| print_list(policies, output))?;
    Ok(Ending::Done)
}

/// `policy show`
async fn show(
    answers: &mut Answers,
    domain: PolicyDomain,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let name = domain.as_str().to_owned();
    let Some(policy) = answers.policy(domain).await? else {
        anyhow::bail!("no policy of {name} is cached; one is looked up when mail goes there");
    };
    format.write(&policy, output, print_policy)?;
    Ok(Ending::Done)
}

/// The list as a table.
fn print_list(policies: &[ListedPolicy], output: &mut Output) -> io::Result<()> {
    if policies.is_empty() {
        return output.line("no policy is cached");
    }
    let now = super::now();
    let mut table = Table::new(["DOMAIN", "MODE", "ID", "VALID", "MX", "TROUBLE"]);
    for policy in policies {
        table.row(match policy {
            ListedPolicy::Cached(policy) => [
                policy.domain.clone(),
                policy.mode.clone(),
                policy.id.clone(),
                validity(policy, now),
                policy.mx.join(","),
                policy.trouble.as_ref().map(|one| one.error.clone()).unwrap_or_default(),
            ],
            ListedPolicy::Unreadable { domain, error } => {
                let nothing = String::new;
                [domain.clone(), nothing(), nothing(), nothing(), nothing(), error.clone()]
            }
        });
    }
    table.print(output)
}

/// How long a policy applies.
fn validity(policy: &Policy, now: SystemTime) -> String {
    let left = policy.valid_until.time().duration_since(now).unwrap_or_default();
    if policy.applies { format!("for {}", span(left.as_secs())) } else { "expired".to_owned() }
}

/// A policy with everything that is known.
fn print_policy(policy: &Policy, output: &mut Output) -> io::Result<()> {
    let now = super::now();
    output.line(format_args!("domain   {}", policy.domain))?;
    output.line(format_args!("mode     {}", policy.mode))?;
    output.line(format_args!("id       {}", policy.id))?;
    for mx in &policy.mx {
        output.line(format_args!("mx       {}", printable(mx)))?;
    }
    output.line(format_args!("max_age  {} ({} seconds)", span(policy.max_age), policy.max_age))?;
    output.line(format_args!(
        "fetched  {} ({} ago)",
        policy.fetched_at,
        ago(policy.fetched_at, now)
    ))?;
    let validity = validity(policy, now);
    output.line(format_args!("valid    until {} ({validity})", policy.valid_until))?;
    if let Some(trouble) = &policy.trouble {
        output.line(format_args!(
            "trouble  not refreshed since {}, {} times: {}",
            trouble.since,
            trouble.failures,
            printable(&trouble.error)
        ))?;
    }
    Ok(())
}
