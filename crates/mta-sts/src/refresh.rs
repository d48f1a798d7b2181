//! Keeping policies fresh, and the last look before mail is returned (RFC 8461 §3.3, §5.1, §10.2).
//!
//! There is no loop here: a program asks each minute or so what is due with
//! [`refresh_due`](Policies::refresh_due) and calls [`refresh`](Policies::refresh) for each.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::debug;

use crate::backoff::BACK_OFF;
use crate::cache::{CachedPolicy, later};
use crate::decision::RequiredTls;
use crate::discovery::{Freshness, TxtAnswer, discover};
use crate::evidence::Evidence;
use crate::fetch::error::FetchError;
use crate::lookup::Want;
use crate::name::PolicyDomain;
use crate::now::Now;
use crate::policies::Policies;
use crate::policy::{Mode, Policy};
use crate::settings::PolicySettings;
use crate::store::StoreError;
use crate::undecided::Undecided;

/// How long after a refresh that failed the next one comes, at most.
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// How long after a look the next one comes, at least.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Policies {
    /// The domains whose policy is due to be refreshed now, after a look at `limit` at most.
    ///
    /// A policy is due about once per refresh interval, and by half of its `max_age` at the
    /// latest; up to a quarter less, so that not all are due at once. All policies are read at the
    /// start, once a day, and after a [`reload`](Self::reload); else those alone that may be due.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the domains cannot be listed.
    pub async fn refresh_due(
        &self,
        limit: usize,
        now: impl Into<Now> + Send,
    ) -> Result<RefreshPage, StoreError> {
        let now = now.into();
        let is_walking = self.walk(limit, now.time()).await?;
        let (settings, index) = (self.settings(), &self.lookup.due);
        let looks = index.take(now.time(), limit);
        let mut page =
            RefreshPage { more: is_walking || looks.len() == limit, ..RefreshPage::default() };
        for domain in looks.into_iter().collect::<BTreeSet<_>>() {
            let soon = later(now.time(), LOOK_AGAIN);
            match self.lookup.cached(&domain).await {
                Ok(Some(cached)) if is_due(&settings, &cached, now) => {
                    index.look_from(soon, domain.clone());
                    page.due.push(domain);
                }
                Ok(Some(cached)) => {
                    index.look_from(next_look(&settings, &cached, now).max(soon), domain);
                }
                Ok(None) => {}
                Err(undecided) => {
                    index.look_from(soon, domain);
                    page.unreadable.push(undecided);
                }
            }
        }
        Ok(page)
    }

    /// Goes on with the walk over all policies, if one is due or under way.
    async fn walk(&self, limit: usize, now: SystemTime) -> Result<bool, StoreError> {
        let Some(page) = self.lookup.due.next_page(now) else { return Ok(false) };
        let domains = self.lookup.store.list(page.after.as_ref(), limit).await?;
        let is_walking = !domains.is_empty();
        self.lookup.due.saw(domains, now);
        Ok(is_walking)
    }

    /// Refreshes the cached policy of `domain`, whether it is due or not.
    ///
    /// It is fetched whatever the state of the TXT record, so that whoever can suppress only DNS
    /// answers cannot keep it from being refreshed (RFC 8461 §10.2). A policy that has expired and
    /// is not of use any more, or is not published any more, is forgotten; while the wall clock is in
    /// doubt none is.
    ///
    /// # Errors
    ///
    /// [`Undecided`] where the policy that is kept cannot be read.
    pub async fn refresh(
        &self,
        domain: &PolicyDomain,
        now: impl Into<Now> + Send,
    ) -> Result<Refreshed, Undecided> {
        let now = now.into();
        let Some(cached) = self.lookup.cached(domain).await? else {
            return Ok(Refreshed::NotCached);
        };
        if is_useless(&self.settings(), &cached, now) {
            return self.forget(&cached).await;
        }
        let txt = discover(&*self.lookup.names, domain, Freshness::Cached).await;
        let is_over = !cached.applies_at(now.time()) && !now.is_doubted();
        if matches!(txt, TxtAnswer::NotPublished(_)) && is_over {
            return self.forget(&cached).await;
        }
        let id = txt.id().unwrap_or_else(|| cached.id());
        let obtain = Box::pin(self.lookup.obtain(domain, id, now.time(), Want::Renewed));
        let obtained = obtain.await?;
        Ok(match (obtained.policy, obtained.report.error()) {
            (Some(policy), _) => Refreshed::Renewed(policy),
            (None, Some(error)) => Refreshed::Failed { cached, error: Arc::clone(error) },
            (None, None) => Refreshed::NotCached,
        })
    }

    async fn forget(&self, cached: &CachedPolicy) -> Result<Refreshed, Undecided> {
        let domain = cached.domain();
        debug!(%domain, "expired policy removed from cache");
        let unreadable = |source| Undecided::CacheUnreadable { domain: domain.clone(), source };
        self.lookup.forget(cached).await.map_err(unreadable)?;
        Ok(Refreshed::Forgotten)
    }

    /// Looks once more whether what kept mail back is still in force, before the mail is returned
    /// to its sender (RFC 8461 §5.1): a fresh TXT record, and a fetch.
    ///
    /// Where the DNS cannot say or the fetch fails, the cached policy goes on to apply, and that is
    /// an answer: the RFC asks for the look, not for its success.
    ///
    /// # Errors
    ///
    /// [`Undecided`] where the policy that is kept cannot be read.
    pub async fn recheck(
        &self,
        required: &RequiredTls,
        now: impl Into<Now> + Send,
    ) -> Result<Recheck, Undecided> {
        let now = now.into();
        let (now, is_doubted) = (now.time(), now.is_doubted());
        let domain = required.domain();
        let txt = discover(&*self.lookup.names, domain, Freshness::Fresh).await;
        let kept = self.lookup.cached(domain).await?;
        let kept = kept.filter(|cached| is_doubted || cached.applies_at(now));
        let id = txt.id().or_else(|| kept.as_ref().map(CachedPolicy::id)).cloned();
        let mut evidence = Evidence { txt: Some(txt), policy: kept, ..Evidence::default() };
        // With no record and nothing cached there is no policy to fetch.
        if let Some(id) = id {
            let obtain = Box::pin(self.lookup.obtain(domain, &id, now, Want::Confirmed));
            let obtained = obtain.await?;
            evidence.policy = obtained.policy.or(evidence.policy);
            evidence.fetch = Some(obtained.report);
            evidence.store = obtained.store;
        }
        let policy = evidence.policy.as_ref().map(CachedPolicy::policy);
        let same = policy.is_some_and(|policy| asks_alike(policy, required));
        Ok(if same {
            Recheck::Confirmed(Rechecked { domain: domain.clone(), evidence })
        } else {
            Recheck::Changed(evidence)
        })
    }
}

