//! The exceptions that are in force, as commands show them.

use std::io;

use clock::Timestamp;
use clock::{Clock as _, SystemClock};
use mta_sts::{Lifts, PolicyDomain};
use serde::Serialize;
use settings::RelayPaths;

use super::table::printable;
use crate::check::Exception;
use crate::cli::output::Output;

/// An exception with its domain.
#[derive(Debug, Serialize)]
pub(super) struct Excepted {
    domain: String,
    /// What is set aside.
    what: &'static [&'static str],
    #[serde(flatten)]
    exception: Exception,
}

/// The exception from the policy of a domain, while it lasts.
pub(super) fn of(paths: &RelayPaths, domain: &PolicyDomain) -> Option<Exception> {
    lasting(paths, domain).filter(|(lifts, _)| lifts.lifts_policy()).map(|(_, exception)| exception)
}

/// The exception for a domain, while it lasts, and what it sets aside.
fn lasting(paths: &RelayPaths, domain: &PolicyDomain) -> Option<(Lifts, Exception)> {
    let exception = paths.exceptions.find(domain, SystemClock.now())?;
    let (until, reason) = (Timestamp::of(exception.until()), exception.reason().to_owned());
    Some((exception.lifts(), Exception { until, reason }))
}

/// All exceptions that last, those from TLSA records alone as well, whether a policy of their domain is
/// cached or not.
pub(super) fn in_force(paths: &RelayPaths) -> Vec<Excepted> {
    let set = paths.exceptions.iter().map(mta_sts::Exception::domain);
    let excepted = set.filter_map(|domain| {
        let (lifts, exception) = lasting(paths, domain)?;
        Some(Excepted { domain: domain.as_str().to_owned(), what: lifts.words(), exception })
    });
    excepted.collect()
}

/// A line for each.
pub(super) fn print(exceptions: &[Excepted], output: &mut Output) -> io::Result<()> {
    for Excepted { domain, what, exception: Exception { until, reason } } in exceptions {
        let (what, reason) = (what.join(", "), printable(reason));
        output.line(format_args!(
            "exception: {domain} is not enforced ({what}) until {until}: {reason}"
        ))?;
    }
    Ok(())
}
