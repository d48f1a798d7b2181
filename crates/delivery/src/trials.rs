//! Hosts and addresses that have not answered since they were last tried.
//!
//! One attempt has room for a few hosts of a destination and a few addresses of a host. The first
//! attempt of a message takes the best ones (RFC 5321 §5.1). A further one goes on where the last
//! ended: what has not failed comes first, best first, and then what failed longest ago. So over its
//! attempts a message is offered to every host at every address, however many of them are silent.
//!
//! All messages share the memory, which a restart loses: attempts then begin with the best ones again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mta_sts::OpenHost;

use crate::target::Target;

/// After so many trials without an answer the memory begins another generation, and forgets the one
/// before the last.
const GENERATION: usize = 10_000;

/// What can be tried.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Tried {
    /// A host at an address.
    Address(SocketAddr),
    /// A host, at whichever address.
    Host(OpenHost, u16),
}

impl Tried {
    /// The host of a target.
    pub(crate) fn host(target: &Target) -> Self {
        Self::Host(target.host.clone(), target.port)
    }
}

/// What was tried last, and has not answered since.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    known: Mutex<Known>,
}

/// Trials by their number; later ones have higher numbers.
#[derive(Debug, Default)]
struct Known {
    count: u64,
    young: HashMap<Tried, u64>,
    old: HashMap<Tried, u64>,
}

impl Trials {
    /// Notes a trial before it begins: one that never ends has not been answered either.
    pub(crate) fn began(&self, tried: Tried) {
        let mut known = self.known();
        known.count = known.count.saturating_add(1);
        if known.young.len() >= GENERATION {
            known.old = std::mem::take(&mut known.young);
        }
        let number = known.count;
        known.young.insert(tried, number);
    }

    /// Forgets a trial that was answered.
    pub(crate) fn answered(&self, tried: &Tried) {
        let mut known = self.known();
        known.young.remove(tried);
        known.old.remove(tried);
    }

    /// Puts those first that have not been tried without an answer, then those that were, longest ago
    /// first. Equals keep their order.
    pub(crate) fn in_turn<T>(&self, all: &mut [T], tried: impl Fn(&T) -> Tried) {
        all.sort_by_cached_key(|one| self.last(&tried(one)));
    }

    /// The number of the last trial that was not answered.
    fn last(&self, tried: &Tried) -> Option<u64> {
        let known = self.known();
        known.young.get(tried).or_else(|| known.old.get(tried)).copied()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Tried {
        let ip = std::net::Ipv4Addr::from_bits(number);
        Tried::Address(SocketAddr::new(ip.into(), 25))
    }

    /// The order in which these are tried.
    fn order(trials: &Trials, mut all: Vec<u32>) -> Vec<u32> {
        trials.in_turn(&mut all, |number| address(*number));
        all
    }

    #[test]
    fn what_has_not_failed_comes_first_and_then_what_failed_longest_ago() {
        let trials = Trials::default();
        assert_eq!(order(&trials, vec![1, 2, 3, 4]), [1, 2, 3, 4]);
        trials.began(address(2));
        trials.began(address(1));
        assert_eq!(order(&trials, vec![1, 2, 3, 4]), [3, 4, 2, 1]);
        trials.began(address(2));
        assert_eq!(order(&trials, vec![1, 2, 3, 4]), [3, 4, 1, 2]);
        trials.answered(&address(1));
        assert_eq!(order(&trials, vec![1, 2, 3, 4]), [1, 3, 4, 2]);
    }

    #[test]
    fn attempts_that_try_a_few_of_many_reach_them_all() {
        let trials = Trials::default();
        let mut reached = Vec::new();
        for _ in 0..10 {
            for number in order(&trials, (0..50).collect()).into_iter().take(5) {
                trials.began(address(number));
                reached.push(number);
            }
        }
        reached.sort_unstable();
        assert_eq!(reached, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_memory_of_trials_has_an_end_and_keeps_the_latest() {
        let trials = Trials::default();
        let many = u32::try_from(GENERATION * 5).unwrap();
        for number in 0..many {
            trials.began(address(number));
        }
        let kept = {
            let known = trials.known();
            known.young.len() + known.old.len()
        };
        assert!(kept <= 2 * GENERATION, "{kept}");
        assert_eq!(order(&trials, vec![many - 1, 0]), [0, many - 1]);
    }
}
