//! Where notices come from: what is seen of the relay, looked at again and again, and handed to who tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use admin::api::check_name::CheckName;
use admin::readiness::Readiness;
use admin::server::health::HealthChecks;
use clock::Clock;
use delivery::WallClock;
use listener::ServerTls;
use mta_sts::Policies;
use notify::{Condition, Event, Notifier, NotifierParts, NotifierTuning};
use pkix::SetupError;
use queue::{Health, Queue};
use reporting::Reporting;
use settings::Settings;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::needs::Needs;
use super::part::Part;
use crate::certificates::Watched;

/// How often the relay is looked at.
const ROUND: Duration = Duration::from_secs(10);

/// How long before their ends own certificates are told of.
const CERTIFICATE_ENDING: Duration = Duration::from_secs(14 * 86_400);

/// How long before their ends exceptions are told of.
const EXCEPTION_ENDING: Duration = Duration::from_secs(86_400);

/// For how long it is told that an exception has ended.
const ENDED_FOR: Duration = Duration::from_secs(600);

/// Who tells, by these settings.
///
/// # Errors
///
/// [`SetupError`]: TLS cannot be set up.
pub(super) fn notifier(
    settings: &Settings,
    queue: &Queue,
    clock: &Arc<dyn Clock>,
) -> Result<Notifier, SetupError> {
    let parts = NotifierParts {
        queue: queue.clone(),
        clock: Arc::clone(clock),
        certificate_time: Arc::new(WallClock::new(Arc::clone(clock))),
    };
    Notifier::new(parts, tuning(settings))
}

/// What of the notices follows the settings.
pub(super) fn tuning(settings: &Settings) -> NotifierTuning {
    NotifierTuning {
        destinations: settings.notices.destinations.clone(),
        roots: settings.roots.clone(),
        hostname: settings.delivery.hostname.clone(),
        signing: Arc::clone(&settings.dkim.table),
    }
}

/// Looks at the relay for those who are to be told.
#[derive(Debug)]
pub(super) struct Lookout {
    pub(super) notifier: Notifier,
    pub(super) health: HealthChecks,
    pub(super) queue: Queue,
    pub(super) policies: Arc<Policies>,
    pub(super) reporting: Reporting,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watched: watch::Receiver<Watched>,
    /// None where no history is kept.
    pub(super) needs: Option<Needs>,
}

/// The exceptions that were in force at the last look, and those that have ended since.
#[derive(Debug, Default)]
struct Exceptions {
    lasting: BTreeMap<String, Length>,
    ended: BTreeMap<String, SystemTime>,
}

/// How long an exception had still to last when it was seen first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Length {
    /// More than a day.
    Long,
    /// No more than a day: that it ends is told when it is granted.
    Short,
}

