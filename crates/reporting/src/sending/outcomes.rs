//! What came of a try: noted, logged and counted.

use std::time::Duration;

use mail::QueueId;
use tls_rpt::Destination;

use crate::error::ReportError;
use crate::hand_over::{HandOver, HandOverState, ReportResult, Transport};
use crate::kept::KeptReport;
use crate::mail_watch::{MailResult, Watched};
use crate::sending::context::Context;

/// What came of a try.
#[derive(Clone, Debug)]
pub(super) enum Tried {
    /// There was no answer.
    Failed(String),
    /// It is over.
    Over(ReportResult, String),
    /// The host asks to come again, after a while if it says so.
    PutOff(String, Option<Duration>),
}

impl Tried {
    /// There is nothing to send, which is never kept.
    pub(super) fn nothing() -> Self {
        Self::Over(ReportResult::Refused, "nothing to report".to_owned())
    }
}

/// Whether the host has answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Met {
    Answer,
    Silence,
}

impl Context {
    /// Notes what came of a try.
    pub(super) async fn tried(
        &self,
        kept: &KeptReport,
        hand_over: HandOver,
        tried: Tried,
    ) -> Result<Met, ReportError> {
        let (problem, asked, met) = match tried {
            Tried::Over(result, reply) => {
                self.over(kept, hand_over, result, &reply).await?;
                return Ok(Met::Answer);
            }
            Tried::Failed(problem) => (problem, None, Met::Silence),
            Tried::PutOff(reply, asked) => (reply, asked, Met::Answer),
        };
        let attempts = hand_over.attempts.saturating_add(1);
        let Some(at) = self.next_try(kept, attempts, asked) else {
            let hand_over = HandOver { attempts, ..hand_over };
            self.over(kept, hand_over, ReportResult::Expired, &problem).await?;
            return Ok(met);
        };
        tracing::debug!(report = %kept.key(), destination = %hand_over.destination, problem, "report put off");
        let state = HandOverState::Due { at };
        let hand_over = HandOver { state, attempts, problem: Some(problem), ..hand_over };
        self.note(kept, hand_over).await?;
        Ok(met)
    }

    /// Notes that a report has ended at a destination.
    async fn over(
        &self,
        kept: &KeptReport,
        hand_over: HandOver,
        result: ReportResult,
        reply: &str,
    ) -> Result<(), ReportError> {
        let destination = hand_over.destination.clone();
        match result {
            ReportResult::Accepted => self.refusals.forget(&destination).await?,
            ReportResult::Refused => self.refusals.note(&destination, self.today()).await?,
            ReportResult::Expired | ReportResult::Suppressed | ReportResult::Unsigned => {}
        }
        let state = HandOverState::Ended(result);
        let problem = (result != ReportResult::Accepted).then(|| reply.to_owned());
        self.note(kept, HandOver { state, problem, ..hand_over }).await?;
        tell(kept, &destination, result, reply);
        self.parts.observer.ended(Transport::to(&destination), result);
        Ok(())
    }

    /// Notes where a report stands with a destination.
    async fn note(&self, kept: &KeptReport, hand_over: HandOver) -> Result<(), ReportError> {
        let key = kept.key();
        let left = self.kept.note(&key, hand_over).await?;
        self.agenda().on_its_way(key, left.and_then(|left| left.next_due()));
        Ok(())
    }

    /// Notes what became of a message.
    pub(super) async fn mail_ended(
        &self,
        id: QueueId,
        watched: Watched,
    ) -> Result<(), ReportError> {
        let Watched { report, destination, result: Some(MailResult { result, reply }), .. } =
            watched
        else {
            return Ok(());
        };
        let Some(kept) = self.kept.find(&report).await? else { return Ok(()) };
        let state = HandOverState::Queued { id: id.number() };
        let hand_over = HandOver { state, ..HandOver::due(destination, 0) };
        self.over(&kept, hand_over, result, &reply).await
    }

    /// Notes that a message has left the queue without a word.
    pub(super) async fn mail_lost(&self, watched: Watched) -> Result<(), ReportError> {
        let Some(kept) = self.kept.find(&watched.report).await? else { return Ok(()) };
        let state = HandOverState::Lost;
        self.note(&kept, HandOver { state, ..HandOver::due(watched.destination, 0) }).await
    }
}

/// A line of the log for a report that has ended at a destination.
fn tell(kept: &KeptReport, destination: &Destination, result: ReportResult, reply: &str) {
    let Some(report) = kept.report() else { return };
    let (domain, day, report_id) = (report.domain(), report.day(), report.id());
    let octets = report.to_gzip().len();
    match result {
        ReportResult::Accepted => tracing::info!(
            %domain, %day, %report_id, %destination, octets, reply, "reported"
        ),
        ReportResult::Refused => tracing::warn!(
            %domain, %day, %report_id, %destination, octets, reply, "report refused"
        ),
        ReportResult::Expired | ReportResult::Suppressed | ReportResult::Unsigned => {
            tracing::warn!(
                %domain, %day, %report_id, %destination, octets, reply,
                result = result.word(), "report given up"
            );
        }
    }
}
