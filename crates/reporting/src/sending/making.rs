//! Making a report of what was counted, and keeping it.

use std::net::IpAddr;

use clock::millis;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mail::QueueId;
use tls_rpt::{Day, Destination, DomainName, DomainTally, Record, Submitter};

use crate::agenda::Again;
use crate::error::ReportError;
use crate::hand_over::{HandOver, HandOverState};
use crate::kept::{KeptReport, Origin, ReportKey};
use crate::next_report::{NextReport, Part, PartState};
use crate::record_lookup::{RecordLookupError, fresh_record};
use crate::sending::context::Context;
use crate::sending_address::SendingAddresses;
use crate::unsent::Unsent;

/// How many domains are asked at a time.
const AT_ONCE: usize = 32;

/// Where a report goes, or why it goes nowhere.
enum Destinations {
    Known(Vec<Destination>),
    None(Unsent),
    /// It cannot be told now.
    Unknown(RecordLookupError),
}

impl Context {
    /// Makes these reports, some at a time.
    pub(super) async fn make_all(&self, days: Vec<(Day, DomainName)>) -> Result<(), ReportError> {
        let make = |(day, domain): (Day, DomainName)| async move {
            Box::pin(self.make(day, &domain)).await.map(drop)
        };
        let made = stream::iter(days.into_iter().map(make)).buffer_unordered(AT_ONCE);
        made.try_collect::<()>().await
    }

