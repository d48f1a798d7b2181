//! What is kept of a policy between deliveries (RFC 8461 §3.3 and §5.1).
//!
//! A policy is applied until `fetched_at + max_age` and no longer, whatever the TXT record says
//! meanwhile. Only another HTTPS fetch makes a new [`CachedPolicy`], so nothing else can move its
//! end; an equal id in DNS, which is not authenticated, does not.
//!
//! # An expired policy
//!
//! is not applied: RFC 8461 §3.3 has a sender go on "as though the domain has not implemented
//! MTA-STS" where no policy can be fetched and none that is unexpired is cached. It is still not
//! thrown away at once. As long as mail goes to its domain it stays on the list of what is to be
//! refreshed, so that a policy that could not be fetched in time is back before the next message
//! rather than by it.
//!
//! # A clock that goes back
//!
//! A policy from the future would live until the clock has caught up, however wrong the clock was
//! when it was fetched. It may be the present that is wrong, though (a machine without a battery
//! starts in 1970), and throwing the policy away would leave mail unprotected. So the first time
//! at which a policy is met from the future is kept with it, and from then on it lives for its
//! `max_age` at most; when the clock is past the fetch again, the doubt is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cache::bytes::{DecodeError, VERSION, Written, WrittenTrouble, from_nanos, to_nanos};
use crate::name::PolicyDomain;
use crate::policy::{Mode, Policy};
use crate::record::PolicyId;

pub(crate) mod bytes;

/// How far a fetch may lie ahead before the clock is doubted.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60 * 60);

/// How exactly the last use is known; also how often a policy in use is written again for it.
const USE_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// A policy, when it was fetched, and what has happened to it since.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use mta_sts::{CachedPolicy, Policy, PolicyDomain, PolicyId};
///
/// let policy = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 86400\n")?.value;
/// let fetched_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let (domain, id) = (PolicyDomain::parse("example.org")?, PolicyId::parse("a1")?);
/// let cached = CachedPolicy::new(domain, id, policy, fetched_at);
///
/// assert_eq!(cached.valid_until(), fetched_at + Duration::from_secs(86_400));
/// assert!(cached.applies_at(fetched_at + Duration::from_secs(86_400)));
/// assert!(!cached.applies_at(fetched_at + Duration::from_secs(86_401)));
/// assert_eq!(CachedPolicy::from_bytes(&cached.to_bytes())?, cached);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CachedPolicy {
    domain: PolicyDomain,
    id: PolicyId,
    policy: Arc<Policy>,
    /// The policy as it was fetched; none where an earlier version has not kept it.
    text: Option<Arc<str>>,
    fetched_at: SystemTime,
    used_at: SystemTime,
    /// The earliest time at which `fetched_at` was found to lie in the future.
    doubted_at: Option<SystemTime>,
    trouble: Option<RefreshTrouble>,
}

/// Since when a cached policy could not be refreshed, and why (RFC 8461 §3.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefreshTrouble {
    /// When it failed first.
    pub since: SystemTime,
    /// When it failed last.
    pub last: SystemTime,
    /// How often it failed in a row.
    pub failures: u32,
    /// What went wrong the last time.
    pub error: String,
}

impl CachedPolicy {
    /// A policy as it was fetched over HTTPS at `fetched_at`.
    #[must_use]
    pub fn new(domain: PolicyDomain, id: PolicyId, policy: Policy, fetched_at: SystemTime) -> Self {
        let policy = Arc::new(policy);
        let used_at = fetched_at;
        let (text, doubted_at, trouble) = (None, None, None);
        Self { domain, id, policy, text, fetched_at, used_at, doubted_at, trouble }
    }

    /// The same with the text that was fetched, which a report quotes (RFC 8460 §4.5).
    #[must_use]
    pub fn with_text(self, text: Arc<str>) -> Self {
        Self { text: Some(text), ..self }
    }

