//! How often the policy of one domain is fetched within an hour, whatever its record says.
//!
//! A new id is a reason to fetch before mail goes (RFC 8461 §5.1), and the domain makes the ids: with
//! one that changes with each query every message would call on a policy host, which may be somebody
//! else's (RFC 8461 §10.3). Fetches that fail are bounded by [`BackOff`](crate::backoff::BackOff).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::later;
use crate::name::PolicyDomain;

/// How many fetches for one domain may succeed within an hour: one in five minutes, which is what
/// RFC 8461 §3.3 suggests for those that fail.
pub const FETCHES_MAX: usize = 12;

/// The time for which fetches count.
pub(crate) const PERIOD: Duration = Duration::from_secs(60 * 60);

/// How many domains are remembered. Forgetting one early costs fetches, nothing else.
const DOMAINS_MAX: usize = 10_000;

/// The fetches of the last hour that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Ration {
    fetches: Mutex<HashMap<PolicyDomain, Vec<SystemTime>>>,
}

impl Ration {
    /// When the policy of `domain` may be fetched again; none where it may be now.
    pub(crate) fn used_up(&self, domain: &PolicyDomain, now: SystemTime) -> Option<SystemTime> {
        let fetches = self.lock();
        let counted = fetches.get(domain)?.iter().filter(|at| counts(**at, now));
        let (number, first) =
            counted.fold((0, None), |(number, first), at| (number + 1, first.or(Some(*at))));
        first.filter(|_| number >= FETCHES_MAX).map(|first| later(first, PERIOD))
    }

    /// Notes that a fetch succeeded.
    pub(crate) fn spend(&self, domain: &PolicyDomain, now: SystemTime) {
        let mut fetches = self.lock();
        if fetches.len() >= DOMAINS_MAX {
            fetches.retain(|_, of_one| of_one.iter().any(|at| counts(*at, now)));
        }
        if fetches.len() >= DOMAINS_MAX {
            fetches.clear();
        }
        let of_one = fetches.entry(domain.clone()).or_default();
        of_one.retain(|at| counts(*at, now));
        if of_one.len() < FETCHES_MAX {
            of_one.push(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PolicyDomain, Vec<SystemTime>>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch from a future that a corrected clock has called off does not count.
fn counts(at: SystemTime, now: SystemTime) -> bool {
    now < later(at, PERIOD) && at < later(now, PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const MINUTE: Duration = Duration::from_secs(60);

    fn domain(text: &str) -> PolicyDomain {
        PolicyDomain::parse(text).unwrap()
    }

    #[test]
    fn a_domain_has_twelve_fetches_an_hour() {
        let ration = Ration::default();
        let (one, other) = (domain("a.example"), domain("b.example"));
        for fetch in 0..12 {
            let now = NOW + fetch * MINUTE;
            assert_eq!(ration.used_up(&one, now), None);
            ration.spend(&one, now);
        }
        assert_eq!(ration.used_up(&one, NOW + 59 * MINUTE), Some(NOW + 60 * MINUTE));
        assert_eq!(ration.used_up(&other, NOW + 59 * MINUTE), None);
        assert_eq!(ration.used_up(&one, NOW + 60 * MINUTE), None);
        ration.spend(&one, NOW + 60 * MINUTE);
        assert_eq!(ration.used_up(&one, NOW + 60 * MINUTE), Some(NOW + 61 * MINUTE));
    }

    #[test]
    fn fetches_from_the_future_do_not_count() {
        let ration = Ration::default();
        (0..12).for_each(|_| ration.spend(&domain("a.example"), NOW + 1440 * MINUTE));
        assert_eq!(ration.used_up(&domain("a.example"), NOW), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_counts_no_more_goes_first() {
        let ration = Ration::default();
        for number in 1..DOMAINS_MAX {
            ration.spend(&domain(&format!("d{number}.example")), NOW);
        }
        let later = NOW + PERIOD;
        ration.spend(&domain("late.example"), later);
        assert_eq!(ration.lock().len(), DOMAINS_MAX);
        ration.spend(&domain("last.example"), later);
        assert_eq!(ration.lock().len(), 2);
        for number in 0..DOMAINS_MAX {
            ration.spend(&domain(&format!("d{number}.example")), later);
        }
        assert!(ration.lock().len() < DOMAINS_MAX);
        (0..100).for_each(|_| ration.spend(&domain("a.example"), NOW));
        let fetches = ration.lock();
        assert!(fetches.len() <= DOMAINS_MAX);
        assert!(fetches.values().all(|of_one| of_one.len() <= FETCHES_MAX));
    }
}
