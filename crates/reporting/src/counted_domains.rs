//! The domains that are counted on a day, and those that want no reports.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tls_rpt::{DOMAINS_MAX, Day, DomainName};

/// How long a domain without a record is not asked again. Where the answer that there is none holds for
/// longer, the resolver remembers it, for three hours at most (RFC 2308 §5): asked again, it says the
/// same without a question to a server, and the domain waits another hour. So the time to live of an
/// absence needs no place in [`dns::Lookup`], where each of its readers would have to pass it over.
const ABSENT_FOR: Duration = Duration::from_secs(60 * 60);

/// The most domains without a record that are remembered; of those beyond, each is asked every time.
const ABSENT_MAX: usize = 100_000;

/// The domains that are counted on a day, and those that want no reports.
#[derive(Debug)]
pub(crate) struct CountedDomains {
    day: Day,
    counted: HashMap<DomainName, Kept>,
    /// Until when they are not asked again.
    absent: HashMap<DomainName, SystemTime>,
}

/// Where the counts of a domain are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    /// In memory alone.
    InMemory,
    /// In the store, as far as they were written.
    InStore,
}

/// What is done with a connection to a domain's host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// It is counted.
    Counted,
    /// It is the first of its domain on the day: it is counted, and the domain is to be asked.
    First,
    /// It is not counted: there are too many domains.
    Full,
    /// It is not counted: the domain wants no report.
    Unwanted,
}

impl CountedDomains {
    /// Those of a day of which these have been counted already.
    pub(crate) fn new(day: Day) -> Self {
        Self { day, counted: HashMap::new(), absent: HashMap::new() }
    }

    /// The day.
    pub(crate) const fn day(&self) -> Day {
        self.day
    }

    /// Goes on with another day, on which the store has these already.
    pub(crate) fn begin(&mut self, day: Day, stored: Vec<DomainName>) {
        self.day = day;
        self.counted = stored.into_iter().map(|domain| (domain, Kept::InStore)).collect();
    }

    /// How many domains are counted on the day.
    pub(crate) fn len(&self) -> usize {
        self.counted.len()
    }

    /// What is done with a connection to a host of `domain` that ended at `now`.
    pub(crate) fn admit(&mut self, domain: &DomainName, now: SystemTime) -> Admission {
        if self.counted.contains_key(domain) {
            return Admission::Counted;
        }
        if self.absent.get(domain).is_some_and(|until| now < *until) {
            return Admission::Unwanted;
        }
        if self.counted.len() >= DOMAINS_MAX {
            return Admission::Full;
        }
        self.absent.remove(domain);
        self.counted.insert(domain.clone(), Kept::InMemory);
        Admission::First
    }

    /// The counts of `domain` go to the store.
    pub(crate) fn write(&mut self, domain: &DomainName) {
        if let Some(kept) = self.counted.get_mut(domain) {
            *kept = Kept::InStore;
        }
    }

    /// `domain` wants no reports; whether counts of it are in the store.
    pub(crate) fn forget(&mut self, domain: &DomainName, now: SystemTime) -> bool {
        let kept = self.counted.remove(domain);
        if self.absent.len() >= ABSENT_MAX {
            self.absent.retain(|_domain, until| now < *until);
        }
        if self.absent.len() < ABSENT_MAX
            && let Some(until) = now.checked_add(ABSENT_FOR)
        {
            self.absent.insert(domain.clone(), until);
        }
        kept == Some(Kept::InStore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(number: usize) -> DomainName {
        DomainName::parse(&format!("d{number}.example")).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_domain_without_a_record_is_asked_again_after_an_hour() {
        let mut domains = CountedDomains::new(Day::of(at(0)));
        assert_eq!(domains.admit(&domain(1), at(0)), Admission::First);
        assert_eq!(domains.admit(&domain(1), at(1)), Admission::Counted);
        assert!(!domains.forget(&domain(1), at(2)));
        assert_eq!(domains.admit(&domain(1), at(3601)), Admission::Unwanted);
        assert_eq!(domains.admit(&domain(1), at(3602)), Admission::First);
        domains.write(&domain(1));
        assert!(domains.forget(&domain(1), at(3603)));
        assert_eq!(domains.len(), 0);
    }

    #[test]
    fn there_are_so_many_domains_on_a_day_and_no_more() {
        let mut domains = CountedDomains::new(Day::of(at(0)));
        for number in 0..DOMAINS_MAX {
            assert_eq!(domains.admit(&domain(number), at(0)), Admission::First);
        }
        assert_eq!(domains.admit(&domain(DOMAINS_MAX), at(0)), Admission::Full);
        assert_eq!(domains.admit(&domain(0), at(0)), Admission::Counted);
        let tomorrow = Day::of(at(86_400));
        domains.begin(tomorrow, vec![domain(1)]);
        assert_eq!(domains.admit(&domain(1), at(86_400)), Admission::Counted);
        assert_eq!(domains.admit(&domain(DOMAINS_MAX), at(86_400)), Admission::First);
        assert_eq!((domains.len(), domains.day()), (2, tomorrow));
    }

    #[test]
    fn of_domains_without_a_record_no_more_are_remembered_than_may_be() {
        let mut domains = CountedDomains::new(Day::of(at(0)));
        for number in 0..=ABSENT_MAX {
            domains.forget(&domain(number), at(0));
        }
        assert_eq!(domains.absent.len(), ABSENT_MAX);
        domains.forget(&domain(ABSENT_MAX), at(3600));
        assert_eq!(domains.absent.len(), 1);
    }
}
