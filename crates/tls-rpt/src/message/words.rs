//! The report in words, for whoever opens the message.

use crate::failure::FailureDetail;
use crate::report::{PolicyReport, Report};
use crate::result_type::PolicyType;

/// The most failures of a policy that are listed; the attached report has them all.
const FAILURES_MAX: usize = 20;

/// The lines: ASCII, none empty at the end.
pub(super) fn of(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!("This is an aggregate TLS report (RFC 8460) from {}", report.submitter().domain()),
        format!("about its SMTP sessions with hosts of {}", report.domain()),
        format!("on {} (UTC).", report.day()),
        String::new(),
    ];
    for policy in report.policies() {
        lines.extend(of_policy(policy));
        lines.push(String::new());
    }
    lines.push("All figures are in the attached file, which is meant for programs.".to_owned());
    lines.push(format!("Questions are answered at {}", report.submitter().contact()));
    lines
}

/// What is said of a policy.
fn of_policy(report: &PolicyReport) -> Vec<String> {
    let policy = &report.policy;
    let name = match policy.policy_type() {
        PolicyType::NoPolicyFound => "No policy found for",
        PolicyType::Sts if policy.strings().is_empty() => "MTA-STS policy, not fetched, of",
        PolicyType::Sts => "MTA-STS policy of",
        PolicyType::Tlsa => "TLSA records of",
    };
    let mut lines = vec![
        format!("{name} {}:", policy.domain()),
        format!("    sessions that succeeded: {}", report.successes),
        format!("    sessions that failed:    {}", report.failed()),
    ];
    for (failure, sessions) in report.failures.iter().take(FAILURES_MAX) {
        lines.push(format!("        {sessions}: {}", of_failure(failure)));
    }
    let more = report.failures.len().saturating_sub(FAILURES_MAX);
    if more > 0 {
        lines.push(format!("        and {more} more kinds of failure"));
    }
    lines
}

/// A failure in a line.
fn of_failure(failure: &FailureDetail) -> String {
    let mut words = failure.result_type.to_string();
    if let Some(reason) = failure.failure_reason_code {
        words += &format!(" ({reason})");
    }
    if let Some(host) = &failure.receiving_mx_hostname {
        words += &format!(" at {host}");
    }
    if let Some(address) = failure.receiving_ip {
        words += &format!(" [{address}]");
    }
    words
}
