//! Finding the policy that applies now: cache, DNS and HTTPS together (RFC 8461 §3.3 and §5.1).
//!
//! The rules, for one domain and one delivery:
//!
//! * A cached policy that has not expired applies. The TXT record is looked at each time; only a
//!   new id is reason to fetch, and only a fetch that succeeds replaces the policy.
//! * A policy that was fetched twelve times within an hour is not fetched again for a while, whatever
//!   ids the record has; what was fetched last applies.
//! * With nothing cached, a TXT record is reason to fetch before the mail goes, and without a
//!   policy the domain is as if it had none (RFC 8461 §3.3).
//! * While the wall clock is in doubt, an expired policy that cannot be fetched goes on to apply, and
//!   where nothing is cached, a certificate that is out of date is no answer either.
//! * Nothing cached and no word from the DNS is no answer. RFC 8461 has none for it either; to take
//!   it for "no policy" would hand the decision to whoever can drop our packets.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tracing::{debug, warn};

use crate::backoff::BackOff;
use crate::cache::{CachedPolicy, later};
use crate::discovery::{Freshness, Names, TxtAnswer, discover};
use crate::due_index::DueIndex;
use crate::evidence::{Evidence, FetchReport};
use crate::fetch::Fetcher;
use crate::fetch::error::{FetchError, in_full};
use crate::flights::Flights;
use crate::name::PolicyDomain;
use crate::noted::Noted;
use crate::now::{Now, Trust};
use crate::observer::{FetchEnded, Observer, Occasion, Unobserved};
use crate::parsed::Parsed;
use crate::policy::Policy;
use crate::ration::{PERIOD, Ration};
use crate::record::PolicyId;
use crate::store::{PolicyStore, StoreError};
use crate::undecided::Undecided;

/// Everything policies come from.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) names: Arc<dyn Names>,
    pub(crate) store: Arc<dyn PolicyStore>,
    pub(crate) observer: Arc<dyn Observer>,
    fetcher: RwLock<Arc<Fetcher>>,
    flights: Flights<Obtained>,
    back_off: BackOff,
    ration: Ration,
    pub(crate) due: DueIndex,
    pub(crate) noted: Noted,
}

/// What came of the wish for a new policy.
#[derive(Clone, Debug)]
pub(crate) struct Obtained {
    id: PolicyId,
    pub(crate) policy: Option<CachedPolicy>,
    pub(crate) report: FetchReport,
    pub(crate) store: Option<StoreError>,
}

impl Obtained {
    /// Whether this is what somebody wants who asks for the policy of `id` at `now`. Clocks are
    /// set and machines are suspended, so that what was fetched for another may have expired.
    fn answers(&self, id: &PolicyId, now: SystemTime) -> bool {
        self.id == *id && self.policy.as_ref().is_none_or(|policy| policy.applies_at(now))
    }
}

/// Why a policy is fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Want {
    /// To see that it is still the same, before mail is returned; as often as may be.
    Confirmed,
    /// There is none of this id; if one has come meanwhile it will do.
    Missing,
    /// To have it confirmed, whatever is cached.
    Renewed,
}

impl Lookup {
    pub(crate) fn new(
        names: Arc<dyn Names>,
        store: Arc<dyn PolicyStore>,
        fetcher: Fetcher,
    ) -> Self {
        Self {
            names,
            store,
            observer: Arc::new(Unobserved),
            fetcher: RwLock::new(Arc::new(fetcher)),
            flights: Flights::default(),
            back_off: BackOff::default(),
            ration: Ration::default(),
            due: DueIndex::default(),
            noted: Noted::default(),
        }
    }