/// Some of the domains with a cached policy.
#[derive(Debug, Default)]
pub struct RefreshPage {
    /// Those that are due.
    pub due: Vec<PolicyDomain>,
    /// Whether there are more to look at now.
    pub more: bool,
    /// Those whose policy cannot be read: mail to them waits until somebody acts.
    pub unreadable: Vec<Undecided>,
}

/// What came of a refresh.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// No new policy could be fetched; the cached one applies until it expires.
    Failed {
        /// What is cached.
        cached: CachedPolicy,
        /// What went wrong, now or in the last five minutes.
        error: Arc<FetchError>,
    },
    /// What was cached had expired and is of no use any more.
    Forgotten,
    /// Nothing is cached.
    NotCached,
    /// There is a policy as new as can be.
    Renewed(CachedPolicy),
}

/// What came of the last look before mail is returned.
#[derive(Debug)]
#[must_use]
pub enum Recheck {
    /// The policy asks for something else now, or applies no longer: decide and try again.
    Changed(Evidence),
    /// It still asks for the same.
    Confirmed(Rechecked),
}

/// Proof that the policy was looked at once more before mail is returned (RFC 8461 §5.1).
///
/// Only [`Policies::recheck`] makes one:
///
/// ```compile_fail,E0451
/// # use mta_sts::{Evidence, PolicyDomain, Rechecked};
/// fn forge(domain: PolicyDomain, evidence: Evidence) -> Rechecked {
///     Rechecked { domain, evidence }
/// }
/// ```
///
/// ```
/// # use mta_sts::{Evidence, PolicyDomain, Rechecked};
/// fn read(rechecked: &Rechecked) -> (&PolicyDomain, &Evidence) {
///     (rechecked.domain(), rechecked.evidence())
/// }
/// ```
#[derive(Debug)]
pub struct Rechecked {
    domain: PolicyDomain,
    evidence: Evidence,
}

