//! `sts-relay policy new`: a policy to publish, and everything that goes with it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use clock::Timestamp;
use dns::{MailHosts, Resolver, mail_hosts};
use mta_sts::{Mode, MxHost, MxPattern, Policy, PolicyDomain};
use settings::{Settings, parse_duration};
use smtp::Domain;

use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::cli::table::printable;
use crate::cli::words::span;

/// Below this an attacker who can block a fetch for so long is rid of the policy.
const SHORT: Duration = Duration::from_secs(7 * 86_400);

/// What is to be published.
#[derive(Args, Debug)]
pub(crate) struct NewPolicy {
    /// The domain that takes mail.
    #[arg(long)]
    domain: String,
    /// A host that takes it, or a pattern such as *.example.org; as often as there are
    /// [default: those of its MX records].
    #[arg(long)]
    mx: Vec<String>,
    /// What senders do with mail that cannot be sent verified.
    #[arg(long, value_enum, default_value = "testing")]
    mode: ModeWord,
    /// For how long senders may keep the policy: 1d, 30d.
    #[arg(long, value_name = "DURATION", default_value = "14d")]
    max_age: String,
    /// Write the policy to this file, and only the rest to standard output; a file that is there
    /// already is kept.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there already.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Existing {
    Kept,
    Replaced,
}

/// A mode as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeWord {
    /// They keep it.
    Enforce,
    /// The policy is withdrawn.
    None,
    /// They send it all the same, and report it.
    Testing,
}

impl ModeWord {
    const fn mode(self) -> Mode {
        match self {
            Self::Enforce => Mode::Enforce,
            Self::None => Mode::None,
            Self::Testing => Mode::Testing,
        }
    }
}

/// `policy new`; `settings` are read only to ask the DNS.
pub(super) async fn run(
    new: &NewPolicy,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let domain = super::typed::domain(&new.domain)?;
    let published = published(&domain, settings).await;
    let mode = new.mode.mode();
    let patterns = match (mode, new.mx.is_empty()) {
        (Mode::None, _) => Vec::new(),
        (Mode::Enforce | Mode::Testing, false) => new.mx.clone(),
        (Mode::Enforce | Mode::Testing, true) => {
            let hosts = published.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            hosts.iter().map(|host| host.as_str().to_owned()).collect()
        }
    };
    let patterns: Vec<_> = patterns.iter().map(|mx| pattern(mx)).collect::<Result<_, _>>()?;
    let max_age = parse_duration(&new.max_age)
        .with_context(|| format!("{} is not a duration such as 14d", new.max_age))?;
    let policy = Policy::new(mode, max_age, patterns).context("this is not a policy")?;

    match &new.output {
        Some(file) => {
            let existing = if new.force { Existing::Replaced } else { Existing::Kept };
            write(file, &policy.to_string(), existing)?;
        }
        None => {
            output.line("The policy:")?;
            output.line("")?;
            output.line(policy.to_string().trim_end())?;
            output.line("")?;
        }
    }
    for line in steps(&domain, mode, now).into_iter().chain(doubts(&policy, published.as_ref())) {
        output.line(printable(&line))?;
    }
    Ok(Ending::Done)
}

/// Writes the policy.
fn write(file: &Path, policy: &str, existing: Existing) -> anyhow::Result<()> {
    let opened = match existing {
        Existing::Kept => File::create_new(file),
        Existing::Replaced => File::create(file),
    };
    match opened.and_then(|mut file| file.write_all(policy.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("{} is there already; --force replaces it", file.display())
        }
        written => written.with_context(|| format!("{} cannot be written", file.display())),
    }
}

fn pattern(text: &str) -> anyhow::Result<MxPattern> {
    MxPattern::parse(text).with_context(|| format!("{text} is not an mx pattern"))
}

