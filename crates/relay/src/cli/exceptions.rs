//! The exceptions that are in force, as commands show them beside other things.

use std::io;

use admin::api::exceptions::{ExceptionKind, ListedException};
use mta_sts::Lifts;

use super::table::printable;
use crate::check::Exception;
use crate::cli::output::Output;

/// The exception from the policy of a domain, if one of these is.
pub(super) fn of(listed: &[ListedException], domain: &str) -> Option<Exception> {
    let lifts_policy =
        |one: &&ListedException| Lifts::parse(&one.what.join(",")).is_some_and(Lifts::lifts_policy);
    let found = listed.iter().filter(lifts_policy).find(|one| one.domain == domain)?;
    Some(Exception { until: found.until, reason: found.reason.clone() })
}

/// A line for each.
pub(super) fn print(listed: &[ListedException], output: &mut Output) -> io::Result<()> {
    for one in listed {
        let ListedException { domain, until, reason, .. } = one;
        let (words, reason) = (one.scope_in_words(), printable(reason));
        match one.kind {
            ExceptionKind::Domain => output.line(format_args!(
                "exception: {domain} is not enforced ({words}) until {until}: {reason}"
            )),
            ExceptionKind::Certificate | ExceptionKind::Host => output.line(format_args!(
                "exception: {words} passes for {domain} until {until}: {reason}"
            )),
        }?;
    }
    Ok(())
}
