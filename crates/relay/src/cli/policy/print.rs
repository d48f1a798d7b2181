//! A cached policy as text for people.

use std::io;
use std::time::SystemTime;

use admin::api::answers::Policy;
use clock::{Clock as _, SystemClock};

use crate::cli::output::Output;
use crate::cli::table::printable;
use crate::cli::words::{ago, span};
use crate::number_text::counted;

/// How long a policy applies.
pub(super) fn validity(policy: &Policy, now: SystemTime) -> String {
    let left = policy.valid_until.time().duration_since(now).unwrap_or_default();
    if policy.applies { format!("for {}", span(left.as_secs())) } else { "expired".to_owned() }
}

/// A policy with everything that is known.
pub(super) fn print_policy(policy: &Policy, output: &mut Output) -> io::Result<()> {
    let now = SystemClock.now();
    output.line(format_args!("domain   {}", policy.domain))?;
    output.line(format_args!("mode     {}", policy.mode))?;
    output.line(format_args!("id       {}", policy.id))?;
    for mx in &policy.mx {
        output.line(format_args!("mx       {}", printable(mx)))?;
    }
    let seconds = counted(policy.max_age, "second", "seconds");
    output.line(format_args!("max_age  {} ({seconds})", span(policy.max_age)))?;
    output.line(format_args!(
        "fetched  {} ({} ago)",
        policy.fetched_at,
        ago(policy.fetched_at, now)
    ))?;
    let validity = validity(policy, now);
    output.line(format_args!("valid    until {} ({validity})", policy.valid_until))?;
    if let Some(trouble) = &policy.trouble {
        output.line(format_args!(
            "trouble  not refreshed since {}, {}: {}",
            trouble.since,
            counted(trouble.failures, "failure", "failures"),
            printable(&trouble.error)
        ))?;
    }
    Ok(())
}