    /// Fetches with another fetcher from now on.
    pub(crate) fn fetch_with(&self, fetcher: Fetcher) {
        *self.fetcher.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fetcher);
    }

    fn fetcher(&self) -> Arc<Fetcher> {
        Arc::clone(&self.fetcher.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The policy of `domain` that applies at `now`, with how it was found.
    pub(crate) async fn find(
        &self,
        domain: &PolicyDomain,
        now: Now,
    ) -> Result<Evidence, Undecided> {
        let (now, trust, is_doubted) = (now.time(), now.trust(), now.is_doubted());
        let txt = discover(&*self.names, domain, Freshness::Cached).await;
        let (live, expired) = match self.cached(domain).await? {
            Some(cached) if cached.applies_at(now) => (Some(cached), None),
            other => (None, other),
        };
        debug!(%domain, txt = txt.label(), cached = live.is_some(), "policy looked up");
        let mut evidence = Evidence { expired, ..Evidence::default() };
        match (live, txt.id()) {
            (Some(live), Some(id)) if live.id() != id => {
                self.obtain_for(domain, id, now, &mut evidence).await?;
                if !matches!(evidence.fetch, Some(FetchReport::Fetched(_))) {
                    let last = evidence.policy.take().unwrap_or(live);
                    self.apply(last, now, &mut evidence).await;
                }
            }
            (Some(live), _) => self.apply(live, now, &mut evidence).await,
            (None, Some(id)) => self.obtain_for(domain, id, now, &mut evidence).await?,
            (None, None) => {
                let goes_on = is_doubted && evidence.expired.is_some();
                if let TxtAnswer::Failed(source) = &txt
                    && !goes_on
                {
                    let (domain, source) = (domain.clone(), source.clone());
                    return Err(Undecided::NamesFailed { domain, source });
                }
            }
        }
        if evidence.policy.is_none() {
            self.go_on(domain, now, trust, &mut evidence).await?;
        }
        Ok(Evidence { txt: Some(txt), ..evidence })
    }

    /// While the clock is in doubt: the policy that has expired and could not be replaced goes on to
    /// apply; without one, whether there is one may be what the clock keeps from being told.
    async fn go_on(
        &self,
        domain: &PolicyDomain,
        now: SystemTime,
        trust: Trust,
        evidence: &mut Evidence,
    ) -> Result<(), Undecided> {
        let out_of_date = evidence.fetch_error().filter(|error| error.is_out_of_date()).cloned();
        let goes_on = match trust {
            Trust::Believed => return Ok(()),
            Trust::Unproved => out_of_date.is_some(),
            Trust::Doubted => true,
        };
        if let Some(expired) = evidence.expired.take_if(|_| goes_on) {
            self.apply(expired, now, evidence).await;
            return Ok(());
        }
        match out_of_date {
            Some(source) => {
                let domain = domain.clone();
                Err(Undecided::ClockDoubted { domain, source })
            }
            None => Ok(()),
        }
    }

    /// What is kept for `domain`.
    pub(crate) async fn cached(
        &self,
        domain: &PolicyDomain,
    ) -> Result<Option<CachedPolicy>, Undecided> {
        let unreadable = |source| Undecided::CacheUnreadable { domain: domain.clone(), source };
        match self.store.find(domain).await.map_err(unreadable)? {
            Some(cached) if cached.domain() != domain => {
                Err(unreadable(StoreError::new("the policy that is kept is another domain's")))
            }
            found => Ok(found),
        }
    }

    /// Applies a cached policy, and notes now and then that it was of use.
    async fn apply(&self, live: CachedPolicy, now: SystemTime, evidence: &mut Evidence) {
        if live.used(now).is_some() {
            let noted = Box::pin(self.amend(live.domain(), |cached| cached.used(now))).await;
            evidence.store = noted.err().or_else(|| evidence.store.take());
        }
        evidence.policy = Some(live);
    }

    async fn obtain_for(
        &self,
        domain: &PolicyDomain,
        id: &PolicyId,
        now: SystemTime,
        evidence: &mut Evidence,
    ) -> Result<(), Undecided> {
        // In a box: most policies are cached, and nobody needs room for fetching one.
        let obtained = Box::pin(self.obtain(domain, id, now, Want::Missing)).await?;
        evidence.policy = obtained.policy;
        evidence.fetch = Some(obtained.report);
        evidence.store = obtained.store;
        Ok(())
    }

    /// Fetches the policy of `domain`, unless somebody else does or it failed a moment ago.
    pub(crate) async fn obtain(
        &self,
        domain: &PolicyDomain,
        id: &PolicyId,
        now: SystemTime,
        want: Want,
    ) -> Result<Obtained, Undecided> {
        let place = self.flights.join(domain);
        let turn = place.turn().await;
        if let Some(news) = turn.news().filter(|news| news.answers(id, now)) {
            return Ok(news.clone());
        }
        let cached = self.cached(domain).await?;
        if want == Want::Missing
            && let Some(cached) =
                cached.as_ref().filter(|one| one.id() == id && one.applies_at(now))
        {
            let (policy, report) = (Some(cached.clone()), FetchReport::Fetched(Vec::new()));
            return Ok(Obtained { id: id.clone(), policy, report, store: None });
        }
        if let Some(failure) = self.back_off.holds(domain, id, now) {
            let (until, error) = (failure.until(), failure.error);
            let report = FetchReport::BackedOff { until, error };
            return Ok(Obtained { id: id.clone(), policy: None, report, store: None });
        }
        // Where nothing could be kept there is nothing to go by instead.
        let last = cached.as_ref().filter(|one| one.applies_at(now) || is_of_the_hour(one, now));
        if want != Want::Renewed
            && let Some(until) = self.ration.used_up(domain, now)
            && let Some(last) = last
        {
            let (policy, report) = (Some(last.clone()), FetchReport::Rationed { until });
            return Ok(Obtained { id: id.clone(), policy, report, store: None });
        }
        let obtained = self.fetch(domain, id, now, cached.as_ref(), want).await;
        turn.end(obtained.clone());
        Ok(obtained)
    }

    async fn fetch(
        &self,
        domain: &PolicyDomain,
        id: &PolicyId,
        now: SystemTime,
        cached: Option<&CachedPolicy>,
        want: Want,
    ) -> Obtained {
        let fetched = self.fetcher().fetch(&*self.names, domain).await;
        self.tell(domain, now, cached, fetched.as_ref().map(|fetched| &fetched.policy));
        let (policy, report, kept) = match fetched {
            Ok(fetched) => {
                self.back_off.succeeded(domain);
                self.ration.spend(domain, now);
                self.noted.fetched(domain);
                let Parsed { value, warnings } = fetched.policy;
                let policy = CachedPolicy::new(domain.clone(), id.clone(), value, now)
                    .with_text(fetched.text);
                let policy = match cached.filter(|_| want != Want::Missing) {
                    Some(cached) => policy.used_like(cached),
                    None => policy,
                };
                debug!(%domain, policy = %policy.policy().mode(), %id, "policy fetched");
                let kept = self.keep(&policy).await;
                (Some(policy), FetchReport::Fetched(warnings), kept)
            }
            Err(error) => {
                let error = Arc::new(error);
                self.back_off.failed(domain, id, now, &error);
                self.noted.not_fetched(domain, cached, &error);
                let kept = match cached {
                    Some(cached) => self.keep(&cached.troubled(now, error.in_full())).await,
                    None => Ok(()),
                };
                (None, FetchReport::Failed(error), kept)
            }
        };
        if let Err(error) = &kept {
            warn!(%domain, error = in_full(error), "policy not saved to cache");
        }
        Obtained { id: id.clone(), policy, report, store: kept.err() }
    }

    /// Keeps a policy, and has it looked at: another moment may be the one when it is due.
    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        let kept = self.store.keep(policy).await;
        self.due.changed(policy.domain());
        kept
    }

    /// Tells the observer of a fetch.
    fn tell(
        &self,
        domain: &PolicyDomain,
        now: SystemTime,
        cached: Option<&CachedPolicy>,
        result: Result<&Parsed<Policy>, &FetchError>,
    ) {
        let occasion = Occasion::with_cached(cached.map(|cached| cached.policy().mode()));
        let applying = cached.filter(|cached| cached.applies_at(now));
        self.observer.fetched(&FetchEnded { domain, occasion, applying, result });
    }

    /// Writes anew what is kept for `domain` where `change` says so; a fetch does not come between.
    pub(crate) async fn amend(
        &self,
        domain: &PolicyDomain,
        change: impl FnOnce(&CachedPolicy) -> Option<CachedPolicy>,
    ) -> Result<(), StoreError> {
        let place = self.flights.join(domain);
        let _turn = place.turn().await;
        match self.store.find(domain).await?.as_ref().and_then(change) {
            Some(changed) => self.keep(&changed).await,
            None => Ok(()),
        }
    }

    /// Forgets what is kept for `domain` where it is still what `seen` was.
    pub(crate) async fn forget(&self, seen: &CachedPolicy) -> Result<Option<()>, StoreError> {
        let domain = seen.domain();
        let place = self.flights.join(domain);
        let _turn = place.turn().await;
        match self.store.find(domain).await? {
            Some(cached) if cached.fetched_at() == seen.fetched_at() => {
                self.store.remove(domain).await.map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }
}

/// Whether a policy was fetched within the time for which fetches are counted: where it may not be
/// fetched again it applies that long, however short its `max_age`.
fn is_of_the_hour(cached: &CachedPolicy, now: SystemTime) -> bool {
    now < later(cached.fetched_at(), PERIOD) && !cached.is_ahead_of(now)
}
