//! Which policy has to be looked at when, so that nobody looks at all of them each minute.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::later;
use crate::name::PolicyDomain;

/// How often all policies are looked at: another program may have written some.
const WALK_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The domains with a cached policy, each at the moment from which it may be due.
///
/// It is in memory alone and filled by a walk over the store. What is kept decides when a moment has
/// come, so a domain may be in it twice, or for nothing.
#[derive(Debug, Default)]
pub(crate) struct DueIndex(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looks: BTreeSet<(SystemTime, PolicyDomain)>,
    walk: Walk,
    /// When it was asked last.
    asked: Option<SystemTime>,
}

/// How far the walk over all policies has come.
#[derive(Debug, Default)]
enum Walk {
    /// It begins with the next page.
    #[default]
    Wanted,
    /// The last page ended with this domain.
    After(PolicyDomain),
    /// All were seen, the last at this moment.
    Done(SystemTime),
}

/// A page of the walk over all policies.
#[derive(Debug)]
pub(crate) struct WalkPage {
    /// After which domain it begins; `None` for the first.
    pub(crate) after: Option<PolicyDomain>,
}

impl DueIndex {
    /// What is kept for `domain` has changed: it is looked at soon.
    pub(crate) fn changed(&self, domain: &PolicyDomain) {
        self.look_from(SystemTime::UNIX_EPOCH, domain.clone());
    }

    /// `domain` is looked at from `moment` on.
    pub(crate) fn look_from(&self, moment: SystemTime, domain: PolicyDomain) {
        self.lock().looks.insert((moment, domain));
    }

    /// Has all policies looked at, since something changed that every moment hangs on.
    pub(crate) fn want_walk(&self) {
        self.lock().walk = Walk::Wanted;
    }

    /// The page of the walk over all policies that is next at `now`, if one is.
    ///
    /// A walk begins when it is wanted, once a day, and when the clock has gone back.
    pub(crate) fn next_page(&self, now: SystemTime) -> Option<WalkPage> {
        let mut state = self.lock();
        let went_back = state.asked.replace(now).is_some_and(|asked| now < asked);
        match &state.walk {
            Walk::After(last) if !went_back => Some(WalkPage { after: Some(last.clone()) }),
            Walk::Done(at) if !went_back && now < later(*at, WALK_INTERVAL) => None,
            Walk::After(_) | Walk::Done(_) | Walk::Wanted => Some(WalkPage { after: None }),
        }
    }

    /// These are the domains on a page of the walk, which is the last one where there are none.
    pub(crate) fn saw(&self, domains: Vec<PolicyDomain>, now: SystemTime) {
        let mut state = self.lock();
        state.walk = domains.last().map_or(Walk::Done(now), |last| Walk::After(last.clone()));
        let looks = domains.into_iter().map(|domain| (SystemTime::UNIX_EPOCH, domain));
        state.looks.extend(looks);
    }

    /// Takes out at most `limit` domains whose moment has come at `now`, the earliest first.
    pub(crate) fn take(&self, now: SystemTime, limit: usize) -> Vec<PolicyDomain> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < limit
            && state.looks.first().is_some_and(|(moment, _)| *moment <= now)
            && let Some((_, domain)) = state.looks.pop_first()
        {
            taken.push(domain);
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
