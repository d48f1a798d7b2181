//! Exceptions: the one way in which an operator may send to a domain despite its policy.
//!
//! RFC 8461 knows none. One is needed where a domain has locked itself out and the mail cannot
//! wait; so each is for one domain, says why, ends by itself within [`EXCEPTION_MAX`], and is
//! logged: in a warning at its first use, and in the line of each delivery it was used for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::cache::later;
use crate::name::PolicyDomain;

/// How far ahead an exception may end.
pub const EXCEPTION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How far the clock may have gone back since an exception was set, and the exception counts.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Licence to send to one domain for a while without regard to its policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exception {
    domain: PolicyDomain,
    until: SystemTime,
    reason: String,
    lifts: Lifts,
}

/// What an exception sets aside.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lifts {
    /// The TLSA records of the domain's hosts (RFC 7672); what the policy asks for stays.
    Dane,
    /// The policy; what other mechanisms ask for stays.
    #[default]
    MtaSts,
    /// Both.
    MtaStsAndDane,
}

impl Lifts {
    /// Reads such words, with commas between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Dane, Self::MtaSts, Self::MtaStsAndDane];
        let mut words: Vec<&str> = text.split(',').map(str::trim).collect();
        words.sort_unstable_by(|one, other| other.cmp(one));
        words.dedup();
        all.into_iter().find(|lifts| lifts.words() == words)
    }

    /// The words for it, as settings have them.
    #[must_use]
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Dane => &["dane"],
            Self::MtaSts => &["mta-sts"],
            Self::MtaStsAndDane => &["mta-sts", "dane"],
        }
    }

    /// Whether an enforced policy is set aside.
    #[must_use]
    pub const fn lifts_policy(self) -> bool {
        match self {
            Self::MtaSts | Self::MtaStsAndDane => true,
            Self::Dane => false,
        }
    }

    /// Whether TLSA records are set aside.
    #[must_use]
    pub const fn lifts_dane(self) -> bool {
        match self {
            Self::Dane | Self::MtaStsAndDane => true,
            Self::MtaSts => false,
        }
    }
}

impl Exception {
    /// An exception for `domain` that ends at `until`.
    ///
    /// # Errors
    ///
    /// [`ExceptionError`] where it ends more than [`EXCEPTION_MAX`] after `now` or says no reason.
    /// One that has ended already is allowed and has no effect, so that a settings file does not
    /// turn invalid by itself.
    pub fn new(
        domain: PolicyDomain,
        until: SystemTime,
        reason: &str,
        now: SystemTime,
    ) -> Result<Self, ExceptionError> {
        if until > later(now, EXCEPTION_MAX) {
            return Err(ExceptionError::TooLong);
        }
        if reason.trim().is_empty() {
            return Err(ExceptionError::NoReason);
        }
        let lifts = Lifts::default();
        Ok(Self { domain, until, reason: reason.trim().to_owned(), lifts })
    }

    /// The same exception, for something else than the policy.
    #[must_use]
    pub fn lifting(self, lifts: Lifts) -> Self {
        Self { lifts, ..self }
    }

    /// What it sets aside.
    #[must_use]
    pub const fn lifts(&self) -> Lifts {
        self.lifts
    }

    /// The policy domain it is for; not its subdomains.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// When it ends.
    #[must_use]
    pub const fn until(&self) -> SystemTime {
        self.until
    }

    /// Why there is one, in the operator's words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Why an exception is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ExceptionError {
    /// It does not say why it is needed.
    #[error("an exception must say its reason")]
    NoReason,
    /// It ends too far ahead.
    #[error("an exception may end at most 30 days ahead")]
    TooLong,
}

/// The exceptions that are set, at most one for a domain.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(BTreeMap<PolicyDomain, Exception>);

impl Exceptions {
    /// The exception for `domain`, where there is one that has not ended at `now`. One that ends later
    /// than any may was written by a clock that was ahead, and does not count.
    #[must_use]
    pub fn find(&self, domain: &PolicyDomain, now: SystemTime) -> Option<&Exception> {
        let most = later(later(now, EXCEPTION_MAX), CLOCK_TOLERANCE);
        self.0.get(domain).filter(|exception| now < exception.until && exception.until <= most)
    }

    /// All that are set, ended ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Exception> {
        self.0.values()
    }
}

/// Of several exceptions for one domain the last counts.
impl FromIterator<Exception> for Exceptions {
    fn from_iter<I: IntoIterator<Item = Exception>>(exceptions: I) -> Self {
        Self(exceptions.into_iter().map(|one| (one.domain.clone(), one)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn exception(until: SystemTime, reason: &str) -> Result<Exception, ExceptionError> {
        Exception::new(PolicyDomain::parse("example.org").unwrap(), until, reason, NOW)
    }

    #[test]
    fn an_exception_ends_within_thirty_days_and_says_why() {
        assert!(exception(NOW + 30 * DAY, "their certificate lapsed").is_ok());
        assert_eq!(exception(NOW + 31 * DAY, "?"), Err(ExceptionError::TooLong));
        assert_eq!(exception(NOW + DAY, " "), Err(ExceptionError::NoReason));
    }

    #[test]
    fn an_exception_that_ends_later_than_any_may_does_not_count() {
        // Set while the clock was a year ahead.
        let ahead = NOW + 365 * DAY;
        let domain = PolicyDomain::parse("example.org").unwrap();
        let long = Exception::new(domain.clone(), ahead + 20 * DAY, "agreed", ahead).unwrap();
        let exceptions: Exceptions = [long].into_iter().collect();
        assert!(exceptions.find(&domain, ahead).is_some());
        assert!(exceptions.find(&domain, NOW).is_none());
    }

    #[test]
    fn what_an_exception_sets_aside_is_read_from_its_words_in_any_order() {
        for lifts in [Lifts::Dane, Lifts::MtaSts, Lifts::MtaStsAndDane] {
            assert_eq!(Lifts::parse(&lifts.words().join(", ")), Some(lifts));
        }
        assert_eq!(Lifts::parse("dane,mta-sts,dane"), Some(Lifts::MtaStsAndDane));
        for other in ["", "all", "mta-sts,", "mta_sts", "dane mta-sts"] {
            assert_eq!(Lifts::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_exception_is_for_its_domain_alone_and_ends() {
        let exceptions: Exceptions =
            [exception(NOW + DAY, "agreed").unwrap()].into_iter().collect();
        let find = |name: &str, now| exceptions.find(&PolicyDomain::parse(name).unwrap(), now);
        assert!(find("example.org", NOW).is_some());
        assert!(find("sub.example.org", NOW).is_none());
        assert!(find("example.org", NOW + DAY).is_none());
    }
}