    /// The policy domain.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// The id that was published when the policy was fetched.
    #[must_use]
    pub const fn id(&self) -> &PolicyId {
        &self.id
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The policy as it was fetched, errors included; none where that was not kept.
    #[must_use]
    pub const fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// When it was fetched.
    #[must_use]
    pub const fn fetched_at(&self) -> SystemTime {
        self.fetched_at
    }

    /// The last moment at which it applies: the fetch and `max_age` (RFC 8461 §3.2).
    #[must_use]
    pub fn valid_until(&self) -> SystemTime {
        later(self.fetched_at, self.policy.max_age())
    }

    /// When mail last made use of it, to the day.
    #[must_use]
    pub const fn used_at(&self) -> SystemTime {
        self.used_at
    }

    /// Why it could not be refreshed, where that is so and administrators should know.
    ///
    /// A policy of mode `none` has no trouble: that it cannot be fetched any more is how its
    /// removal ends (RFC 8461 §3.3 and §8.3).
    #[must_use]
    pub fn trouble(&self) -> Option<&RefreshTrouble> {
        self.trouble.as_ref().filter(|_| self.policy.mode() != Mode::None)
    }

    /// When a refresh failed last, since the fetch.
    pub(crate) fn last_failure(&self) -> Option<SystemTime> {
        self.trouble.as_ref().map(|trouble| trouble.last)
    }

    /// Whether the time since the fetch does not exceed `max_age` (RFC 8461 §5.1).
    #[must_use]
    pub fn applies_at(&self, now: SystemTime) -> bool {
        let end = match self.doubted_at {
            Some(doubted) if self.is_ahead_of(now) => later(doubted, self.policy.max_age()),
            Some(_) | None => self.valid_until(),
        };
        now <= end.min(self.valid_until())
    }

    /// What is to be written anew because it was used at `now`: the day of its last use, or that
    /// its fetch lies in the future. `None` where the entry says so already.
    pub(crate) fn used(&self, now: SystemTime) -> Option<Self> {
        let doubt = self.is_ahead_of(now) && self.doubted_at.is_none_or(|doubted| now < doubted);
        let stale = later(self.used_at, USE_STEP) <= now;
        (doubt || stale).then(|| Self {
            doubted_at: if doubt { Some(now) } else { self.doubted_at },
            used_at: self.used_at.max(now),
            ..self.clone()
        })
    }

    /// The same policy, last used when `previous` was.
    pub(crate) fn used_like(self, previous: &Self) -> Self {
        Self { used_at: previous.used_at.min(self.fetched_at), ..self }
    }

    /// The same policy, after another refresh that failed.
    pub(crate) fn troubled(&self, now: SystemTime, error: String) -> Self {
        let before = self.trouble.as_ref();
        let trouble = RefreshTrouble {
            since: before.map_or(now, |trouble| trouble.since.min(now)),
            last: now,
            failures: before.map_or(1, |trouble| trouble.failures.saturating_add(1)),
            error,
        };
        Self { trouble: Some(trouble), ..self.clone() }
    }

    /// The entry as bytes for a [`PolicyStore`](crate::PolicyStore).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let trouble = self.trouble.as_ref().map(|trouble| WrittenTrouble {
            since: to_nanos(trouble.since),
            last: to_nanos(trouble.last),
            failures: trouble.failures,
            error: trouble.error.clone(),
        });
        let written = Written {
            version: VERSION,
            domain: self.domain.to_string(),
            id: self.id.clone(),
            mode: self.policy.mode(),
            max_age: self.policy.max_age().as_secs(),
            mx: self.policy.mx().iter().map(ToString::to_string).collect(),
            text: self.text.as_deref().map(str::to_owned),
            fetched_at: to_nanos(self.fetched_at),
            used_at: to_nanos(self.used_at),
            doubted_at: self.doubted_at.map(to_nanos),
            trouble,
        };
        written.write()
    }

    /// The entry that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are damaged or of a later version. A store must pass that
    /// on as an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let written = Written::read(bytes)?;
        let policy = Arc::new(written.policy()?);
        let trouble = written.trouble.map(|trouble| RefreshTrouble {
            since: from_nanos(trouble.since),
            last: from_nanos(trouble.last),
            failures: trouble.failures,
            error: trouble.error,
        });
        Ok(Self {
            domain: PolicyDomain::parse(&written.domain)?,
            id: written.id,
            policy,
            text: written.text.map(Arc::from),
            fetched_at: from_nanos(written.fetched_at),
            used_at: from_nanos(written.used_at),
            doubted_at: written.doubted_at.map(from_nanos),
            trouble,
        })
    }

    /// Whether the policy was fetched later than `now` can explain.
    pub(crate) fn is_ahead_of(&self, now: SystemTime) -> bool {
        self.fetched_at > later(now, CLOCK_TOLERANCE)
    }
}

/// `time` and `by`, or the end of time.
pub(crate) fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests;
