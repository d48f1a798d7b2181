//! Exceptions: the one way in which an operator may send to a domain despite its policy.
//!
//! RFC 8461 knows none. One is needed where a domain has locked itself out and the mail cannot
//! wait; so each is for one domain, says why, ends by itself within [`EXCEPTION_MAX`], and is
//! logged: in a warning at its first use, and in the line of each delivery it was used for. The narrower
//! ones let one certificate or one host pass, and leave the policy in force for all others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::cache::later;
use crate::certificate_digest::CertificateDigest;
use crate::name::{MxHost, PolicyDomain};

/// How far ahead an exception may end.
pub const EXCEPTION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How far the clock may have gone back since an exception was set, and the exception counts.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Licence to send to one domain for a while without regard to its policy, or to a part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exception {
    domain: PolicyDomain,
    until: SystemTime,
    reason: String,
    scope: ExceptionScope,
    origin: ExceptionOrigin,
}

/// What an exception lets pass, the narrowest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExceptionScope {
    /// A host that the policy names and that shows this certificate, whatever the certificate's names,
    /// issuers and dates; it has to have the key. Anything else has to be valid as the policy asks.
    Certificate(CertificateDigest),
    /// This host, which the policy does not name; it has to prove its name.
    Host(MxHost),
    /// Any host of the domain: this is set aside.
    Domain(Lifts),
}

/// Where an exception was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExceptionOrigin {
    /// While the program runs.
    Granted {
        /// By whom.
        by: String,
        /// Whether it ends before its time.
        ending: ExceptionEnding,
    },
    /// In the settings, where it stays until it is removed there.
    Settings,
}

/// Whether an exception ends before its time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExceptionEnding {
    /// It does not.
    AtItsTime,
    /// Once the host has passed without it for a while.
    #[default]
    OncePassed,
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
        let scope = ExceptionScope::Domain(Lifts::default());
        let (reason, origin) = (reason.trim().to_owned(), ExceptionOrigin::Settings);
        Ok(Self { domain, until, reason, scope, origin })
    }

    /// The same exception, for something else than the whole policy.
    #[must_use]
    pub fn of(self, scope: ExceptionScope) -> Self {
        Self { scope, ..self }
    }

    /// The same exception, granted while the program runs.
    #[must_use]
    pub fn granted(self, by: &str, ending: ExceptionEnding) -> Self {
        Self { origin: ExceptionOrigin::Granted { by: by.to_owned(), ending }, ..self }
    }

    /// What it lets pass.
    #[must_use]
    pub const fn scope(&self) -> &ExceptionScope {
        &self.scope
    }

    /// Where it was made.
    #[must_use]
    pub const fn origin(&self) -> &ExceptionOrigin {
        &self.origin
    }

    /// Its name among all: there is one of its scope for its domain.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.scope {
            ExceptionScope::Domain(_) => self.domain.as_str().to_owned(),
            ExceptionScope::Certificate(_) | ExceptionScope::Host(_) => {
                format!("{} {}", self.domain.as_str(), self.scope)
            }
        }
    }

    /// Whether it is the same one as `other`, made anew.
    fn replaces(&self, other: &Self) -> bool {
        match (&self.scope, &other.scope) {
            (ExceptionScope::Domain(_), ExceptionScope::Domain(_)) => true,
            (one, other) => one == other,
        }
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

impl ExceptionScope {
    /// What it sets aside for all hosts of the domain.
    #[must_use]
    pub const fn lifts(&self) -> Option<Lifts> {
        match self {
            Self::Domain(lifts) => Some(*lifts),
            Self::Certificate(_) | Self::Host(_) => None,
        }
    }
}

/// `certificate` and its digest, `host` and its name, or what is set aside.
impl fmt::Display for ExceptionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(digest) => write!(f, "certificate {digest}"),
            Self::Host(host) => write!(f, "host {}", host.as_str()),
            Self::Domain(lifts) => f.write_str(&lifts.words().join(",")),
        }
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

/// The exceptions that are set, at most one of its scope for a domain.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(BTreeMap<PolicyDomain, Vec<Arc<Exception>>>);

impl Exceptions {
    /// The exceptions for `domain` that have not ended at `now`. One that ends later than any may was
    /// written by a clock that was ahead, and does not count.
    pub fn in_force(
        &self,
        domain: &PolicyDomain,
        now: SystemTime,
    ) -> impl Iterator<Item = &Arc<Exception>> {
        let most = later(later(now, EXCEPTION_MAX), CLOCK_TOLERANCE);
        let all = self.0.get(domain).into_iter().flatten();
        all.filter(move |exception| now < exception.until && exception.until <= most)
    }

    /// The one of these that is for all hosts of `domain`.
    #[must_use]
    pub fn find(&self, domain: &PolicyDomain, now: SystemTime) -> Option<&Arc<Exception>> {
        self.in_force(domain, now).find(|exception| exception.scope.lifts().is_some())
    }

    /// Whether there are any for `domain`, ended ones included.
    pub(crate) fn has(&self, domain: &PolicyDomain) -> bool {
        self.0.contains_key(domain)
    }

    /// All that are set, ended ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Exception>> {
        self.0.values().flatten()
    }

    /// The same without one of them.
    #[must_use]
    pub(crate) fn without(&self, ended: &Exception) -> Self {
        self.iter().filter(|one| ***one != *ended).cloned().collect()
    }
}

/// Of several exceptions of one scope for a domain the last counts.
impl FromIterator<Arc<Exception>> for Exceptions {
    fn from_iter<I: IntoIterator<Item = Arc<Exception>>>(exceptions: I) -> Self {
        let mut all: BTreeMap<PolicyDomain, Vec<Arc<Exception>>> = BTreeMap::new();
        for one in exceptions {
            let others = all.entry(one.domain.clone()).or_default();
            others.retain(|other| !one.replaces(other));
            others.push(one);
        }
        Self(all)
    }
}

impl FromIterator<Exception> for Exceptions {
    fn from_iter<I: IntoIterator<Item = Exception>>(exceptions: I) -> Self {
        exceptions.into_iter().map(Arc::new).collect()
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

    #[test]
    fn a_domain_has_one_exception_of_each_scope() {
        let domain = PolicyDomain::parse("example.org").unwrap();
        let host = |name: &str| ExceptionScope::Host(MxHost::parse(name).unwrap());
        let of = |scope, reason: &str| exception(NOW + DAY, reason).unwrap().of(scope);
        let certificate = ExceptionScope::Certificate([7; 32].into());
        let all = [
            of(host("mx1.example.net"), "1"),
            of(certificate, "2"),
            of(host("mx2.example.net"), "3"),
            of(ExceptionScope::Domain(Lifts::Dane), "4"),
            of(host("mx1.example.net"), "5"),
            of(ExceptionScope::Domain(Lifts::MtaSts), "6"),
        ];
        let exceptions: Exceptions = all.into_iter().collect();
        let reasons: Vec<_> = exceptions.in_force(&domain, NOW).map(|one| one.reason()).collect();
        assert_eq!(reasons, ["2", "3", "5", "6"]);
        assert_eq!(exceptions.find(&domain, NOW).unwrap().reason(), "6");
        let ids: Vec<_> = exceptions.iter().map(|one| one.id()).collect();
        assert_eq!(ids[1], "example.org host mx2.example.net");
        assert_eq!(ids[3], "example.org");
    }
}
