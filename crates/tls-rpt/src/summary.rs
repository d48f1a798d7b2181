//! What many reports say together: per domain, sender and policy.
//!
//! It takes a bounded amount of memory for each report that is added, and texts of [`received`] as
//! they are: shortened and without control characters.
//!
//! [`received`]: crate::ReceivedReport

use std::collections::{BTreeMap, BTreeSet};

use crate::day::Day;
use crate::received::{Named, ReceivedDetail, ReceivedPolicy, ReceivedReport};
use crate::result_type::{PolicyType, ResultType};

/// The most hosts, and the most reasons, of a result that are kept apart; later ones are counted for
/// the result alone.
const KEPT_MAX: usize = 100;

/// The reports that were added, each once.
///
/// ```
/// use tls_rpt::{Added, ReceivedReport, Summary};
///
/// let json = br#"{"report-id": "1", "organization-name": "Sender", "policies": [{
///     "policy": {"policy-type": "sts", "policy-domain": "example.org"},
///     "summary": {"total-successful-session-count": 5, "total-failure-session-count": 0}
/// }]}"#;
/// let mut summary = Summary::default();
/// assert_eq!(summary.add(ReceivedReport::read(json)?.value), Added::Counted);
/// assert_eq!(summary.add(ReceivedReport::read(json)?.value), Added::Duplicate);
/// let (key, entry) = summary.entries().next().ok_or("nothing")?;
/// assert_eq!((key.sender.as_str(), entry.successes), ("Sender", 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Sender and report-id of what was added.
    seen: BTreeSet<(String, String)>,
    entries: BTreeMap<SummaryKey, SummaryEntry>,
}

/// What became of a report that was added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    /// It was counted.
    Counted,
    /// A report of this sender with this report-id was counted before.
    Duplicate,
}

/// What sessions are counted by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SummaryKey {
    /// The policy domain; empty where the report does not name it.
    pub domain: String,
    /// The organization that sent the report, or its contact address; empty where neither is known.
    pub sender: String,
    /// The kind of policy.
    pub policy_type: Named<PolicyType>,
}

/// What was counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SummaryEntry {
    /// The days on which the reports begin.
    pub days: BTreeSet<Day>,
    /// Sessions that succeeded.
    pub successes: u64,
    /// Sessions that failed.
    pub failures: u64,
    /// How they failed.
    pub results: BTreeMap<Named<ResultType>, SummaryResult>,
    /// The text of the policy in the report of the latest day.
    pub policy: Vec<String>,
}

/// Sessions that failed in one way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SummaryResult {
    /// How many.
    pub sessions: u64,
    /// With which MX hosts, the first 100.
    pub hosts: BTreeMap<String, u64>,
    /// For which reasons in the sender's words, the first 100.
    pub reasons: BTreeMap<String, u64>,
}

impl Summary {
    /// Adds a report, unless it was added before.
    pub fn add(&mut self, report: ReceivedReport) -> Added {
        let sender = report.organization.or(report.contact).unwrap_or_default();
        let is_new = report.id.is_none_or(|id| self.seen.insert((sender.clone(), id)));
        if !is_new {
            return Added::Duplicate;
        }
        let day = report.begins.map(Day::of);
        for policy in report.policies {
            let key = SummaryKey {
                domain: policy.domain.clone().unwrap_or_default().to_ascii_lowercase(),
                sender: sender.clone(),
                policy_type: policy.policy_type.clone(),
            };
            self.entries.entry(key).or_default().add(day, policy);
        }
        Added::Counted
    }

    /// What was counted.
    pub fn entries(&self) -> impl Iterator<Item = (&SummaryKey, &SummaryEntry)> {
        self.entries.iter()
    }
}

