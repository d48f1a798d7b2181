//! What all steps of sending work with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use clock::{Clock, millis};
use dns::Dns;
use mail::QueueId;
use pkix::{Roots, SetupError};
use queue::Queue;
use rustls::time_provider::TimeProvider;
use smtp::Domain;
use store::Duties;
use tls_rpt::Day;

use crate::agenda::Agenda;
use crate::error::ReportError;
use crate::https::Poster;
use crate::identity::Identity;
use crate::kept::KeptReports;
use crate::mail::Signatures;
use crate::mail_watch::MailWatch;
use crate::observer::ReportObserver;
use crate::refusals::Refusals;
use crate::schedule::BEGIN;
use crate::settings::ReportSettings;
use crate::tallies::Tallies;

/// What sending reports is made of.
#[derive(Debug)]
pub struct ReportingParts {
    /// The queue, and the store of what is kept.
    pub queue: Queue,
    /// The DNS.
    pub dns: Arc<dyn Dns>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The time by which certificates are judged.
    pub certificate_time: Arc<dyn TimeProvider>,
    /// Who signs reports.
    pub signatures: Arc<dyn Signatures>,
    /// Who is told.
    pub observer: Arc<dyn ReportObserver>,
}

/// What of reporting may change while the relay runs.
#[derive(Clone, Debug)]
pub struct ReportTuning {
    /// How reports are sent.
    pub settings: ReportSettings,
    /// Who vouches for HTTPS servers.
    pub roots: Roots,
    /// The relay's own name.
    pub hostname: Domain,
}

/// What all steps of sending work with.
#[derive(Debug)]
pub(crate) struct Context {
    tuning: RwLock<Arc<Tuned>>,
    pub(crate) parts: ReportingParts,
    pub(crate) tallies: Tallies,
    pub(crate) kept: KeptReports,
    pub(crate) refusals: Refusals,
    pub(crate) identity: Identity,
    pub(crate) mail: MailWatch,
    agenda: Mutex<Agenda>,
}

/// Settings, and what was made of them.
#[derive(Debug)]
pub(crate) struct Tuned {
    pub(crate) settings: ReportSettings,
    pub(crate) hostname: Domain,
    pub(crate) poster: Poster,
}

impl Tuned {
    /// What is made of the settings.
    pub(crate) fn new(
        tuning: ReportTuning,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Self, SetupError> {
        let ReportTuning { settings, roots, hostname } = tuning;
        let poster = Poster::new(roots, Arc::clone(time))?;
        Ok(Self { settings, hostname, poster })
    }
}

impl Context {
    /// Which of the relays that share the store sends what is due.
    pub(crate) fn duties(&self) -> Duties {
        self.parts.queue.store().duties()
    }

    /// What the steps work with, made of `parts`.
    pub(crate) fn new(parts: ReportingParts, tuned: Tuned) -> Self {
        let store = parts.queue.store();
        Self {
            tuning: RwLock::new(Arc::new(tuned)),
            tallies: Tallies::new(store),
            kept: KeptReports::new(store),
            refusals: Refusals::new(store),
            identity: Identity::new(store),
            mail: MailWatch::default(),
            agenda: Mutex::default(),
            parts,
        }
    }

    /// Goes by these settings from now on.
    pub(crate) fn tune(&self, tuned: Arc<Tuned>) {
        *self.tuning.write().unwrap_or_else(PoisonError::into_inner) = tuned;
    }

    /// The settings as they are now.
    pub(crate) fn tuned(&self) -> Arc<Tuned> {
        Arc::clone(&self.tuning.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a key signs reports of the contact's domain.
    pub(crate) fn can_sign(&self) -> bool {
        let tuned = self.tuned();
        let contact = tuned.settings.contact.as_ref();
        contact.is_some_and(|contact| self.parts.signatures.can_sign(contact.domain()))
    }

    /// What is to be done and when.
    pub(crate) fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which what is kept ages, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis(self.parts.clock.now())
    }

    /// The day that is not over yet for reports: one ends when all that was counted has been written.
    /// It is a day of the clock that never leaps, as the days of what is counted are.
    pub(crate) fn today(&self) -> Day {
        let now = self.parts.clock.now();
        Day::of(now.checked_sub(BEGIN).unwrap_or(now))
    }

    /// Whether a message is in the queue.
    pub(crate) async fn is_queued(&self, id: QueueId) -> Result<bool, ReportError> {
        Ok(self.parts.queue.open_recipients(id).await? > 0)
    }
}
