//! The policies of everyone we send to: what finds the policy of a delivery and has it decide.
//!
//! What a decision permits and requires is in `decision`, where nothing is looked up.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::dane_exception::DaneException;
use crate::decision::{Decision, NextHop, SetAside, WhyFallback};
use crate::discovery::Names;
use crate::evidence::Evidence;
use crate::exception::{Exception, Exceptions, Lifts};
use crate::exception_uses::{ExceptionUse, ExceptionUses, SessionShown};
use crate::fetch::Fetcher;
use crate::lookup::Lookup;
use crate::name::{MxHost, PolicyDomain};
use crate::now::Now;
use crate::observer::Observer;
use crate::settings::PolicySettings;
use crate::store::PolicyStore;
use crate::tls_required_no::TlsRequiredNo;
use crate::undecided::Undecided;

/// The policies of everyone we send to.
#[derive(Debug)]
pub struct Policies {
    settings: RwLock<Arc<PolicySettings>>,
    granted: RwLock<Arc<Exceptions>>,
    uses: ExceptionUses,
    /// The exceptions that have ended before their time, and about which nothing was done yet.
    passed: Mutex<Vec<Arc<Exception>>>,
    one_has_passed: Notify,
    pub(crate) lookup: Lookup,
}

impl Policies {
    /// Decides by what is published in `names`, fetched by `fetcher` and kept in `store`.
    #[must_use]
    pub fn new(
        settings: PolicySettings,
        names: Arc<dyn Names>,
        store: Arc<dyn PolicyStore>,
        fetcher: Fetcher,
    ) -> Self {
        let settings = RwLock::new(Arc::new(settings));
        Self {
            settings,
            granted: RwLock::default(),
            uses: ExceptionUses::default(),
            passed: Mutex::default(),
            one_has_passed: Notify::new(),
            lookup: Lookup::new(names, store, fetcher),
        }
    }

