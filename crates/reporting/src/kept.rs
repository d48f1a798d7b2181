//! Reports on their way, kept before anything of them is handed over.
//!
//! From then on the report never changes: a relay that was killed sends the same octets under the
//! same name, so that whoever gets them twice can tell (RFC 8460 §5.3).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use clock::time;
use serde::{Deserialize, Serialize};
use store::{Namespace, Store};
use tls_rpt::{Day, DomainName, DomainTally, Instance, Report, Submitter};
use tokio::sync::Mutex;

use crate::error::ReportError;
use crate::hand_over::HandOver;
use crate::next_report::Part;

/// Where reports are kept, by [`ReportKey`].
const REPORTS: &str = "tls-rpt-reports";

/// Which report: `DAY/DOMAIN/INSTANCE`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ReportKey {
    pub(crate) day: Day,
    pub(crate) domain: DomainName,
    pub(crate) instance: Instance,
}

impl fmt::Display for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.day, self.domain, self.instance)
    }
}

/// What a report was made of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The tally of a day that is over, which is dropped when the report is kept.
    Finished,
    /// A part of one, which was taken out for it.
    SoFar,
}

/// A report on its way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KeptReport {
    pub(crate) submitter: Submitter,
    pub(crate) day: Day,
    pub(crate) tally: DomainTally,
    pub(crate) origin: Origin,
    /// Which part of what was counted it is of.
    #[serde(default, skip_serializing_if = "Part::is_first")]
    pub(crate) part: Part,
    /// When it was kept, in milliseconds since 1970.
    pub(crate) begun_at: u64,
    /// The same by the wall clock, which is the date of its messages.
    pub(crate) dated: u64,
    pub(crate) hand_overs: Vec<HandOver>,
}

impl KeptReport {
    /// Which one it is.
    pub(crate) fn key(&self) -> ReportKey {
        ReportKey {
            day: self.day,
            domain: self.tally.domain().clone(),
            instance: self.submitter.instance().clone(),
        }
    }

    /// The report; none where nothing was counted, which is never kept.
    pub(crate) fn report(&self) -> Option<Report> {
        Report::new(&self.submitter, self.day, &self.tally)
    }

    /// The date of its messages.
    pub(crate) fn date(&self) -> SystemTime {
        time(self.dated)
    }

    /// When the next try is due, in milliseconds since 1970; none where nothing is to be tried.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.hand_overs.iter().filter_map(HandOver::due_at).min()
    }

    /// Whether it is over at all destinations.
    pub(crate) fn is_over(&self) -> bool {
        self.hand_overs.iter().all(HandOver::is_over)
    }
}

/// The reports on their way.
#[derive(Debug)]
pub(crate) struct KeptReports {
    values: Namespace,
    /// Held while a report is read and written again.
    editing: Mutex<()>,
}

impl KeptReports {
    /// Those in `store`.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        let values = Namespace::new(Arc::clone(store), REPORTS);
        Self { values, editing: Mutex::new(()) }
    }

    /// Keeps a new report; it is durable when this returns.
    pub(crate) async fn keep(&self, report: &KeptReport) -> Result<(), ReportError> {
        let value = serde_json::to_vec(report).map_err(ReportError::Unwritable)?;
        Ok(self.values.put(&report.key().to_string(), value).await?)
    }

    /// A report; none where it is over.
    pub(crate) async fn find(&self, key: &ReportKey) -> Result<Option<KeptReport>, ReportError> {
        let value = self.values.get(&key.to_string()).await?;
        value.as_deref().map(parse).transpose()
    }

    /// Notes where a report stands with the destination of `hand_over`; the report, which is gone
    /// where that was the last of its destinations.
    pub(crate) async fn note(
        &self,
        key: &ReportKey,
        hand_over: HandOver,
    ) -> Result<Option<KeptReport>, ReportError> {
        let _editing = self.editing.lock().await;
        let Some(mut report) = self.find(key).await? else { return Ok(None) };
        let place = report.hand_overs.iter_mut();
        for one in place.filter(|one| one.destination == hand_over.destination) {
            one.clone_from(&hand_over);
        }
        if report.is_over() {
            self.values.remove(&key.to_string()).await?;
        } else {
            self.keep(&report).await?;
        }
        Ok(Some(report))
    }

    /// Up to `limit` reports, in the order of their days and then domains, after `after` if given.
    pub(crate) async fn list(
        &self,
        after: Option<&ReportKey>,
        limit: usize,
    ) -> Result<Vec<KeptReport>, ReportError> {
        let after = after.map(ToString::to_string);
        let found = self.values.scan(after.as_deref(), limit).await?;
        found.iter().map(|(_, value)| parse(value)).collect()
    }
}

/// A report as it was kept.
fn parse(value: &[u8]) -> Result<KeptReport, ReportError> {
    serde_json::from_slice(value).map_err(ReportError::Unreadable)
}
