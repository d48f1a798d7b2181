//! The answers about the TLS reports that are sent.

use clock::{Clock, Timestamp};
use reporting::{
    DestinationState, DestinationStatus, Obstacle, PreviewedDestination, ReportOnItsWay,
    ReportPreview, Reporting,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tls_rpt::{Day, DomainName};

/// How many reports on their way an answer lists.
pub const LISTED_MAX: usize = 1000;

/// How reports stand.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReportsStatus {
    /// The address from which they come; none where none are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The day in UTC that is not over for reports: one ends ten minutes after midnight, by the clock
    /// that the relay counts by.
    pub today: Day,
    /// Reports of days that are over which are not made yet.
    pub due: usize,
    /// Reports with a destination that is to be tried.
    pub retrying: usize,
    /// When the first of those that are not made was or will be due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_due: Option<Timestamp>,
    /// Those on their way, the first 1,000.
    pub on_their_way: Vec<SentReport>,
}

impl ReportsStatus {
    /// How reports stand, for an answer.
    pub fn of(reporting: &Reporting, on_their_way: &[ReportOnItsWay], clock: &dyn Clock) -> Self {
        let counts = reporting.counts();
        let on_wall = |due| Timestamp::of(clock.on_wall(due));
        Self {
            contact: reporting.contact().map(|contact| contact.to_string()),
            today: reporting.today(),
            due: counts.due,
            retrying: counts.retrying,
            oldest_due: counts.oldest_due.map(on_wall),
            on_their_way: on_their_way.iter().map(|one| SentReport::of(one, clock)).collect(),
        }
    }
}

/// A report on its way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SentReport {
    /// What it is called.
    pub report_id: String,
    /// The day that it is about, in UTC.
    pub day: Day,
    /// The domain that it is about.
    pub domain: DomainName,
    /// Where it stands with each of its destinations.
    pub destinations: Vec<SentTo>,
}

/// A report on its way to a destination.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SentTo {
    /// The destination.
    pub destination: String,
    /// `waiting` for the next try, `queued` as a message, `accepted`, `refused`, `expired`,
    /// `suppressed`, `unsigned`, or `lost`: deleted from the queue.
    pub state: String,
    /// How many tries have failed.
    pub attempts: u32,
    /// What the last of them met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// The name of its message in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
}

impl SentReport {
    fn of(report: &ReportOnItsWay, clock: &dyn Clock) -> Self {
        Self {
            report_id: report.id.to_string(),
            day: report.day,
            domain: report.domain.clone(),
            destinations: report.destinations.iter().map(|one| SentTo::of(one, clock)).collect(),
        }
    }
}

impl SentTo {
    fn of(status: &DestinationStatus, clock: &dyn Clock) -> Self {
        let (state, next_try, queue_id) = match status.state {
            DestinationState::Ended(result) => (result.word(), None, None),
            DestinationState::Lost => ("lost", None, None),
            DestinationState::Queued(id) => ("queued", None, Some(id.to_string())),
            DestinationState::Waiting(until) => {
                ("waiting", Some(Timestamp::of(clock.on_wall(until))), None)
            }
        };
        Self {
            destination: status.destination.to_string(),
            state: state.to_owned(),
            attempts: status.attempts,
            problem: status.problem.clone(),
            next_try,
            queue_id,
        }
    }
}

/// A day and a domain of which something was counted and not yet reported.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CountedDomain {
    /// The day, in UTC.
    pub day: Day,
    /// The domain.
    pub domain: DomainName,
}

/// What would be sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PreviewedReport {
    /// The day that it is about, in UTC.
    pub day: Day,
    /// The domain that it is about.
    pub domain: DomainName,
    /// What it would be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_id: Option<String>,
    /// The name of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// When it is due; none while the day is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Where it goes.
    pub destinations: Vec<PreviewedTo>,
    /// Why it goes nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// What is odd about the domain's record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The report itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
    /// The message to the first mail destination, without its signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A destination of a report that would be sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PreviewedTo {
    /// The destination.
    pub destination: String,
    /// Why it would not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

impl PreviewedReport {
    /// What would be sent, for an answer.
    pub fn of(day: Day, domain: DomainName, preview: &ReportPreview) -> Self {
        let report = preview.report.as_ref();
        let (destinations, why_not) = match &preview.destinations {
            Ok(destinations) => (destinations.iter().map(PreviewedTo::of).collect(), None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        Self {
            day,
            domain,
            report_id: report.map(|report| report.id().to_string()),
            file_name: report.map(tls_rpt::Report::file_name),
            due: preview.due.map(Timestamp::of),
            destinations,
            why_not,
            warnings: preview.warnings.iter().map(ToString::to_string).collect(),
            report: report.and_then(|report| serde_json::from_slice(&report.to_json()).ok()),
            message: preview.message().and_then(|bytes| String::from_utf8(bytes).ok()),
        }
    }
}

impl PreviewedTo {
    fn of(previewed: &PreviewedDestination) -> Self {
        let why_not = previewed.obstacle.map(|obstacle| match obstacle {
            Obstacle::LeftAlone(until) => {
                format!("it refused reports on 3 days and is left alone until {until}")
            }
            Obstacle::Unsigned => "no DKIM key of the submitter is fit for reports".to_owned(),
        });
        Self { destination: previewed.destination.to_string(), why_not }
    }
}
