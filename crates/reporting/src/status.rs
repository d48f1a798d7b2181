//! How reports stand, for operators: what is due, what is on its way, and what would be sent.

use std::time::SystemTime;

use clock::time;
use mail::QueueId;
use tls_rpt::{Day, Destination, DomainName, Report, ReportId, Warning, message};

use crate::error::ReportError;
use crate::hand_over::{HandOver, HandOverState, ReportResult, Transport};
use crate::kept::{KeptReport, ReportKey};
use crate::next_report::NextReport;
use crate::record_lookup::{RecordLookupError, fresh_record};
use crate::sending::context::Context;
use crate::unsent::Unsent;

/// How many reports are due and on their way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReportCounts {
    /// Reports of days that are over which are not made yet.
    pub due: usize,
    /// Reports with a destination that is to be tried, or tried again.
    pub retrying: usize,
    /// When the first of those that are not made was or will be due, as the relay's clock has it.
    pub oldest_due: Option<SystemTime>,
}

/// A report on its way.
#[derive(Clone, Debug)]
pub struct ReportOnItsWay {
    /// What it is called.
    pub id: ReportId,
    /// The day that it is about.
    pub day: Day,
    /// The domain that it is about.
    pub domain: DomainName,
    /// Where it stands with each of its destinations.
    pub destinations: Vec<DestinationStatus>,
}

/// Where a report stands with a destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DestinationStatus {
    /// The destination.
    pub destination: Destination,
    /// Where it stands.
    pub state: DestinationState,
    /// How many tries have failed.
    pub attempts: u32,
    /// What the last of them met.
    pub problem: Option<String>,
}

/// Where a report stands with a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DestinationState {
    /// It is over.
    Ended(ReportResult),
    /// Its message has left the queue, and nobody noted how.
    Lost,
    /// Its message is in the queue.
    Queued(QueueId),
    /// It is tried from then on.
    Waiting(SystemTime),
}

/// What would be sent.
#[derive(Clone, Debug)]
pub struct ReportPreview {
    /// The report; none where nothing was counted, or nobody sends it.
    pub report: Option<Report>,
    /// When it is due, by the wall clock; none while the day is not over.
    pub due: Option<SystemTime>,
    /// Where it goes, or why it goes nowhere.
    pub destinations: Result<Vec<PreviewedDestination>, NoDestination>,
    /// What is odd about the domain's record.
    pub warnings: Vec<Warning>,
    /// The date that its messages would have.
    pub dated: SystemTime,
}

/// A destination of a report that would be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PreviewedDestination {
    /// The destination.
    pub destination: Destination,
    /// Why it would not be tried.
    pub obstacle: Option<Obstacle>,
}

/// Why a destination would not be tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Obstacle {
    /// It has refused reports, and is left alone until this day.
    LeftAlone(Day),
    /// No DKIM key of the submitter is fit for reports.
    Unsigned,
}

/// Why a report goes nowhere.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoDestination {
    /// The record cannot be looked up now.
    #[error("the record's lookup failed: {0}")]
    LookupFailed(dns::LookupError),
    /// It is not sent.
    #[error(transparent)]
    Unsent(#[from] Unsent),
}

impl ReportPreview {
    /// The message to the first mail destination, without its signature.
    #[must_use]
    pub fn message(&self) -> Option<Vec<u8>> {
        let report = self.report.as_ref()?;
        let destinations = self.destinations.as_ref().ok()?;
        destinations.iter().find_map(|one| match &one.destination {
            Destination::Mailto(to) => Some(message(report, to, self.dated)),
            Destination::Https(_) => None,
        })
    }
}

/// How many reports are due and on their way, without looking into the store.
pub(crate) fn counts(context: &Context) -> ReportCounts {
    let agenda = context.agenda();
    ReportCounts {
        due: agenda.waiting(),
        retrying: agenda.retrying(),
        oldest_due: agenda.oldest_due(),
    }
}

/// Up to `limit` reports on their way.
pub(crate) async fn on_their_way(
    context: &Context,
    limit: usize,
) -> Result<Vec<ReportOnItsWay>, ReportError> {
    let kept = context.kept.list(None, limit).await?;
    Ok(kept.iter().filter_map(ReportOnItsWay::of).collect())
}