impl SummaryEntry {
    /// Adds what a report about `day` says of a policy.
    fn add(&mut self, day: Option<Day>, policy: ReceivedPolicy) {
        if self.policy.is_empty() || day >= self.days.last().copied() {
            self.policy = policy.strings;
        }
        self.days.extend(day);
        self.successes = self.successes.saturating_add(policy.successes);
        self.failures = self.failures.saturating_add(policy.failures);
        for detail in policy.details {
            self.results.entry(detail.result_type.clone()).or_default().add(detail);
        }
    }
}

impl SummaryResult {
    /// Adds sessions that failed alike.
    fn add(&mut self, detail: ReceivedDetail) {
        self.sessions = self.sessions.saturating_add(detail.sessions);
        let host = detail.receiving_mx_hostname.map(|host| host.to_ascii_lowercase());
        add(&mut self.hosts, host, detail.sessions);
        add(&mut self.reasons, detail.failure_reason_code, detail.sessions);
    }
}

/// Adds to a count, if there is a name and room for it.
fn add(counts: &mut BTreeMap<String, u64>, name: Option<String>, sessions: u64) {
    let Some(name) = name else { return };
    if counts.len() < KEPT_MAX || counts.contains_key(&name) {
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(sessions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of sessions that failed at `host`.
    fn report(id: &str, day: &str, host: &str, strings: &str) -> ReceivedReport {
        let json = format!(
            r#"{{"report-id": "{id}", "organization-name": "Sender",
                "date-range": {{"start-datetime": "{day}T00:00:00Z", "end-datetime": "{day}T23:59:59Z"}},
                "policies": [{{
                    "policy": {{"policy-type": "sts", "policy-domain": "Example.org",
                        "policy-string": ["{strings}"]}},
                    "summary": {{"total-successful-session-count": 5, "total-failure-session-count": 2}},
                    "failure-details": [{{"result-type": "certificate-expired",
                        "receiving-mx-hostname": "{host}", "failed-session-count": 2}}]
                }}]}}"#
        );
        ReceivedReport::read(json.as_bytes()).unwrap().value
    }

    #[test]
    fn reports_of_one_sender_about_one_domain_add_up_and_duplicates_do_not() {
        let mut summary = Summary::default();
        let first = report("1", "2026-11-29", "MX1.example.org", "mode: testing");
        assert_eq!(
            summary.add(report("2", "2026-11-30", "mx2.example.org", "mode: enforce")),
            Added::Counted
        );
        assert_eq!(summary.add(first.clone()), Added::Counted);
        assert_eq!(summary.add(first.clone()), Added::Duplicate);
        let elsewhere = ReceivedReport { organization: Some("Other".to_owned()), ..first };
        assert_eq!(summary.add(elsewhere), Added::Counted);
        assert_eq!(summary.entries().count(), 2);
        let (key, entry) = summary.entries().nth(1).unwrap();
        assert_eq!((key.domain.as_str(), key.sender.as_str()), ("example.org", "Sender"));
        assert_eq!((entry.successes, entry.failures, entry.days.len()), (10, 4, 2));
        assert_eq!(entry.policy, ["mode: enforce"]);
        let result = &entry.results[&Named::Known(ResultType::CertificateExpired)];
        let hosts: Vec<_> =
            result.hosts.iter().map(|(host, count)| (host.as_str(), *count)).collect();
        assert_eq!(hosts, [("mx1.example.org", 2), ("mx2.example.org", 2)]);
    }

    #[test]
    fn a_report_without_id_is_never_a_duplicate_and_hosts_are_bounded() {
        let mut summary = Summary::default();
        for number in 0..150 {
            let host = format!("mx{number}.example.org");
            let report = report("1", "2026-11-29", &host, "");
            assert_eq!(summary.add(ReceivedReport { id: None, ..report }), Added::Counted);
        }
        let (_, entry) = summary.entries().next().unwrap();
        let result = &entry.results[&Named::Known(ResultType::CertificateExpired)];
        assert_eq!((result.sessions, result.hosts.len()), (300, 100));
    }
}