impl Lookout {
    /// Looks, and tells, until `stop`.
    pub(super) async fn keep(mut self, stop: CancellationToken) -> Part {
        let mut exceptions = Exceptions::default();
        let (notifier, mut needs) = (self.notifier.clone(), self.needs.take());
        let look = async {
            loop {
                if !self.notifier.is_off() {
                    self.look(&mut exceptions, needs.as_mut()).await;
                }
                sleep(ROUND).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = look => {}
            () = notifier.run(stop.clone()) => {}
        }
        Part::Notices
    }

    /// Looks at everything once.
    async fn look(&self, exceptions: &mut Exceptions, needs: Option<&mut Needs>) {
        let readiness = self.health.readiness().await;
        let mut looked = vec![
            Event::Clock,
            Event::Disk,
            Event::ExceptionEnded,
            Event::ExceptionEnding,
            Event::ExceptionGranted,
            Event::NotReady,
            Event::OwnCertificate,
            Event::ReportKey,
            Event::Stalled,
        ];
        let mut found = not_ready(&readiness, self.queue.health());
        if let Some(counts) = self.health.counts().await {
            looked.push(Event::Quarantined);
            let messages = counts.quarantined.messages;
            found.extend((messages > 0).then_some(Condition::Quarantined { messages }));
        }
        let now = self.clock.wall();
        if let Some(needs) = needs {
            let (events, conditions) = needs.look(self.clock.now()).await;
            looked.extend(events);
            found.extend(conditions);
        }
        let tls = self.watched.borrow().tls.clone();
        found.extend(own_certificate(tls.as_ref(), now));
        found.extend(self.report_key());
        found.extend(exceptions.look(&self.policies.exceptions(), &self.notifier, now).await);
        if let Err(error) = self.notifier.see(&looked, &found).await {
            // The notifier has told; what is so is seen again in the next round.
            tracing::debug!(%error, "conditions not taken in");
        }
    }

    /// That TLS reports are made, and no key signs them.
    fn report_key(&self) -> Option<Condition> {
        let contact = self.reporting.contact()?;
        let domain = contact.domain().to_string();
        (!self.reporting.can_sign()).then_some(Condition::ReportKey { domain })
    }
}

/// The checks that fail.
fn not_ready(readiness: &Readiness, queue: Health) -> Vec<Condition> {
    let failing = readiness.checks.iter().filter(|check| !check.ok);
    let condition = |check: &admin::readiness::Check| {
        let (seen, name) = (check.detail.clone(), check.name.word().to_owned());
        match check.name {
            CheckName::Clock => Some(Condition::Clock { seen }),
            CheckName::Delivery => Some(Condition::Stalled { seen }),
            CheckName::Queue => Some(match queue {
                Health::LowOnSpace => Condition::Disk,
                Health::Closed | Health::Failed | Health::Ready => {
                    Condition::NotReady { check: name, seen }
                }
            }),
            CheckName::Resolver | CheckName::Trust => {
                Some(Condition::NotReady { check: name, seen })
            }
            // A relay that is being stopped is so by somebody.
            CheckName::Running => None,
        }
    };
    failing.filter_map(condition).collect()
}

/// That the certificate which listeners show ends soon.
fn own_certificate(tls: Option<&ServerTls>, now: SystemTime) -> Option<Condition> {
    let ends = tls?.ends()?;
    (ends <= now + CERTIFICATE_ENDING).then_some(Condition::OwnCertificate { ends })
}

impl Exceptions {
    /// What there is to tell of exceptions, of which `all` are known.
    async fn look(
        &mut self,
        all: &mta_sts::Exceptions,
        notifier: &Notifier,
        now: SystemTime,
    ) -> Vec<Condition> {
        let mut found = Vec::new();
        let mut lasting = BTreeMap::new();
        for exception in all.iter().filter(|one| now < one.until()) {
            let domain = exception.domain().to_string();
            let (until, reason) = (exception.until(), exception.reason().to_owned());
            let is_ending = until <= now + EXCEPTION_ENDING;
            let length = match self.lasting.get(&domain) {
                Some(Length::Short) | None if is_ending => Length::Short,
                Some(Length::Long | Length::Short) | None => Length::Long,
            };
            if is_ending && length == Length::Long {
                let (domain, reason) = (domain.clone(), reason.clone());
                found.push(Condition::ExceptionEnding { domain, until, reason });
            }
            lasting.insert(domain.clone(), length);
            found.push(Condition::ExceptionGranted { domain, until, reason });
        }
        let told = notifier.subjects(Event::ExceptionGranted).await;
        let before = self.lasting.keys().cloned().chain(told);
        for domain in before.filter(|domain| !lasting.contains_key(domain)) {
            self.ended.entry(domain).or_insert(now);
        }
        self.lasting = lasting;
        let is_news =
            |at: &SystemTime| now.duration_since(*at).is_ok_and(|since| since < ENDED_FOR);
        self.ended.retain(|_, at| is_news(at));
        let ended = self
            .ended
            .iter()
            .map(|(domain, at)| Condition::ExceptionEnded { domain: domain.clone(), at: *at });
        found.extend(ended);
        found
    }
}
