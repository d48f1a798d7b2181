//! Sending reports, from a day that is over to the last destination's word.
//!
//! 1. [`Reporting::round`] closes the days that are over, and learns which domains something was
//!    counted for.
//! 2. When a report is due, `make` asks the domain afresh where it goes, keeps the report with its
//!    destinations, and drops the tally. From then on the report does not change.
//! 3. `hand_over` gives it to each destination: a POST, or a message in the queue.
//! 4. What came of that is noted; what failed is due again later, until its time is over.
//! 5. What becomes of messages in the queue is told by delivery ([`Reporting::finished`]), and noted
//!    in the next round.

pub(crate) mod context;
mod destinations;
mod making;
mod outcomes;

use std::sync::Arc;
use std::time::Duration;

use mail::DeliveryRecord;
use pkix::SetupError;
use store::Duties;
use tls_rpt::{Day, DomainName, MailAddress};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::agenda::Early;
use crate::error::ReportError;
use crate::sending::context::{Context, ReportTuning, ReportingParts, Tuned};
use crate::status::{ReportCounts, ReportOnItsWay, ReportPreview, counts, on_their_way, preview};

/// How often what is due is looked for.
const ROUND: Duration = Duration::from_secs(15);

/// After how many rounds the store is looked at for what others have changed.
const LOOK_AGAIN: u32 = 20;

/// How many reports are made, and tried, in one go.
const CHUNK: usize = 256;

/// How many values of the store are read in one go.
const PAGE: usize = 1000;

/// Sends reports. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reporting {
    context: Arc<Context>,
    /// Held by the round: what it knows of the store.
    turn: Arc<Mutex<Known>>,
}

/// Settings that are ready to be used.
#[derive(Debug)]
pub struct ReadyReporting(Arc<Tuned>);

/// What the last round knew of the store.
#[derive(Debug, Default)]
struct Known {
    /// Whether the reports on their way are on the agenda.
    reports: bool,
    /// The day for which the finished tallies were looked for.
    today: Option<Day>,
    /// How many rounds ago that was.
    rounds: u32,
}

impl Reporting {
    /// Sends the reports of what `parts` hold.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where TLS cannot be set up.
    pub fn new(parts: ReportingParts, tuning: ReportTuning) -> Result<Self, SetupError> {
        let tuned = Tuned::new(tuning, &parts.certificate_time)?;
        Ok(Self { context: Arc::new(Context::new(parts, tuned)), turn: Arc::default() })
    }

    /// Prepares other settings.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where TLS cannot be set up; nothing has changed.
    pub fn prepare(&self, tuning: ReportTuning) -> Result<ReadyReporting, SetupError> {
        Ok(ReadyReporting(Arc::new(Tuned::new(tuning, &self.context.parts.certificate_time)?)))
    }

    /// Goes by these settings from now on; reports on their way stay as they are.
    pub fn reload(&self, ready: ReadyReporting) {
        self.context.tune(ready.0);
    }

    /// Sends what is due until `stop`. What is under way then is noted as it was before: it is tried
    /// again at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = Box::pin(self.round()).await {
                    tracing::error!(error = mail::in_full(&error), "TLS reports not sent");
                }
                sleep(ROUND).await;
            }
        };
        let _stopped = stop.run_until_cancelled(rounds).await;
    }

    /// Notes what became of a message, if it carries a report; does not wait.
    pub fn finished(&self, record: &DeliveryRecord) {
        self.context.mail.finished(record);
    }

    /// Does what is due now.
    ///
    /// # Errors
    ///
    /// [`ReportError`]; what was not done is still due.
    pub async fn round(&self) -> Result<(), ReportError> {
        let mut known = self.turn.lock().await;
        self.context.look(&mut known).await?;
        self.context.note_mail().await?;
        // Of relays that share the store one sends; what became of a report's message each notes itself.
        match self.context.duties() {
            Duties::Here => self.context.work(Early::No).await,
            Duties::Elsewhere => Ok(()),
        }
    }

    /// Sends all reports of days that are over, before their time.
    ///
    /// # Errors
    ///
    /// [`ReportError`]; what was not done is still due.
    pub async fn send_finished(&self) -> Result<(), ReportError> {
        let mut known = self.turn.lock().await;
        known.today = None;
        self.context.look(&mut known).await?;
        self.context.note_mail().await?;
        self.context.work(Early::Yes).await
    }

    /// Sends the report about `day` to `domain` now, a day that is not over included; whether there
    /// was anything to send.
    ///
    /// # Errors
    ///
    /// [`ReportError`]; what was not done is still due.
    pub async fn send_one(&self, day: Day, domain: &DomainName) -> Result<bool, ReportError> {
        let mut known = self.turn.lock().await;
        self.context.look(&mut known).await?;
        self.context.note_mail().await?;
        let reports = self.context.make(day, domain).await?;
        let is_any = !reports.is_empty();
        self.context.hand_over_all(reports).await?;
        Ok(is_any)
    }

    /// The address from which reports come; none where none are sent.
    #[must_use]
    pub fn contact(&self) -> Option<MailAddress> {
        self.context.tuned().settings.contact.clone()
    }

    /// Whether a key signs reports of the contact's domain, so that they go by mail (RFC 8460 §3); not
    /// where there is no contact.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.context.can_sign()
    }

    /// How many reports are due and on their way, without looking into the store.
    #[must_use]
    pub fn counts(&self) -> ReportCounts {
        counts(&self.context)
    }

    /// Up to `limit` reports on their way, in the order of their days and then domains.
    ///
    /// # Errors
    ///
    /// [`ReportError`]: they cannot be read.
    pub async fn on_their_way(&self, limit: usize) -> Result<Vec<ReportOnItsWay>, ReportError> {
        on_their_way(&self.context, limit).await
    }

    /// Up to `limit` days and domains of which something was counted and not yet reported, after
    /// `after` if given.
    ///
    /// # Errors
    ///
    /// [`ReportError`]: they cannot be read.
    pub async fn counted(
        &self,
        after: Option<&(Day, DomainName)>,
        limit: usize,
    ) -> Result<Vec<(Day, DomainName)>, ReportError> {
        Ok(self.context.tallies.list(after, limit).await?)
    }

    /// The day that is not over yet for reports.
    #[must_use]
    pub fn today(&self) -> Day {
        self.context.today()
    }

    /// What would be sent to `domain` about `day`; of a report on its way, what is sent.
    ///
    /// # Errors
    ///
    /// [`ReportError`]: what was counted cannot be read.
    pub async fn preview(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<ReportPreview, ReportError> {
        preview(&self.context, day, domain).await
    }
}

