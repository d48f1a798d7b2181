//! Records as CSV.

use clock::{Timestamp, time};
use history::{Attempt, FoundRecord, Session};

use crate::cli::csv::csv_line;

/// The columns.
const COLUMNS: [&str; 20] = [
    "number",
    "kind",
    "ended_at",
    "queue_id",
    "attempt",
    "sender",
    "recipients",
    "domain",
    "host",
    "address",
    "outcome",
    "protection",
    "policy",
    "policy_id",
    "tls",
    "certificate",
    "status",
    "error",
    "reply",
    "gap",
];

/// Writes records as CSV.
#[derive(Debug)]
pub(super) struct Csv;

impl Csv {
    /// The first line.
    pub(super) fn heading() -> String {
        COLUMNS.join(",")
    }

    /// The line of a record.
    pub(super) fn of(record: &FoundRecord) -> String {
        let at = |millis| Timestamp::of(time(millis)).to_string();
        let cells: [String; COLUMNS.len()] = match record {
            FoundRecord::Gap { number, gap } => {
                let why = serde_json::to_string(gap).unwrap_or_default();
                let mut cells: [String; COLUMNS.len()] = Default::default();
                let [first, kind, ended_at, .., last] = &mut cells;
                *first = number.to_string();
                "gap".clone_into(kind);
                *ended_at = at(gap.found_at);
                *last = why;
                cells
            }
            FoundRecord::Attempt { number, attempt, policy, session } => {
                let Attempt { queue_id, attempt: which, recipients, domain, .. } = attempt.as_ref();
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let tls = session.as_ref().and_then(|session| session.tls.as_ref());
                [
                    number.to_string(),
                    "attempt".to_owned(),
                    at(attempt.ended_at),
                    queue_id.clone(),
                    which.to_string(),
                    text(&attempt.sender),
                    recipients.join(" "),
                    domain.clone(),
                    text(&attempt.host),
                    text(&attempt.address),
                    attempt.outcome.clone(),
                    attempt.protection.clone(),
                    policy.mode.clone().unwrap_or_else(|| policy.decision.clone()),
                    text(&policy.policy_id),
                    tls.map_or_else(String::new, |tls| tls.version.clone()),
                    certificate(session.as_deref()),
                    text(&attempt.status),
                    text(&attempt.error),
                    text(&attempt.reply),
                    String::new(),
                ]
            }
        };
        csv_line(&cells)
    }
}

/// The digest of the certificate that the host showed.
fn certificate(session: Option<&Session>) -> String {
    let certificate = session.and_then(|session| session.tls.as_ref()?.certificate.as_ref());
    certificate.and_then(|certificate| certificate.sha256.clone()).unwrap_or_default()
}
