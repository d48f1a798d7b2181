//! Decoded policies of the domains that mail goes to all the time, in memory; or that the store has
//! none of them.
//!
//! Every entry carries the version of the value that it was read from. One that is not of the
//! version that the store has now is not used, so it does not matter who wrote in between, nor
//! through which handle.
//!
//! A domain has its place in one of many small sets. A full set lets a domain in when it asks
//! twice in a row, so that a walk over all policies drives nobody out.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mta_sts::{CachedPolicy, PolicyDomain};

/// How many sets there are.
const SETS: u64 = 4096;

/// How many domains a set holds.
const PLACES: usize = 8;

/// A policy that takes more bytes in the store is read there each time: a few domains that publish
/// as much as they may must not fill the memory.
const SIZE_MOST: usize = 1024;

/// Some policies as they are in the store.
#[derive(Debug)]
pub(super) struct Cache {
    hasher: RandomState,
    sets: Box<[Mutex<Set>]>,
}

/// Domains with like hashes.
#[derive(Debug, Default)]
struct Set {
    /// The one used last comes first.
    kept: Vec<Kept>,
    /// The hash of the domain that was not let in last.
    asked: u64,
}

/// What the store has of a domain.
#[derive(Debug)]
struct Kept {
    version: u64,
    domain: PolicyDomain,
    /// None where it has no policy.
    policy: Option<CachedPolicy>,
}

impl Cache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        let sets = (0..SETS).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::new(), sets }
    }

    /// The policy of `domain`, or that the store has none, if that was read from this version.
    pub(super) fn find(&self, domain: &PolicyDomain, version: u64) -> Option<Option<CachedPolicy>> {
        let mut set = self.set(self.hasher.hash_one(domain))?;
        let place = set.kept.iter().position(|kept| kept.domain == *domain)?;
        let kept = set.kept.remove(place);
        if kept.version != version {
            return None;
        }
        let policy = kept.policy.clone();
        set.kept.insert(0, kept);
        Some(policy)
    }

    /// Keeps what was read of `domain` from this version, which takes `size` bytes there.
    pub(super) fn keep(
        &self,
        domain: &PolicyDomain,
        policy: Option<&CachedPolicy>,
        version: u64,
        size: usize,
    ) {
        if size > SIZE_MOST {
            return;
        }
        let hash = self.hasher.hash_one(domain);
        let Some(mut set) = self.set(hash) else { return };
        set.kept.retain(|kept| kept.domain != *domain);
        if set.kept.len() >= PLACES {
            if set.asked != hash {
                set.asked = hash;
                return;
            }
            set.kept.pop();
        }
        let policy = policy.cloned();
        set.kept.insert(0, Kept { version, domain: domain.clone(), policy });
    }

    /// The set of the domains with this hash.
    fn set(&self, hash: u64) -> Option<MutexGuard<'_, Set>> {
        let set = self.sets.get(usize::try_from(hash % SETS).ok()?)?;
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use mta_sts::{Policy, PolicyId};

    use super::*;

    fn policy(number: usize) -> CachedPolicy {
        CachedPolicy::new(
            PolicyDomain::parse(&format!("d{number}.example")).unwrap(),
            PolicyId::parse("1").unwrap(),
            Policy::parse(b"version: STSv1\nmode: none\nmax_age: 86400\n").unwrap().value,
            SystemTime::UNIX_EPOCH,
        )
    }

    /// Keeps a policy.
    fn keep(cache: &Cache, policy: &CachedPolicy, version: u64, size: usize) {
        cache.keep(policy.domain(), Some(policy), version, size);
    }

    #[test]
    fn that_there_is_no_policy_is_known_until_the_version_is_another_one() {
        let (cache, domain) = (Cache::new(), policy(1).domain().clone());
        assert_eq!(cache.find(&domain, 7), None);
        cache.keep(&domain, None, 7, 0);
        assert_eq!(cache.find(&domain, 7), Some(None));
        assert_eq!(cache.find(policy(2).domain(), 7), None, "of another domain nothing is known");
        assert_eq!(cache.find(&domain, 8), None);
    }

    #[test]
    fn an_entry_of_another_version_is_not_used() {
        let (cache, policy) = (Cache::new(), policy(1));
        keep(&cache, &policy, 7, 100);
        assert_eq!(cache.find(policy.domain(), 7), Some(Some(policy.clone())));
        assert_eq!(cache.find(policy.domain(), 8), None);
        assert_eq!(cache.find(policy.domain(), 7), None, "what was old once stays old");
    }

    #[test]
    fn a_walk_over_all_policies_fills_the_cache_once_and_drives_nobody_out() {
        let cache = Cache::new();
        let busy: Vec<_> = (0..10_000).map(policy).collect();
        for policy in busy.iter().chain(&busy) {
            keep(&cache, policy, 1, 100);
        }
        let found = |cache: &Cache| {
            busy.iter().filter(|policy| cache.find(policy.domain(), 1).is_some()).count()
        };
        let before = found(&cache);
        assert!(before > 9_900, "{before} of {}", busy.len());
        for number in 10_000..100_000 {
            keep(&cache, &policy(number), 1, 100);
        }
        assert_eq!(found(&cache), before);
        let most = PLACES * usize::try_from(SETS).unwrap();
        let kept: usize = cache.sets.iter().map(|set| set.lock().unwrap().kept.len()).sum();
        assert!(kept <= most, "{kept}");
    }

    #[test]
    fn a_domain_that_becomes_busy_is_let_in() {
        let cache = Cache::new();
        for number in 0..100_000 {
            keep(&cache, &policy(number), 1, 100);
        }
        let late = policy(200_000);
        keep(&cache, &late, 1, 100);
        keep(&cache, &late, 1, 100);
        assert!(cache.find(late.domain(), 1).is_some());
    }

    #[test]
    fn a_large_policy_is_not_kept() {
        let cache = Cache::new();
        keep(&cache, &policy(1), 1, SIZE_MOST + 1);
        assert_eq!(cache.find(policy(1).domain(), 1), None);
    }
}
