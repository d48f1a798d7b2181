//! What exceptions were used for, and when one is needed no longer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::exception::{Exception, ExceptionEnding, ExceptionOrigin, ExceptionScope, Exceptions};
use crate::name::MxHost;

/// In how many sessions a host has to pass without an exception before the exception ends.
pub const PASSES_TO_END: u32 = 3;

/// How long there has to be between the first of these and the last.
pub const PASSES_SPAN: Duration = Duration::from_secs(60 * 60);

/// Of so many hosts it is remembered that they needed an exception.
const HOSTS_MOST: usize = 16;

/// What a session that has just begun shows of the need for exceptions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionShown<'a> {
    /// The host.
    pub mx: &'a MxHost,
    /// What the policy makes of it: its name and its certificate.
    pub policy: Shown,
    /// What its TLSA records make of it.
    pub records: Shown,
}

/// What one mechanism makes of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// It passes.
    Met,
    /// It does not.
    NotMet,
    /// That cannot be told of it.
    Unknown,
}

/// How an exception has been used since the program began, or since it was granted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExceptionUse {
    /// How many deliveries it was used for.
    pub uses: u64,
    /// In how many sessions in a row the host has passed without it.
    pub passes: u32,
    first_pass: Option<SystemTime>,
    /// The hosts that needed it.
    hosts: BTreeSet<MxHost>,
}

/// The uses of all exceptions that are in force.
#[derive(Debug, Default)]
pub(crate) struct ExceptionUses(Mutex<BTreeMap<String, (Arc<Exception>, ExceptionUse)>>);

impl ExceptionUses {
    fn with<T>(
        &self,
        exception: &Arc<Exception>,
        change: impl FnOnce(&mut ExceptionUse) -> T,
    ) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || (Arc::clone(exception), ExceptionUse::default());
        let (known, uses) = all.entry(exception.id()).or_insert_with(new);
        // One that was made anew begins from the start.
        if known != exception {
            (*known, *uses) = new();
        }
        change(uses)
    }

    /// Counts a delivery for which an exception was used; by this host, if it was for one.
    pub(crate) fn used(&self, exception: &Arc<Exception>, mx: Option<&MxHost>) {
        self.with(exception, |uses| {
            uses.uses = uses.uses.saturating_add(1);
            if let Some(mx) = mx.filter(|_| uses.hosts.len() < HOSTS_MOST) {
                uses.hosts.insert(mx.clone());
            }
        });
    }

    /// How an exception has been used.
    pub(crate) fn of(&self, exception: &Arc<Exception>) -> ExceptionUse {
        self.with(exception, |uses| uses.clone())
    }

    /// Forgets all that are not among these.
    pub(crate) fn keep(&self, exceptions: &Exceptions) {
        let ids: BTreeSet<String> = exceptions.iter().map(|one| one.id()).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| ids.contains(id));
    }

    /// Takes notice of a session; whether the exception is needed no longer by now.
    pub(crate) fn session(
        &self,
        exception: &Arc<Exception>,
        shown: SessionShown<'_>,
        now: SystemTime,
    ) -> bool {
        self.with(exception, |uses| {
            match needs(exception, uses, shown) {
                Shown::Unknown => return false,
                Shown::NotMet => {
                    (uses.passes, uses.first_pass) = (0, None);
                    return false;
                }
                Shown::Met => {}
            }
            uses.passes = uses.passes.saturating_add(1);
            let first = *uses.first_pass.get_or_insert(now);
            let span = now.duration_since(first).unwrap_or_default();
            let has_passed = uses.passes >= PASSES_TO_END && span >= PASSES_SPAN;
            has_passed && ends_once_passed(exception)
        })
    }
}

/// Whether a session passes without the exception.
fn needs(exception: &Exception, uses: &ExceptionUse, shown: SessionShown<'_>) -> Shown {
    match exception.scope() {
        // Another host says nothing of the one that needs it.
        ExceptionScope::Certificate(_) if uses.hosts.contains(shown.mx) => shown.policy,
        ExceptionScope::Host(mx) if mx == shown.mx => shown.policy,
        ExceptionScope::Certificate(_) | ExceptionScope::Host(_) => Shown::Unknown,
        ExceptionScope::Domain(lifts) => match (lifts.lifts_policy(), lifts.lifts_dane()) {
            (true, true) => shown.policy.and(shown.records),
            (true, false) => shown.policy,
            (false, _) => shown.records,
        },
    }
}

