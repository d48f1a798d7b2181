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

    /// Makes the report about `day` to `domain`, if there is one to make now.
    pub(super) async fn make(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<ReportKey>, ReportError> {
        let Some(tally) = self.tallies.read(day, domain).await? else {
            self.agenda().made(day, domain);
            return Ok(None);
        };
        let destinations = match self.unsent(domain, &tally) {
            Some(unsent) => Destinations::None(unsent),
            None => self.destinations(domain).await,
        };
        match destinations {
            Destinations::Known(destinations) => self.keep(day, tally, destinations).await,
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
    async fn keep(
        &self,
        day: Day,
        tally: DomainTally,
        destinations: Vec<Destination>,
    ) -> Result<Option<ReportKey>, ReportError> {
        let domain = tally.domain().clone();
        let is_over = day < self.today();
        // What is counted while this is done must be in the next report.
        let tally = if is_over { Some(tally) } else { self.tallies.take(day, &domain).await? };
        let Some((tally, submitter)) = tally.zip(self.submitter(day, &domain).await?) else {
            return Ok(None);
        };
        let now = self.now();
        let report = KeptReport {
            submitter,
            day,
            tally: self.sending_addresses().await.apply(&tally),
            origin: if is_over { Origin::Finished } else { Origin::SoFar },
            begun_at: now,
            dated: millis(self.parts.clock.wall()),
            hand_overs: destinations.into_iter().map(|one| HandOver::due(one, now)).collect(),
        };
        if let Err(error) = self.kept.keep(&report).await {
            if !is_over {
                self.tallies.add(day, tally).await?;
            }
            return Err(error);
        }
        if is_over {
            self.drop_tally(day, &domain).await?;
        } else {
            self.identity.count(day, &domain).await?;
        }
        let key = report.key();
        self.agenda().on_its_way(key.clone(), report.next_due());
        Ok(Some(key))
    }

    /// Who sends the next report about `day` to `domain`; nobody without a contact address.
    pub(crate) async fn submitter(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<Submitter>, ReportError> {
        let settings = &self.tuned().settings;
        let Some(contact) = settings.contact.clone() else { return Ok(None) };
        let instance = self.identity.next(day, domain).await?;
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
        let (key, day) = (report.key(), report.day);
        match report.origin {
            Origin::Finished => drop(self.tallies.drop(day, report.tally.domain()).await?),
            Origin::SoFar => {}
        }
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
