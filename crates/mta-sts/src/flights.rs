//! One fetch at a time per domain; whoever comes meanwhile waits for its result.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::name::PolicyDomain;

/// Where the tasks that are concerned with one domain meet; `T` is what a fetch yields.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    slots: Mutex<HashMap<PolicyDomain, Line<T>>>,
}

/// The line for one domain.
#[derive(Debug)]
struct Line<T> {
    slot: Arc<Slot<T>>,
    /// How many places in it are taken; at least one.
    places: usize,
}

/// The state of one domain, as long as somebody is there.
#[derive(Debug)]
struct Slot<T> {
    /// How many fetches have ended.
    ended: AtomicU64,
    /// What the last one yielded. Whoever holds the lock may fetch.
    last: tokio::sync::Mutex<Option<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }
}

impl<T> Flights<T> {
    /// Takes a place in the line for `domain`.
    pub(crate) fn join(&self, domain: &PolicyDomain) -> LinePosition<'_, T> {
        let mut slots = self.lock();
        let line = slots.entry(domain.clone()).or_insert_with(Line::empty);
        line.places = line.places.saturating_add(1);
        let slot = Arc::clone(&line.slot);
        let ended_before = slot.ended.load(Ordering::Acquire);
        drop(slots);
        LinePosition { flights: self, domain: domain.clone(), slot, ended_before }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PolicyDomain, Line<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Line<T> {
    fn empty() -> Self {
        let slot = Slot { ended: AtomicU64::new(0), last: tokio::sync::Mutex::new(None) };
        Self { slot: Arc::new(slot), places: 0 }
    }
}

/// A place in the line for one domain; dropping it leaves the line.
#[derive(Debug)]
pub(crate) struct LinePosition<'f, T> {
    flights: &'f Flights<T>,
    domain: PolicyDomain,
    slot: Arc<Slot<T>>,
    /// How many fetches had ended on arrival: what ended later is news.
    ended_before: u64,
}

impl<T> LinePosition<'_, T> {
    /// Waits for one's turn.
    pub(crate) async fn turn(&self) -> Turn<'_, T> {
        let last = self.slot.last.lock().await;
        Turn { slot: &self.slot, last, ended_before: self.ended_before }
    }
}

/// The last to leave takes the line away. Places are counted under the lock alone: two that leave
/// at the same time cannot each take the other for one that stays.
impl<T> Drop for LinePosition<'_, T> {
    fn drop(&mut self) {
        let mut slots = self.flights.lock();
        let Some(line) = slots.get_mut(&self.domain) else { return };
        line.places = line.places.saturating_sub(1);
        if line.places == 0 {
            slots.remove(&self.domain);
        }
    }
}

/// One's turn: nobody else is fetching for the domain.
#[derive(Debug)]
pub(crate) struct Turn<'p, T> {
    slot: &'p Slot<T>,
    last: tokio::sync::MutexGuard<'p, Option<T>>,
    ended_before: u64,
}

impl<T> Turn<'_, T> {
    /// What the fetch yielded that ended while one was waiting.
    pub(crate) fn news(&self) -> Option<&T> {
        let ended = self.slot.ended.load(Ordering::Acquire);
        self.last.as_ref().filter(|_| ended > self.ended_before)
    }

    /// Ends one's fetch, for those who wait.
    pub(crate) fn end(mut self, yielded: T) {
        *self.last = Some(yielded);
        self.slot.ended.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> PolicyDomain {
        PolicyDomain::parse("example.org").unwrap()
    }

    #[tokio::test]
    async fn those_who_waited_get_the_news_and_later_ones_do_not() {
        let flights = Flights::default();
        let (first, second) = (flights.join(&domain()), flights.join(&domain()));
        let turn = first.turn().await;
        assert!(turn.news().is_none());
        turn.end("policy");
        let third = flights.join(&domain());
        assert_eq!(second.turn().await.news(), Some(&"policy"));
        assert_eq!(third.turn().await.news(), None);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_turn_to_the_next() {
        let flights: Flights<&str> = Flights::default();
        let (first, second) = (flights.join(&domain()), flights.join(&domain()));
        drop(first.turn().await);
        drop(first);
        assert_eq!(second.turn().await.news(), None);
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_domain_when_all_have_gone() {
        let flights: Flights<&str> = Flights::default();
        let (first, second) = (flights.join(&domain()), flights.join(&domain()));
        drop(first);
        assert_eq!(flights.lock().len(), 1);
        drop(second);
        assert_eq!(flights.lock().len(), 0);
    }
    /// Two threads meet thousands of times, and leave as nearly at once as threads can.
    #[test]
    fn nothing_is_left_of_a_domain_when_all_leave_at_once() {
        const MEETINGS: usize = 4000;
        let flights: Flights<&str> = Flights::default();
        let arrived = std::sync::atomic::AtomicUsize::new(0);
        let meet = |meeting: usize| {
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < 2 * meeting {
                std::hint::spin_loop();
            }
        };
        let visit = || {
            for meeting in 0..MEETINGS {
                let name = PolicyDomain::parse(&format!("d{meeting}.example")).unwrap();
                let place = flights.join(&name);
                meet(meeting + 1);
                drop(place);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(visit);
            scope.spawn(visit);
        });
        assert_eq!(flights.lock().len(), 0);
    }
}
