//! Fetches that failed a moment ago and are not to be tried again yet (RFC 8461 §3.3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::later;
use crate::fetch::error::FetchError;
use crate::name::PolicyDomain;
use crate::record::PolicyId;

/// For how long a failed fetch is not repeated, per domain and id (RFC 8461 §3.3).
pub const BACK_OFF: Duration = Duration::from_secs(5 * 60);

/// How many ids of one domain may fail within that time; then the domain rests, whatever its id.
///
/// Otherwise a domain that changes its id all the time could have us call on a policy host, which
/// may be someone else's, with every message.
const IDS_MAX: usize = 4;

/// How many domains are remembered. Forgetting one early costs a fetch, nothing else.
const DOMAINS_MAX: usize = 10_000;

/// The fetches that failed lately.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    failures: Mutex<HashMap<PolicyDomain, Vec<Failure>>>,
}

/// A fetch that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    id: PolicyId,
    at: SystemTime,
    /// Why it failed.
    pub(crate) error: Arc<FetchError>,
}

impl Failure {
    /// When a fetch may be tried again.
    pub(crate) fn until(&self) -> SystemTime {
        later(self.at, BACK_OFF)
    }

    /// A failure from a future that a corrected clock has called off holds nothing up.
    fn holds_at(&self, now: SystemTime) -> bool {
        now < self.until() && self.at < later(now, BACK_OFF)
    }
}

impl BackOff {
    /// The failure that forbids fetching the policy of `domain` with this id now.
    pub(crate) fn holds(
        &self,
        domain: &PolicyDomain,
        id: &PolicyId,
        now: SystemTime,
    ) -> Option<Failure> {
        let failures = self.lock();
        let recent: Vec<_> =
            failures.get(domain)?.iter().filter(|failure| failure.holds_at(now)).collect();
        let same = recent.iter().find(|failure| failure.id == *id);
        let any = recent.first().filter(|_| recent.len() >= IDS_MAX);
        same.or(any).map(|failure| (*failure).clone())
    }

    /// Notes that a fetch failed.
    pub(crate) fn failed(
        &self,
        domain: &PolicyDomain,
        id: &PolicyId,
        now: SystemTime,
        error: &Arc<FetchError>,
    ) {
        let mut failures = self.lock();
        if failures.len() >= DOMAINS_MAX {
            failures.retain(|_, of_one| of_one.iter().any(|failure| failure.holds_at(now)));
        }
        if failures.len() >= DOMAINS_MAX {
            failures.clear();
        }
        let of_one = failures.entry(domain.clone()).or_default();
        of_one.retain(|failure| failure.holds_at(now) && failure.id != *id);
        of_one.push(Failure { id: id.clone(), at: now, error: Arc::clone(error) });
    }

    /// Notes that a fetch succeeded.
    pub(crate) fn succeeded(&self, domain: &PolicyDomain) {
        self.lock().remove(domain);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PolicyDomain, Vec<Failure>>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn domain(text: &str) -> PolicyDomain {
        PolicyDomain::parse(text).unwrap()
    }

    fn id(text: &str) -> PolicyId {
        PolicyId::parse(text).unwrap()
    }

    fn fail(back_off: &BackOff, name: &str, version: &str, now: SystemTime) {
        back_off.failed(&domain(name), &id(version), now, &Arc::new(FetchError::TimedOut));
    }

    #[test]
    fn a_failure_holds_five_minutes_for_its_domain_and_id() {
        let back_off = BackOff::default();
        fail(&back_off, "a.example", "1", NOW);
        let holds = |name: &str, version: &str, seconds| {
            let now = NOW + Duration::from_secs(seconds);
            back_off.holds(&domain(name), &id(version), now).is_some()
        };
        assert!(holds("a.example", "1", 299));
        assert!(!holds("a.example", "1", 300));
        assert!(!holds("a.example", "2", 1));
        assert!(!holds("b.example", "1", 1));
    }

    #[test]
    fn a_domain_that_changes_its_id_all_the_time_rests() {
        let back_off = BackOff::default();
        for version in ["1", "2", "3", "4"] {
            assert!(back_off.holds(&domain("a.example"), &id(version), NOW).is_none());
            fail(&back_off, "a.example", version, NOW);
        }
        assert!(back_off.holds(&domain("a.example"), &id("5"), NOW).is_some());
        assert!(back_off.holds(&domain("a.example"), &id("5"), NOW + BACK_OFF).is_none());
    }

    #[test]
    fn a_failure_from_the_future_holds_nothing_up() {
        let back_off = BackOff::default();
        fail(&back_off, "a.example", "1", NOW + Duration::from_secs(86_400));
        assert!(back_off.holds(&domain("a.example"), &id("1"), NOW).is_none());
    }

    #[test]
    fn a_success_ends_the_rest_of_its_domain() {
        let back_off = BackOff::default();
        fail(&back_off, "a.example", "1", NOW);
        fail(&back_off, "b.example", "1", NOW);
        back_off.succeeded(&domain("a.example"));
        assert!(back_off.holds(&domain("a.example"), &id("1"), NOW).is_none());
        assert!(back_off.holds(&domain("b.example"), &id("1"), NOW).is_some());
    }

    #[test]
    fn failures_of_one_id_and_failures_that_hold_no_more_do_not_add_up() {
        let back_off = BackOff::default();
        for _ in 0..2 * IDS_MAX {
            fail(&back_off, "a.example", "1", NOW);
        }
        assert_eq!(back_off.lock()[&domain("a.example")].len(), 1);
        assert!(back_off.holds(&domain("a.example"), &id("2"), NOW).is_none());
        fail(&back_off, "a.example", "2", NOW + BACK_OFF);
        assert_eq!(back_off.lock()[&domain("a.example")].len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_holds_no_more_goes_first() {
        let back_off = BackOff::default();
        for number in 1..DOMAINS_MAX {
            fail(&back_off, &format!("d{number}.example"), "1", NOW);
        }
        let later = NOW + BACK_OFF;
        fail(&back_off, "late.example", "1", later);
        assert_eq!(back_off.lock().len(), DOMAINS_MAX);
        fail(&back_off, "last.example", "1", later);
        assert_eq!(back_off.lock().len(), 2);
        assert!(back_off.holds(&domain("late.example"), &id("1"), later).is_some());
        for number in 0..DOMAINS_MAX {
            fail(&back_off, &format!("d{number}.example"), "1", later);
        }
        assert!(back_off.lock().len() < DOMAINS_MAX);
    }
}