impl Context {
    /// Looks at the store for what is not on the agenda: all at the start, what is over when a day
    /// ends, and both now and then, for another relay may use the store.
    async fn look(&self, known: &mut Known) -> Result<(), ReportError> {
        if !known.reports {
            self.look_at_reports().await?;
            known.reports = true;
        }
        known.rounds = known.rounds.saturating_add(1);
        let today = self.today();
        if known.today == Some(today) && known.rounds < LOOK_AGAIN {
            return Ok(());
        }
        self.look_at_mail().await?;
        // A day is not over because a clock that is not believed says so.
        if self.parts.clock.doubt().is_none() {
            self.look_at_days(today).await?;
            if known.today != Some(today) {
                self.refusals.forget_old(today).await?;
            }
            known.today = Some(today);
        }
        known.rounds = 0;
        Ok(())
    }

    /// Puts the reports on their way on the agenda, as another process has left them.
    async fn look_at_reports(&self) -> Result<(), ReportError> {
        let mut after = None;
        loop {
            let page = self.kept.list(after.as_ref(), PAGE / 10).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key());
            for report in page {
                self.take_up(report).await?;
            }
        }
    }

    /// Notes the tallies of days that are over, and closes those days.
    async fn look_at_days(&self, today: Day) -> Result<(), ReportError> {
        let (mut found, mut after, mut closed) = (Vec::new(), None, None);
        loop {
            let page = self.tallies.list(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for (day, domain) in page {
                if day >= today {
                    continue;
                }
                if closed != Some(day) {
                    self.tallies.close(day).await?;
                    closed = Some(day);
                }
                found.push((day, domain));
            }
        }
        let instance = self.identity.instance().await?;
        let spread = self.tuned().settings.spread;
        self.agenda().finished(found, &instance, spread);
        Ok(())
    }

    /// Notes what became of messages in the queue.
    async fn note_mail(&self) -> Result<(), ReportError> {
        for (id, watched) in self.mail.take_finished() {
            self.mail_ended(id, watched).await?;
        }
        Ok(())
    }

    /// Looks for messages that have left the queue without a word: an operator has deleted them.
    async fn look_at_mail(&self) -> Result<(), ReportError> {
        for id in self.mail.waiting() {
            if self.parts.queue.open_recipients(id).await? == 0
                && let Some(watched) = self.mail.missing(id)
            {
                self.mail_lost(watched).await?;
            }
        }
        Ok(())
    }

    /// Makes the reports that are due, and tries those on their way that are.
    async fn work(&self, early: Early) -> Result<(), ReportError> {
        let (now, mut after) = (self.parts.clock.now(), None);
        loop {
            let days = self.agenda().due_days(now, early, after.as_ref(), CHUNK);
            let is_last = days.len() < CHUNK;
            after = days.last().cloned();
            self.make_all(days).await?;
            let due = self.agenda().due_reports(self.now(), CHUNK);
            let are_last = due.len() < CHUNK;
            self.hand_over_all(due).await?;
            if is_last && are_last {
                return Ok(());
            }
        }
    }
}