/// What would be sent to `domain` about `day`.
pub(crate) async fn preview(
    context: &Context,
    day: Day,
    domain: &DomainName,
) -> Result<ReportPreview, ReportError> {
    let dated = context.parts.clock.wall();
    let on_wall = |due| context.parts.clock.on_wall(due);
    let due = context.agenda().due_of(day, domain).map(on_wall);
    let nothing = |why: Unsent| ReportPreview {
        report: None,
        due,
        destinations: Err(why.into()),
        warnings: Vec::new(),
        dated,
    };
    let Some(NextReport { part, tally, .. }) = context.tallies.next(day, domain).await? else {
        let instance = context.identity.instance().await?;
        let key = ReportKey { day, domain: domain.clone(), instance };
        let kept = context.kept.find(&key).await?;
        return Ok(kept.as_ref().map_or_else(|| nothing(Unsent::NothingCounted), on_its_way));
    };
    let Some(submitter) = context.submitter(part).await? else {
        return Ok(nothing(Unsent::NoContact));
    };
    let tally = context.sending_addresses().await.apply(&tally);
    let report = Report::new(&submitter, day, &tally);
    if let Some(unsent) = context.unsent(domain, &tally) {
        return Ok(ReportPreview { report, ..nothing(unsent) });
    }
    match Box::pin(fresh_record(context.parts.dns.as_ref(), domain)).await {
        Ok(record) => {
            let destinations = context.destinations_of(&record.value);
            let destinations = Ok(previewed(context, destinations).await?);
            Ok(ReportPreview { report, due, destinations, warnings: record.warnings, dated })
        }
        Err(RecordLookupError::Failed(error)) => {
            let destinations = Err(NoDestination::LookupFailed(error));
            Ok(ReportPreview { report, destinations, ..nothing(Unsent::NothingCounted) })
        }
        Err(RecordLookupError::None(none)) => {
            Ok(ReportPreview { report, ..nothing(Unsent::NoRecord(none)) })
        }
    }
}

/// These destinations, with what would keep a report from them.
async fn previewed(
    context: &Context,
    destinations: Vec<Destination>,
) -> Result<Vec<PreviewedDestination>, ReportError> {
    let can_sign = context.can_sign();
    let mut previewed = Vec::with_capacity(destinations.len());
    for destination in destinations {
        let left_alone = context.refusals.until(&destination, context.today()).await?;
        let is_unsigned = Transport::to(&destination) == Transport::Mail && !can_sign;
        let unsigned = is_unsigned.then_some(Obstacle::Unsigned);
        let obstacle = left_alone.map(Obstacle::LeftAlone).or(unsigned);
        previewed.push(PreviewedDestination { destination, obstacle });
    }
    Ok(previewed)
}

/// A report on its way, as it would be shown before.
fn on_its_way(kept: &KeptReport) -> ReportPreview {
    let shown = |one: &HandOver| PreviewedDestination {
        destination: one.destination.clone(),
        obstacle: None,
    };
    ReportPreview {
        report: kept.report(),
        due: Some(kept.date()),
        destinations: Ok(kept.hand_overs.iter().map(shown).collect()),
        warnings: Vec::new(),
        dated: kept.date(),
    }
}

impl ReportOnItsWay {
    /// What is kept, for operators.
    fn of(kept: &KeptReport) -> Option<Self> {
        Some(Self {
            id: kept.report()?.id().clone(),
            day: kept.day,
            domain: kept.tally.domain().clone(),
            destinations: kept.hand_overs.iter().map(DestinationStatus::of).collect(),
        })
    }
}

impl DestinationStatus {
    /// What is kept, for operators.
    fn of(hand_over: &HandOver) -> Self {
        Self {
            destination: hand_over.destination.clone(),
            state: match hand_over.state {
                HandOverState::Due { at } => DestinationState::Waiting(time(at)),
                HandOverState::Ended(result) => DestinationState::Ended(result),
                HandOverState::Lost => DestinationState::Lost,
                HandOverState::Queued { id } | HandOverState::Queueing { id } => {
                    DestinationState::Queued(QueueId::from_number(id))
                }
            },
            attempts: hand_over.attempts,
            problem: hand_over.problem.clone(),
        }
    }
}