    /// Makes the report about `day` to `domain`, if there is one to make now; two where a relay that
    /// was killed had taken out a part of what was counted.
    pub(super) async fn make(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Vec<ReportKey>, ReportError> {
        let Some((first, state)) = self.make_next(day, domain).await? else {
            return Ok(Vec::new());
        };
        let rest = match state {
            PartState::Taken => self.make_next(day, domain).await?,
            PartState::Counting => None,
        };
        Ok(std::iter::once(first).chain(rest.map(|(key, _)| key)).collect())
    }

    /// Makes the next report about `day` to `domain`, if there is one to make now; and what it was made of.
    async fn make_next(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<(ReportKey, PartState)>, ReportError> {
        let Some(next) = self.tallies.next(day, domain).await? else {
            self.agenda().made(day, domain);
            return Ok(None);
        };
        let destinations = match self.unsent(domain, &next.tally) {
            Some(unsent) => Destinations::None(unsent),
            None => self.destinations(domain).await,
        };
        match destinations {
            Destinations::Known(destinations) => {
                let state = next.state;
                let kept = self.keep(day, next, destinations).await?;
                Ok(kept.map(|key| (key, state)))
            }
            Destinations::None(unsent) => {
                tracing::debug!(%domain, %day, why = %unsent, "report not made");
                self.drop_tally(day, domain).await?;
                Ok(None)
            }
            Destinations::Unknown(error) => {
                let (now, tuned) = (self.parts.clock.now(), self.tuned());
                let give_up_after = tuned.settings.give_up_after;
                let again = self.agenda().failed(day, domain, now, give_up_after);
                if again == Again::Never && day < self.today() {
                    tracing::warn!(%domain, %day, %error, "report given up");
                    self.drop_tally(day, domain).await?;
                }
                Ok(None)
            }
        }
    }

    /// Drops a tally of which there will be no report; what is counted of a day that is not over goes
    /// on.
    async fn drop_tally(&self, day: Day, domain: &DomainName) -> Result<(), ReportError> {
        if day < self.today() {
            self.tallies.drop(day, domain).await?;
            self.agenda().made(day, domain);
        }
        Ok(())
    }

    /// Why no report of `tally` is sent, as far as this relay's settings say so.
    pub(crate) fn unsent(&self, domain: &DomainName, tally: &DomainTally) -> Option<Unsent> {
        let settings = &self.tuned().settings;
        Unsent::of(settings, domain, tally)
    }

    /// Where the report to `domain` goes.
    async fn destinations(&self, domain: &DomainName) -> Destinations {
        match Box::pin(fresh_record(self.parts.dns.as_ref(), domain)).await {
            Ok(record) => Destinations::Known(self.destinations_of(&record.value)),
            Err(RecordLookupError::None(none)) => Destinations::None(Unsent::NoRecord(none)),
            Err(error @ RecordLookupError::Failed(_)) => Destinations::Unknown(error),
        }
    }

    /// Where reports of a domain with this record go: to its own destinations, or where the operator
    /// has all of them sent.
    pub(crate) fn destinations_of(&self, record: &Record) -> Vec<Destination> {
        let redirect = self.tuned().settings.redirect.clone();
        redirect.map_or_else(|| record.destinations().to_vec(), |one| vec![one])
    }

    /// Keeps a report, and drops what it was made of.
    ///
    /// Of a day that is not over that is a part, taken out before and gone after: what is counted
    /// meanwhile is for the next report. Such a part may have been left by a relay that was killed.
    async fn keep(
        &self,
        day: Day,
        next: NextReport,
        destinations: Vec<Destination>,
    ) -> Result<Option<ReportKey>, ReportError> {
        let domain = next.tally.domain().clone();
        let is_finished = day < self.today() && next.state == PartState::Counting;
        let (origin, next) = if is_finished {
            (Origin::Finished, Some(next))
        } else {
            (Origin::SoFar, self.tallies.take(day, &domain).await?)
        };
        let Some(NextReport { part, tally, .. }) = next else { return Ok(None) };
        let Some(submitter) = self.submitter(part).await? else { return Ok(None) };
        let now = self.now();
        let report = KeptReport {
            submitter,
            day,
            tally: self.sending_addresses().await.apply(&tally),
            origin,
            part,
            begun_at: now,
            dated: millis(self.parts.clock.wall()),
            hand_overs: destinations.into_iter().map(|one| HandOver::due(one, now)).collect(),
        };
        self.kept.keep(&report).await?;
        self.drop_origin(&report).await?;
        let key = report.key();
        self.agenda().on_its_way(key.clone(), report.next_due());
        Ok(Some(key))
    }

    /// Drops what a report was made of, now that it is kept.
    async fn drop_origin(&self, report: &KeptReport) -> Result<(), ReportError> {
        let (day, domain) = (report.day, report.tally.domain());
        match report.origin {
            Origin::Finished => {
                self.tallies.drop(day, domain).await?;
                self.agenda().made(day, domain);
            }
            Origin::SoFar => self.tallies.reported(day, domain, report.part).await?,
        }
        Ok(())
    }

    /// Who sends the report about a part of a day; nobody without a contact address.
    pub(crate) async fn submitter(&self, part: Part) -> Result<Option<Submitter>, ReportError> {
        let settings = &self.tuned().settings;
        let Some(contact) = settings.contact.clone() else { return Ok(None) };
        let instance = self.identity.of_part(part).await?;
        Ok(Some(Submitter::new(contact, &settings.organization, instance)))
    }

    /// The addresses that this relay is known by.
    pub(crate) async fn sending_addresses(&self) -> SendingAddresses {
        let tuned = self.tuned();
        let named = tuned.settings.sending_addresses.clone();
        if !named.is_empty() {
            return SendingAddresses { named, of_hostname: Vec::new() };
        }
        let found = self.parts.dns.addresses(&tuned.hostname).await.ok();
        let found = found.and_then(dns::Lookup::into_records);
        let of_hostname: Vec<IpAddr> = found.map(|found| found.records).unwrap_or_default();
        SendingAddresses { named, of_hostname }
    }

    /// Takes up a report that another process has left: what it was made of is dropped, and what may
    /// not have got into the queue is looked for there.
    pub(super) async fn take_up(&self, mut report: KeptReport) -> Result<(), ReportError> {
        let key = report.key();
        self.drop_origin(&report).await?;
        for hand_over in report.hand_overs.clone() {
            let Some(id) = hand_over.message().map(QueueId::from_number) else { continue };
            if self.is_queued(id).await? {
                self.mail.watch(id, key.clone(), hand_over.destination);
                continue;
            }
            let state = match hand_over.state {
                // The relay ended before the queue had it.
                HandOverState::Queueing { .. } => HandOverState::Due { at: self.now() },
                HandOverState::Due { .. }
                | HandOverState::Ended(_)
                | HandOverState::Lost
                | HandOverState::Queued { .. } => HandOverState::Lost,
            };
            if let Some(noted) = self.kept.note(&key, HandOver { state, ..hand_over }).await? {
                report = noted;
            }
        }
        self.agenda().on_its_way(key, report.next_due());
        Ok(())
    }
}