impl Rechecked {
    /// The policy domain whose mail may be returned now.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// What was seen.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// Whether `policy` keeps back the same mail as the one that did.
fn asks_alike(policy: &Policy, required: &RequiredTls) -> bool {
    policy.mode() == required.policy().mode() && policy.mx() == required.policy().mx()
}

/// Whether an expired policy is worth no further fetch: the domain withdrew it, or nobody has sent
/// there for long.
fn is_useless(settings: &PolicySettings, cached: &CachedPolicy, now: Now) -> bool {
    let (now, is_doubted) = (now.time(), now.is_doubted());
    let is_unused = || unused_from(settings, cached) < now;
    !is_doubted && !cached.applies_at(now) && (is_withdrawn(cached) || is_unused())
}

fn is_withdrawn(cached: &CachedPolicy) -> bool {
    cached.policy().mode() == Mode::None
}

/// From when on a policy is worth no further fetch, as things are.
fn useless_from(settings: &PolicySettings, cached: &CachedPolicy) -> SystemTime {
    let end = cached.valid_until();
    if is_withdrawn(cached) { end } else { end.max(unused_from(settings, cached)) }
}

/// From when on a policy counts as unused, as things are.
fn unused_from(settings: &PolicySettings, cached: &CachedPolicy) -> SystemTime {
    later(cached.used_at(), settings.unused_after)
}

fn is_due(settings: &PolicySettings, cached: &CachedPolicy, now: Now) -> bool {
    let fetch_from = fetch_from(settings, cached, now.time());
    is_useless(settings, cached, now)
        || (now.time() <= unused_from(settings, cached)
            && fetch_from.is_some_and(|from| from <= now.time()))
}

/// The earliest moment at which a policy that is not due now may be.
fn next_look(settings: &PolicySettings, cached: &CachedPolicy, now: Now) -> SystemTime {
    let useless_from = useless_from(settings, cached);
    fetch_from(settings, cached, now.time())
        .filter(|from| *from <= unused_from(settings, cached))
        .map_or(useless_from, |from| from.min(useless_from))
}

/// From when on a policy is fetched anew, if nothing else keeps it from being.
fn fetch_from(
    settings: &PolicySettings,
    cached: &CachedPolicy,
    now: SystemTime,
) -> Option<SystemTime> {
    if cached.policy().max_age() / 2 < BACK_OFF {
        // Nothing is gained by fetching what will have expired before it is used.
        return None;
    }
    let period = period(settings, cached.policy());
    let due = if cached.is_ahead_of(now) { now } else { due_at(cached, period) };
    let retry = if cached.applies_at(now) { RETRY_MAX.min(period / 4) } else { period };
    let failed = cached.last_failure().filter(|last| *last <= now);
    Some(failed.map_or(due, |last| due.max(later(last, retry.max(BACK_OFF)))))
}

/// How often a policy is refreshed, jitter apart.
fn period(settings: &PolicySettings, policy: &Policy) -> Duration {
    settings.refresh_interval.min(policy.max_age() / 2).max(BACK_OFF)
}

/// The moment at which a policy is due, up to a quarter of the period early: another one for each
/// domain and each fetch, and the same however often it is asked for.
fn due_at(cached: &CachedPolicy, period: Duration) -> SystemTime {
    let mut hasher = DefaultHasher::new();
    (cached.domain(), cached.fetched_at()).hash(&mut hasher);
    let parts = u32::try_from(hasher.finish() % 256).unwrap_or_default();
    later(cached.fetched_at(), period - period / 4 / 256 * parts)
}