/// The hosts of the MX records that there are.
async fn published(
    domain: &PolicyDomain,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<Vec<MxHost>> {
    let resolver = Resolver::new(settings()?.dns)?;
    let hosts = match mail_hosts(&resolver, &Domain::parse(domain.as_str())?).await {
        Ok(MailHosts::Hosts { hosts, .. }) => {
            hosts.iter().filter_map(|mx| MxHost::parse(mx.host()?.as_str()).ok()).collect()
        }
        Ok(MailHosts::Implicit { host, .. }) => vec![MxHost::parse(host.as_str())?],
        Ok(MailHosts::NoMailHost | MailHosts::NoSuchDomain | MailHosts::NullMx) => Vec::new(),
        Err(error) => anyhow::bail!("MX lookup for {domain} failed: {error}"),
    };
    anyhow::ensure!(!hosts.is_empty(), "{domain} has no mail host; name them with --mx");
    Ok(hosts)
}

/// What is to be published, in the order in which senders may meet it: the file before the record
/// that says there is one, and a new id only once the new file is served (RFC 8461 §8.1 and §8.3).
fn steps(domain: &PolicyDomain, mode: Mode, now: SystemTime) -> Vec<String> {
    let (name, host) = (domain.as_str(), domain.policy_host());
    let id: String = Timestamp::of(now).to_string().chars().filter(char::is_ascii_digit).collect();
    let id: String = id.chars().take(14).collect();
    let mut steps = vec![
        "In this order:".to_owned(),
        format!("1. {host}.  A or AAAA or CNAME  to a web server with a certificate for {host}"),
        format!("2. serve the policy at https://{host}/.well-known/mta-sts.txt as text/plain,"),
        "   status 200, without redirects; look at it from outside".to_owned(),
        format!("3. {}.  TXT  \"v=STSv1; id={id};\"", domain.record_name()),
        format!("4. _smtp._tls.{name}.  TXT  \"v=TLSRPTv1; rua=mailto:tls-reports@{name}\""),
        "   so that senders report what fails".to_owned(),
        format!("5. sts-relay check {name}"),
    ];
    steps.push(
        match mode {
            Mode::Testing => "6. when the reports show no failures for some weeks, the same with --mode enforce",
            Mode::Enforce => "With every change: first the hosts and their certificates, then the file, then a new id.",
            Mode::None => "6. when the max_age of every earlier policy is over, remove record, file and names",
        }
        .to_owned(),
    );
    steps
}

/// What is unwise about the policy.
fn doubts(policy: &Policy, published: Result<&Vec<MxHost>, &anyhow::Error>) -> Vec<String> {
    let mut doubts = Vec::new();
    if policy.mode() == Mode::None {
        return doubts;
    }
    if policy.max_age() < SHORT {
        doubts.push(format!(
            "warning: max_age of {} is short: an attacker who can block fetches for that long \
             defeats the policy; weeks are usual",
            span(policy.max_age().as_secs())
        ));
    }
    for pattern in policy.mx().iter().filter(|pattern| pattern.as_str().starts_with("*.")) {
        doubts.push(format!(
            "warning: {pattern} names every host of that domain: a certificate for any of them is \
             enough to take the mail; name the hosts if they are few"
        ));
    }
    match published {
        Ok(hosts) => doubts.extend(hosts.iter().filter(|host| !policy.admits(host)).map(|host| {
            format!("warning: the MX host {host} is not named: under enforce it gets no mail")
        })),
        Err(error) => {
            doubts.push(format!("warning: whether all MX hosts are named is not known: {error:#}"));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mode: Mode, days: u64, mx: &[&str]) -> Policy {
        let mx = mx.iter().map(|mx| MxPattern::parse(mx).unwrap()).collect();
        Policy::new(mode, Duration::from_secs(days * 86_400), mx).unwrap()
    }

    fn hosts(names: &[&str]) -> Vec<MxHost> {
        names.iter().map(|name| MxHost::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_wildcard_a_short_max_age_and_a_missing_host_are_doubted() {
        let published = hosts(&["mx1.example.org", "mx2.example.org"]);
        let good = policy(Mode::Enforce, 14, &["mx1.example.org", "mx2.example.org"]);
        assert_eq!(doubts(&good, Ok(&published)), Vec::<String>::new());
        let short = policy(Mode::Enforce, 1, &["mx1.example.org", "mx2.example.org"]);
        assert!(doubts(&short, Ok(&published))[0].contains("is short"));
        let wildcard = policy(Mode::Testing, 14, &["*.example.org"]);
        assert!(doubts(&wildcard, Ok(&published))[0].contains("names every host"));
        let missing = policy(Mode::Testing, 14, &["mx1.example.org"]);
        assert!(doubts(&missing, Ok(&published))[0].contains("mx2.example.org is not named"));
    }

    #[test]
    fn the_file_comes_before_the_record_and_the_id_is_one() {
        let domain = PolicyDomain::parse("example.org").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let steps = steps(&domain, Mode::Testing, now).join("\n");
        let file = steps.find("/.well-known/mta-sts.txt").unwrap();
        let record = steps.find("\"v=STSv1; id=20270115080000;\"").unwrap();
        assert!(file < record, "{steps}");
    }
}
