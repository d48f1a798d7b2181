//! What administrators were warned of: once for each domain, until it is over. Many messages may wait
//! for one domain, and each of their attempts meets the same.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{debug, warn};

use crate::cache::CachedPolicy;
use crate::decision::{Decision, WhyFallback};
use crate::discovery::NamesError;
use crate::exception::Exception;
use crate::fetch::error::{FetchError, in_full};
use crate::name::PolicyDomain;
use crate::policy::Mode;
use crate::undecided::Undecided;

/// So many are remembered; of those beyond, each is warned of.
const MOST: usize = 10_000;

/// What an administrator is warned of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Warning {
    /// An exception sets an enforced policy aside.
    Exception,
    /// An exception sets TLSA records aside.
    DaneException,
    /// An exception lets a certificate or a host pass.
    NarrowException,
    /// The policy cannot be fetched.
    Fetch,
    /// It cannot be told whether there is a policy.
    Undecided,
    /// The same for so long that mail goes without.
    UndecidedTooLong,
}

/// What administrators were warned of.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<BTreeSet<(PolicyDomain, Warning)>>);

impl Noted {
    /// A decision for a delivery was made, or could not be.
    pub(crate) fn decided(&self, decided: Result<&Decision, &Undecided>) {
        match decided {
            Err(undecided) => {
                let domain = undecided.domain();
                if self.is_news(domain, Warning::Undecided) {
                    warn!(%domain, error = undecided.in_full(), "MTA-STS policy lookup failed: mail deferred");
                }
            }
            Ok(Decision::Require(required)) => {
                let over = [Warning::Exception, Warning::Undecided, Warning::UndecidedTooLong];
                self.forget(required.domain(), &over);
            }
            Ok(Decision::Permit(fallback)) => {
                let over: &[Warning] = match fallback.why() {
                    WhyFallback::UndecidedTooLong => &[],
                    WhyFallback::Exception { .. } => {
                        &[Warning::Undecided, Warning::UndecidedTooLong]
                    }
                    WhyFallback::AddressLiteral
                    | WhyFallback::ModeNone
                    | WhyFallback::ModeTesting(_)
                    | WhyFallback::NoPolicy
                    | WhyFallback::TlsReport
                    | WhyFallback::TlsRequiredNo(_) => {
                        &[Warning::Exception, Warning::Undecided, Warning::UndecidedTooLong]
                    }
                };
                if let Some(domain) = fallback.next_hop().domain() {
                    self.forget(domain, over);
                }
            }
        }
    }

    /// An exception has set the policy of `domain` aside.
    pub(crate) fn exception_used(&self, domain: &PolicyDomain, reason: &str) {
        if self.is_news(domain, Warning::Exception) {
            warn!(%domain, reason, "exception used");
        }
    }

    /// An exception has set the TLSA records of the hosts of `domain` aside.
    pub(crate) fn dane_exception_used(&self, domain: &PolicyDomain, reason: &str) {
        if self.is_news(domain, Warning::DaneException) {
            warn!(%domain, reason, what = "dane", "exception used");
        }
    }

    /// An exception has let a certificate or a host pass.
    pub(crate) fn narrow_exception_used(&self, exception: &Exception) {
        let domain = exception.domain();
        if self.is_news(domain, Warning::NarrowException) {
            let (reason, what) = (exception.reason(), exception.scope());
            warn!(%domain, reason, %what, "exception used");
        }
    }

    /// Mail for `domain` has waited long enough to be told whether there is a policy.
    pub(crate) fn undecided_too_long(&self, domain: &PolicyDomain, error: &NamesError) {
        if self.is_news(domain, Warning::UndecidedTooLong) {
            warn!(%domain, error = in_full(error), "MTA-STS policy lookup failed past grace: sent without policy");
        }
    }

    /// The policy of `domain` was fetched.
    pub(crate) fn fetched(&self, domain: &PolicyDomain) {
        self.forget(domain, &[Warning::Fetch]);
    }

    /// The policy of `domain` could not be fetched. Nobody is told where it is `none` and its removal
    /// is to be expected (RFC 8461 §3.3 and §8.3).
    pub(crate) fn not_fetched(
        &self,
        domain: &PolicyDomain,
        cached: Option<&CachedPolicy>,
        error: &FetchError,
    ) {
        let (result_type, error) = (error.result_type().as_str(), error.in_full());
        let mode = cached.map(|cached| cached.policy().mode());
        let is_expected = mode == Some(Mode::None);
        if is_expected || !self.is_news(domain, Warning::Fetch) {
            debug!(%domain, result_type, error, "policy fetch failed again");
            return;
        }
        match mode {
            Some(mode) => {
                warn!(%domain, policy = %mode, result_type, error, "policy refresh failed");
            }
            None => warn!(%domain, result_type, error, "policy fetch failed"),
        }
    }

    /// Whether this was not warned of yet, or cannot be remembered.
    fn is_news(&self, domain: &PolicyDomain, warning: Warning) -> bool {
        let mut known = self.known();
        if known.contains(&(domain.clone(), warning)) {
            return false;
        }
        if known.len() < MOST {
            known.insert((domain.clone(), warning));
        }
        true
    }

    /// These are over.
    fn forget(&self, domain: &PolicyDomain, warnings: &[Warning]) {
        let mut known = self.known();
        if known.is_empty() {
            return;
        }
        for warning in warnings {
            known.remove(&(domain.clone(), *warning));
        }
    }

    /// What is known.
    fn known(&self) -> MutexGuard<'_, BTreeSet<(PolicyDomain, Warning)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(number: usize) -> PolicyDomain {
        PolicyDomain::parse(&format!("d{number}.example")).unwrap()
    }

    #[test]
    fn what_was_warned_of_is_no_news_until_it_is_over() {
        let noted = Noted::default();
        assert!(noted.is_news(&domain(1), Warning::Fetch));
        assert!(!noted.is_news(&domain(1), Warning::Fetch));
        assert!(noted.is_news(&domain(1), Warning::Undecided), "another warning");
        assert!(noted.is_news(&domain(2), Warning::Fetch), "another domain");
        noted.fetched(&domain(1));
        assert!(noted.is_news(&domain(1), Warning::Fetch));
        assert!(!noted.is_news(&domain(1), Warning::Undecided));
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let noted = Noted::default();
        for number in 0..MOST + 10 {
            assert!(noted.is_news(&domain(number), Warning::Fetch));
        }
        assert_eq!(noted.known().len(), MOST);
        assert!(noted.is_news(&domain(MOST + 5), Warning::Fetch));
    }
}
