//! The report of a day (RFC 8460 §4.4).
//!
//! It is I-JSON (RFC 7493), the same octets for the same figures. What is not known is left out:
//! there are readers that fail on `null`, on empty text and on empty arrays.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::day::Day;
use crate::domain::DomainName;
use crate::failure::FailureDetail;
use crate::policy::AppliedPolicy;
use crate::submitter::{ReportId, Submitter};
use crate::tally::DomainTally;

/// The largest number that every reader of JSON knows exactly (RFC 7493 §2.2).
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The sessions of a day with the hosts of a domain, by policy.
///
/// ```
/// use std::sync::Arc;
/// use tls_rpt::{
///     AppliedPolicy, Day, DomainName, DomainTally, Instance, MailAddress, Report, Row, Submitter,
/// };
///
/// let domain = DomainName::parse("example.org")?;
/// let policy = Arc::new(AppliedPolicy::none(domain.clone()));
/// let mut tally = DomainTally::new(domain);
/// tally.count(Row { policy, failure: None }, 17);
///
/// let contact = MailAddress::parse("tls-reports@example.com")?;
/// let submitter = Submitter::new(contact, "Example", Instance::parse("001")?);
/// let report = Report::new(&submitter, Day::parse("2026-11-30")?, &tally).ok_or("nothing")?;
/// assert_eq!(report.successes(), 17);
/// assert_eq!(report.id().to_string(), "2026-11-30.example.org.001@example.com");
/// assert_eq!(
///     report.file_name(),
///     "example.com!example.org!1795996800!1796083199!001.json.gz"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    submitter: Submitter,
    day: Day,
    domain: DomainName,
    id: ReportId,
    policies: Vec<PolicyReport>,
}

/// The sessions of a day under one policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyReport {
    /// The policy.
    pub policy: Arc<AppliedPolicy>,
    /// How many succeeded.
    pub successes: u64,
    /// How the others failed and how many did so, the most frequent first.
    pub failures: Vec<(FailureDetail, u64)>,
}

impl PolicyReport {
    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().fold(0, |sum, (_, sessions)| sum.saturating_add(*sessions))
    }
}

impl Report {
    /// The report about what was counted on `day`; none where nothing was.
    #[must_use]
    pub fn new(submitter: &Submitter, day: Day, tally: &DomainTally) -> Option<Self> {
        let mut found = BTreeMap::<&Arc<AppliedPolicy>, PolicyReport>::new();
        for (row, sessions) in tally.rows() {
            let policy = found.entry(&row.policy).or_insert_with(|| PolicyReport {
                policy: Arc::clone(&row.policy),
                successes: 0,
                failures: Vec::new(),
            });
            match &row.failure {
                None => policy.successes = sessions,
                Some(failure) => policy.failures.push((failure.clone(), sessions)),
            }
        }
        let mut policies: Vec<_> = found.into_values().collect();
        for policy in &mut policies {
            policy.failures.sort_by_key(|(_, sessions)| Reverse(*sessions));
        }
        let domain = tally.domain().clone();
        let id = ReportId::new(day, &domain, submitter);
        let is_empty = policies.is_empty();
        (!is_empty).then(|| Self { submitter: submitter.clone(), day, domain, id, policies })
    }

    /// Who sends it.
    #[must_use]
    pub const fn submitter(&self) -> &Submitter {
        &self.submitter
    }

    /// The day that it is about.
    #[must_use]
    pub const fn day(&self) -> Day {
        self.day
    }

    /// The domain that it is about, and whose record says where it goes.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// What it is called.
    #[must_use]
    pub const fn id(&self) -> &ReportId {
        &self.id
    }

    /// What it says of each policy.
    #[must_use]
    pub fn policies(&self) -> &[PolicyReport] {
        &self.policies
    }

    /// The sessions of all policies that succeeded.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.policies.iter().fold(0, |sum, policy| sum.saturating_add(policy.successes))
    }

    /// The sessions of all policies that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.policies.iter().fold(0, |sum, policy| sum.saturating_add(policy.failed()))
    }

    /// The name of the compressed file (RFC 8460 §5.1).
    #[must_use]
    pub fn file_name(&self) -> String {
        let (begin, end) = (unix(self.day.begins()), unix(self.day.ends()));
        let Self { submitter, domain, .. } = self;
        format!("{}!{domain}!{begin}!{end}!{}.json.gz", submitter.domain(), submitter.instance())
    }

    /// The report in JSON.
    #[must_use]
    #[expect(clippy::expect_used, reason = "plain fields with string keys always serialise")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&WrittenReport::of(self)).expect("a plain structure serialises")
    }

    /// The report compressed, without a time or a name in it (RFC 8460 §5.2).
    #[must_use]
    #[expect(clippy::expect_used, reason = "writing to memory always succeeds")]
    pub fn to_gzip(&self) -> Vec<u8> {
        let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        encoder.write_all(&self.to_json()).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }
}

/// Seconds since 1970, as file names have them.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A report as it is written (RFC 8460 §4.4).
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenReport<'r> {
    organization_name: &'r str,
    date_range: WrittenRange,
    contact_info: String,
    report_id: String,
    policies: Vec<WrittenPolicy<'r>>,
}

/// `date-range`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenRange {
    start_datetime: String,
    end_datetime: String,
}

/// An element of `policies`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenPolicy<'r> {
    policy: &'r AppliedPolicy,
    summary: WrittenSummary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<WrittenFailure<'r>>,
}

/// `summary`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenSummary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

/// An element of `failure-details`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenFailure<'r> {
    #[serde(flatten)]
    detail: &'r FailureDetail,
    failed_session_count: u64,
}

impl<'r> WrittenReport<'r> {
    /// The report as it is written.
    fn of(report: &'r Report) -> Self {
        let day = report.day;
        Self {
            organization_name: report.submitter.organization(),
            date_range: WrittenRange {
                start_datetime: format!("{day}T00:00:00Z"),
                end_datetime: format!("{day}T23:59:59Z"),
            },
            contact_info: report.submitter.contact().to_string(),
            report_id: report.id.to_string(),
            policies: report.policies.iter().map(WrittenPolicy::of).collect(),
        }
    }
}

impl<'r> WrittenPolicy<'r> {
    /// What is said of a policy as it is written.
    fn of(report: &'r PolicyReport) -> Self {
        let written = |(detail, sessions): &'r (FailureDetail, u64)| WrittenFailure {
            detail,
            failed_session_count: *sessions.min(&NUMBER_MAX),
        };
        Self {
            policy: &report.policy,
            summary: WrittenSummary {
                total_successful_session_count: report.successes.min(NUMBER_MAX),
                total_failure_session_count: report.failed().min(NUMBER_MAX),
            },
            failure_details: report.failures.iter().map(written).collect(),
        }
    }
}