impl Shown {
    /// What two mechanisms make of a session together.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotMet, _) | (_, Self::NotMet) => Self::NotMet,
            (Self::Met, Self::Met) => Self::Met,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

/// Whether an exception may end before its time.
pub(crate) const fn ends_once_passed(exception: &Exception) -> bool {
    match exception.origin() {
        ExceptionOrigin::Granted { ending: ExceptionEnding::OncePassed, .. } => true,
        ExceptionOrigin::Granted { ending: ExceptionEnding::AtItsTime, .. }
        | ExceptionOrigin::Settings => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exception::Lifts;
    use crate::name::PolicyDomain;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const MINUTE: Duration = Duration::from_secs(60);

    fn granted(scope: ExceptionScope, ending: ExceptionEnding) -> Arc<Exception> {
        let domain = PolicyDomain::parse("example.org").unwrap();
        let exception = Exception::new(domain, NOW + 600 * MINUTE, "agreed", NOW).unwrap();
        Arc::new(exception.of(scope).granted("ann", ending))
    }

    fn mx(name: &str) -> MxHost {
        MxHost::parse(name).unwrap()
    }

    fn shown(mx: &MxHost, policy: Shown, records: Shown) -> SessionShown<'_> {
        SessionShown { mx, policy, records }
    }

    #[test]
    fn an_exception_ends_when_its_host_has_passed_in_three_sessions_over_an_hour() {
        use Shown::{Met, NotMet, Unknown};
        let certificate = ExceptionScope::Certificate([7; 32].into());
        let exception = granted(certificate.clone(), ExceptionEnding::OncePassed);
        let (uses, host, other) = (ExceptionUses::default(), mx("mx1.test"), mx("mx2.test"));
        uses.used(&exception, Some(&host));
        let session = |of: &MxHost, policy, minute| {
            uses.session(&exception, shown(of, policy, Unknown), NOW + minute * MINUTE)
        };
        // Another host proves nothing, and three in a moment are a moment.
        assert!(![0, 1, 2, 90].into_iter().any(|minute| session(&other, Met, minute)));
        assert!(![0, 1, 2, 59].into_iter().any(|minute| session(&host, Met, minute)));
        assert!(!session(&host, NotMet, 59), "it begins from the start");
        assert!(![60, 61, 119].into_iter().any(|minute| session(&host, Met, minute)));
        assert!(session(&host, Met, 120));
        assert_eq!(uses.of(&exception).uses, 1);
        let kept = granted(certificate, ExceptionEnding::AtItsTime);
        uses.used(&kept, Some(&host));
        let passes = [0, 60, 120, 180];
        assert!(!passes.into_iter().any(|minute| {
            uses.session(&kept, shown(&host, Met, Unknown), NOW + minute * MINUTE)
        }));
    }

    #[test]
    fn what_passes_is_what_the_exception_sets_aside() {
        use Shown::{Met, NotMet, Unknown};
        let domain = ExceptionScope::Domain;
        let (named, other) = (mx("mx.test"), mx("mx.other.test"));
        for (scope, policy, records, expected) in [
            (domain(Lifts::MtaSts), Met, NotMet, Met),
            (domain(Lifts::MtaSts), NotMet, Met, NotMet),
            (domain(Lifts::Dane), NotMet, Met, Met),
            (domain(Lifts::Dane), Met, Unknown, Unknown),
            (domain(Lifts::MtaStsAndDane), Met, NotMet, NotMet),
            (domain(Lifts::MtaStsAndDane), Met, Unknown, Unknown),
            (domain(Lifts::MtaStsAndDane), Met, Met, Met),
            (ExceptionScope::Host(named.clone()), Met, NotMet, Met),
            (ExceptionScope::Host(other), Met, Met, Unknown),
            (ExceptionScope::Certificate([7; 32].into()), Met, Met, Unknown),
        ] {
            let exception = granted(scope.clone(), ExceptionEnding::OncePassed);
            let found = needs(&exception, &ExceptionUse::default(), shown(&named, policy, records));
            assert_eq!(found, expected, "{scope} {policy:?} {records:?}");
        }
    }
}
