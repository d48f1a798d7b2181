//! Reports that arrive: read whatever senders make of RFC 8460 §4.4.
//!
//! A report is untrusted input. Its size, depth and number of entries are bounded, and its texts are
//! shortened and without what a terminal acts on. What can be understood is, with a [`Deviation`]
//! for each kind of fault.

mod deviation;
mod lax;
mod named;
mod reading;
mod unpack;

use std::net::IpAddr;
use std::time::SystemTime;

use thiserror::Error;

use self::lax::{LaxDetail, LaxPolicy, LaxReport, Value};
use self::reading::Reading;
use crate::result_type::{PolicyType, ResultType};
use crate::warning::Parsed;

pub use self::deviation::Deviation;
pub use self::named::Named;
pub use self::unpack::UnpackError;

/// The most failures of a report that are read.
const DETAILS_MAX: usize = 100_000;

/// A report as a sender of mail made it; what is not known is not there.
///
/// ```
/// use tls_rpt::{Deviation, Named, PolicyType, ReceivedReport};
///
/// let json = br#"{
///     "organization-name": "Company-X",
///     "date-range": {"start-datetime": "2016-04-01T00:00:00", "end-datetime": "2016-04-01T23:59:59Z"},
///     "contact-info": "sts-reporting@company-x.example",
///     "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
///     "policies": [{
///         "policy": {"policy-type": "no-policy-found", "policy-domain": "company-y.example"},
///         "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 0}
///     }]
/// }"#;
/// let report = ReceivedReport::read(json)?;
/// assert_eq!(report.warnings, [Deviation::DateWithoutZone]);
/// let policy = &report.value.policies[0];
/// assert_eq!(policy.policy_type, Named::Known(PolicyType::NoPolicyFound));
/// assert_eq!(policy.successes, 5326);
/// # Ok::<(), tls_rpt::ReadError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedReport {
    /// `organization-name`.
    pub organization: Option<String>,
    /// `start-datetime`.
    pub begins: Option<SystemTime>,
    /// `end-datetime`.
    pub ends: Option<SystemTime>,
    /// `contact-info`.
    pub contact: Option<String>,
    /// `report-id`.
    pub id: Option<String>,
    /// `policies`.
    pub policies: Vec<ReceivedPolicy>,
}

/// What a report says of the sessions under one policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedPolicy {
    /// `policy-type`.
    pub policy_type: Named<PolicyType>,
    /// `policy-string`.
    pub strings: Vec<String>,
    /// `policy-domain`.
    pub domain: Option<String>,
    /// `mx-host`.
    pub mx_hosts: Vec<String>,
    /// `total-successful-session-count`.
    pub successes: u64,
    /// `total-failure-session-count`.
    pub failures: u64,
    /// `failure-details`.
    pub details: Vec<ReceivedDetail>,
}

/// What a report says of sessions that failed alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedDetail {
    /// `result-type`.
    pub result_type: Named<ResultType>,
    /// `sending-mta-ip`.
    pub sending_mta_ip: Option<IpAddr>,
    /// `receiving-mx-hostname`.
    pub receiving_mx_hostname: Option<String>,
    /// `receiving-mx-helo`.
    pub receiving_mx_helo: Option<String>,
    /// `receiving-ip`.
    pub receiving_ip: Option<IpAddr>,
    /// `failed-session-count`.
    pub sessions: u64,
    /// `additional-information`.
    pub additional_information: Option<String>,
    /// `failure-reason-code`.
    pub failure_reason_code: Option<String>,
}

impl ReceivedReport {
    /// Reads a report: JSON, or JSON compressed by gzip, whatever it is said to be.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where it is no report, or is larger than a report may be.
    pub fn read(bytes: &[u8]) -> Result<Parsed<Self, Deviation>, ReadError> {
        let unpacked = unpack::json(bytes)?;
        let mut reading = Reading::default();
        if unpacked.had_mark {
            reading.add(Deviation::ByteOrderMark);
        }
        let report: LaxReport = serde_json::from_slice(&unpacked.json)?;
        let policies = report.policies.as_ref().ok_or(ReadError::NoPolicies)?;
        let details = policies.iter().flat_map(|policy| &policy.failure_details);
        if details.map(Vec::len).sum::<usize>() > DETAILS_MAX {
            return Err(ReadError::TooManyDetails);
        }
        Ok(reading.about(|reading| Self::of(report, reading)))
    }

    /// What is understood of a report.
    fn of(report: LaxReport, reading: &mut Reading) -> Self {
        let range = report.date_range.unwrap_or_default();
        Self {
            organization: reading.named(report.organization_name, Deviation::NoOrganization),
            begins: reading.time(range.start_datetime),
            ends: reading.time(range.end_datetime),
            contact: reading.named(report.contact_info, Deviation::NoContact),
            id: reading.named(report.report_id, Deviation::NoReportId),
            policies: report
                .policies
                .unwrap_or_default()
                .into_iter()
                .map(|policy| ReceivedPolicy::of(policy, reading))
                .collect(),
        }
    }
}

impl ReceivedPolicy {
    /// What is understood of an element of `policies`.
    fn of(report: LaxPolicy, reading: &mut Reading) -> Self {
        let policy = report.policy.unwrap_or_default();
        let summary = report.summary.unwrap_or_default();
        Self {
            policy_type: reading.word(policy.policy_type, Deviation::UnknownPolicyType),
            strings: reading.policy_strings(policy.policy_string),
            domain: reading.named(policy.policy_domain, Deviation::NoPolicyDomain),
            mx_hosts: reading.list(policy.mx_host, Deviation::MxHostAsText),
            successes: reading.number(summary.total_successful_session_count),
            failures: reading.number(summary.total_failure_session_count),
            details: report
                .failure_details
                .unwrap_or_default()
                .into_iter()
                .map(|detail| ReceivedDetail::of(detail, reading))
                .collect(),
        }
    }
}

impl ReceivedDetail {
    /// What is understood of an element of `failure-details`.
    fn of(detail: LaxDetail, reading: &mut Reading) -> Self {
        let information = match (detail.additional_information, detail.additional_info_uri) {
            (Value::Absent, Value::Absent) => Value::Absent,
            (Value::Absent, other) => {
                reading.add(Deviation::AdditionalInfoUri);
                other
            }
            (information, _) => information,
        };
        Self {
            result_type: reading.word(detail.result_type, Deviation::UnknownResultType),
            sending_mta_ip: reading.address(detail.sending_mta_ip),
            receiving_mx_hostname: reading.text(detail.receiving_mx_hostname),
            receiving_mx_helo: reading.text(detail.receiving_mx_helo),
            receiving_ip: reading.address(detail.receiving_ip),
            sessions: reading.number(detail.failed_session_count),
            additional_information: reading.text(information),
            failure_reason_code: reading.text(detail.failure_reason_code),
        }
    }
}

/// Why what arrived is not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is not JSON, or not of a report's structure.
    #[error("it is not a report in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has no `policies`.
    #[error("it has no \"policies\"")]
    NoPolicies,
    /// It has more entries in `failure-details` than are read.
    #[error("it has more than {DETAILS_MAX} entries in \"failure-details\"")]
    TooManyDetails,
    /// It cannot be unpacked, or would be too large.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

#[cfg(test)]
mod tests;
