//! `sts-relay policy refresh` and `policy purge`.

use std::io;

use admin::api::policy_answers::Refreshed;
use mta_sts::PolicyDomain;

use super::print::print_policy;
use crate::cli::ending::Ending;
use crate::cli::output::Format;
use crate::cli::output::Output;
use crate::cli::relay_or_disk::RelayOrDisk;
use crate::cli::table::printable;
use crate::number_text::counted;

/// `policy refresh`: yes, where the policy could be fetched.
pub(super) async fn refresh(
    answers: &mut RelayOrDisk,
    domain: PolicyDomain,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let name = domain.as_str().to_owned();
    let refreshed = answers.refresh(domain).await?;
    format.write(&refreshed, output, |refreshed, output| print(&name, refreshed, output))?;
    let fresh = refreshed.policy.is_some() && refreshed.error.is_none();
    Ok(if fresh { Ending::Done } else { Ending::Refused })
}

fn print(name: &str, refreshed: &Refreshed, output: &mut Output) -> io::Result<()> {
    if let Some(error) = &refreshed.error {
        output.line(format_args!("{name}: not fetched: {}", printable(error)))?;
    }
    match (&refreshed.policy, &refreshed.error) {
        (Some(policy), _) => print_policy(policy, output),
        (None, None) => output.line(format_args!("{name} publishes no policy")),
        (None, Some(_)) => Ok(()),
    }
}

/// `policy purge`: of one domain, or of all.
pub(super) async fn purge(
    answers: &mut RelayOrDisk,
    domain: Option<PolicyDomain>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    if let Some(domain) = domain {
        let name = domain.as_str().to_owned();
        if answers.purge(domain).await?.is_none() {
            anyhow::bail!("no policy of {name} is cached");
        }
        output.line(format_args!("{name}: purged; mail looks it up again before it leaves"))?;
        return Ok(Ending::Done);
    }
    let mut purged: usize = 0;
    loop {
        let page = answers.policies(None).await?;
        if page.is_empty() {
            break;
        }
        for policy in page {
            let domain = PolicyDomain::parse(policy.domain())?;
            purged = purged.saturating_add(usize::from(answers.purge(domain).await?.is_some()));
        }
    }
    output.line(format_args!("{} purged", counted(purged, "policy", "policies")))?;
    Ok(Ending::Done)
}
