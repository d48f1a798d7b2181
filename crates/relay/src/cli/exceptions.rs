//! The exceptions that are in force, as commands show them.

use std::io;

use clock::Timestamp;
use clock::{Clock as _, SystemClock};
use mta_sts::PolicyDomain;
use serde::Serialize;
use settings::RelayPaths;

use super::table::printable;
use crate::check::Exception;
use crate::cli::output::Output;

/// An exception with its domain.
#[derive(Debug, Serialize)]
pub(super) struct Excepted {
    domain: String,
    #[serde(flatten)]
    exception: Exception,
}

/// The exception from the policy of a domain, while it lasts.
pub(super) fn of(paths: &RelayPaths, domain: &PolicyDomain) -> Option<Exception> {
    let exception = paths.exceptions.find(domain, SystemClock.now())?;
    if !exception.lifts().lifts_policy() {
        return None;
    }
    let (until, reason) = (Timestamp::of(exception.until()), exception.reason().to_owned());
    Some(Exception { until, reason })
}

/// All exceptions that last, whether a policy of their domain is cached or not.
pub(super) fn in_force(paths: &RelayPaths) -> Vec<Excepted> {
    let set = paths.exceptions.iter().map(mta_sts::Exception::domain);
    let lasting = set.filter_map(|domain| {
        let (domain, exception) = (domain.as_str().to_owned(), of(paths, domain)?);
        Some(Excepted { domain, exception })
    });
    lasting.collect()
}

/// A line for each.
pub(super) fn print(exceptions: &[Excepted], output: &mut Output) -> io::Result<()> {
    for Excepted { domain, exception: Exception { until, reason } } in exceptions {
        let reason = printable(reason);
        output.line(format_args!("exception: {domain} is not enforced until {until}: {reason}"))?;
    }
    Ok(())
}