    /// The same, that tell `observer` of what they decide and fetch.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.lookup.observer = observer;
        self
    }

    /// Goes by other settings and fetches with another fetcher from now on.
    ///
    /// What is cached stays; what is being decided or fetched is ended as it was begun.
    pub fn reload(&self, settings: PolicySettings, fetcher: Fetcher) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.lookup.fetch_with(fetcher);
        self.lookup.due.want_walk();
    }

    /// The settings as they are now.
    pub(crate) fn settings(&self) -> Arc<PolicySettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets these exceptions count besides those of the settings, from the next decision on, and none
    /// that were granted before.
    pub fn grant(&self, granted: Exceptions) {
        *self.granted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(granted);
        self.uses.keep(&self.exceptions());
    }

    /// The exceptions that are granted.
    fn granted(&self) -> Arc<Exceptions> {
        Arc::clone(&self.granted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether exceptions are granted for `domain`, ended ones included.
    #[must_use]
    pub fn has_granted(&self, domain: &PolicyDomain) -> bool {
        self.granted().has(domain)
    }

    /// The exceptions that count at the moment: those of the settings, and those that are granted beside
    /// them.
    #[must_use]
    pub fn exceptions(&self) -> Exceptions {
        let (settings, granted) = (self.settings(), self.granted());
        granted.iter().chain(settings.exceptions.iter()).cloned().collect()
    }

    /// Those of the settings.
    #[must_use]
    pub fn exceptions_in_settings(&self) -> Exceptions {
        self.settings().exceptions.clone()
    }

    /// How an exception has been used since the program began, or since it was granted.
    #[must_use]
    pub fn exception_use(&self, exception: &Arc<Exception>) -> ExceptionUse {
        self.uses.of(exception)
    }

    /// The exception for all hosts of `domain` that has not ended at `now`, if it sets this aside.
    fn exception(
        &self,
        domain: &PolicyDomain,
        now: SystemTime,
        sets_aside: impl Fn(Lifts) -> bool,
    ) -> Option<Arc<Exception>> {
        let (settings, granted) = (self.settings(), self.granted());
        let does = |one: &&Arc<Exception>| one.scope().lifts().is_some_and(&sets_aside);
        let find = |all: &Exceptions| all.in_force(domain, now).find(does).cloned();
        find(&settings.exceptions).or_else(|| find(&granted))
    }

    /// The exceptions for certificates and hosts of `domain` that have not ended at `now`.
    fn narrow_exceptions(&self, domain: &PolicyDomain, now: SystemTime) -> Vec<Arc<Exception>> {
        let is_narrow = |one: &&Arc<Exception>| one.scope().lifts().is_none();
        self.granted().in_force(domain, now).filter(is_narrow).cloned().collect()
    }

    /// Licence to set the TLSA records of the hosts of `domain` aside at `now`, if an exception gives it.
    /// Its use is logged once, and counted each time.
    #[must_use]
    pub fn lifts_dane(&self, domain: &PolicyDomain, now: impl Into<Now>) -> Option<DaneException> {
        let exception = self.exception(domain, now.into().latest(), Lifts::lifts_dane)?;
        self.lookup.noted.dane_exception_used(domain, exception.reason());
        self.lookup.observer.dane_excepted(domain);
        if exception.scope().lifts() == Some(Lifts::Dane) {
            self.uses.used(&exception, None);
        }
        Some(DaneException::in_force(exception))
    }

    /// A delivery goes to `mx` by an exception for its certificate or for the host. It is logged once, and
    /// counted each time.
    pub fn exception_used(&self, exception: &Arc<Exception>, mx: &MxHost) {
        self.lookup.noted.narrow_exception_used(exception);
        self.lookup.observer.excepted(exception);
        self.uses.used(exception, Some(mx));
    }

    /// A session with a host of `domain` has begun, and shows whether the host needs its exceptions. One
    /// that is needed no longer ends with that: it does not count for the next decision.
    pub fn session_began(
        &self,
        domain: &PolicyDomain,
        shown: SessionShown<'_>,
        now: impl Into<Now>,
    ) {
        let (granted, now) = (self.granted(), now.into().latest());
        let passed = granted.in_force(domain, now).filter(|one| self.uses.session(one, shown, now));
        for exception in passed {
            let mut granted = self.granted.write().unwrap_or_else(PoisonError::into_inner);
            *granted = Arc::new(granted.without(exception));
            drop(granted);
            self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(exception));
            self.one_has_passed.notify_one();
        }
    }

    /// Waits until a granted exception has ended before its time, and gives it to whoever keeps them; to
    /// one caller.
    pub async fn next_passed(&self) -> Arc<Exception> {
        loop {
            let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match passed {
                Some(exception) => return exception,
                None => self.one_has_passed.notified().await,
            }
        }
    }

    /// What the policy of `next_hop` makes of a delivery at `now` (RFC 8461 §5).
    ///
    /// `now` may be a [`SystemTime`](std::time::SystemTime), of a clock that is believed.
    ///
    /// # Errors
    ///
    /// [`Undecided`] where a policy may be in force that cannot be seen: send nothing, try later.
    pub async fn decide(
        &self,
        next_hop: &NextHop,
        purpose: Purpose<'_>,
        now: impl Into<Now> + Send,
    ) -> Result<Decision, Undecided> {
        let decided = self.decide_unobserved(next_hop, purpose, now.into()).await;
        self.lookup.observer.decided(decided.as_ref());
        self.lookup.noted.decided(decided.as_ref());
        decided
    }

    async fn decide_unobserved(
        &self,
        next_hop: &NextHop,
        purpose: Purpose<'_>,
        now: Now,
    ) -> Result<Decision, Undecided> {
        let (queued_for, by_sender) = match purpose {
            Purpose::TlsReport => return Ok(Decision::of_report(next_hop.clone())),
            Purpose::Delivery { queued_for } => (queued_for, None),
            Purpose::TlsRequiredNo { queued_for, licence } => (queued_for, Some(licence)),
        };
        let domain = match next_hop {
            NextHop::Literal(address) => return Ok(Decision::of_literal(*address)),
            NextHop::Domain(domain) => domain,
        };
        match Box::pin(self.lookup.find(domain, now)).await {
            Ok(evidence) => Ok(self.judge(domain, evidence, by_sender, now)),
            Err(Undecided::NamesFailed { domain, source })
                if queued_for > self.settings().undecided_grace && !now.is_doubted() =>
            {
                self.lookup.noted.undecided_too_long(&domain, &source);
                Ok(Decision::of_silence(domain, source))
            }
            Err(undecided) => Err(undecided),
        }
    }

    /// Decides by the policy that was found, the exceptions that are set, and what the sender has
    /// licence to pass over.
    fn judge(
        &self,
        domain: &PolicyDomain,
        evidence: Evidence,
        by_sender: Option<&TlsRequiredNo>,
        now: Now,
    ) -> Decision {
        let now = now.latest();
        let exception = self.exception(domain, now, Lifts::lifts_policy);
        let by_operator = exception.as_ref().map(SetAside::ByOperator);
        let aside = by_operator.or_else(|| by_sender.map(SetAside::BySender));
        let narrow = self.narrow_exceptions(domain, now);
        let decision = Decision::of_policy(domain.clone(), evidence, aside, narrow);
        if let Decision::Permit(fallback) = &decision
            && let WhyFallback::Exception { exception, .. } = fallback.why()
        {
            self.lookup.noted.exception_used(domain, exception.reason());
            self.uses.used(exception, None);
        }
        decision
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose<'a> {
    /// Mail.
    Delivery {
        /// How long ago it was accepted.
        queued_for: Duration,
    },
    /// A TLS-RPT report, which has to arrive in spite of the failures it reports (RFC 8460 §5.3.1).
    TlsReport,
    /// Mail whose sender wants it to arrive in spite of what a policy asks of TLS (RFC 8689 §3). The
    /// policy is looked up all the same: what it would have said is worth a report, and where it cannot
    /// be told whether there is one the mail waits as any other.
    TlsRequiredNo {
        /// How long ago it was accepted.
        queued_for: Duration,
        /// That this is honoured.
        licence: &'a TlsRequiredNo,
    },
}
