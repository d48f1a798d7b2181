//! How many attempts are at one address at once, whatever domains they are for.
//!
//! A domain has a window (see [`crate::concurrency`]), but one host may be named by ten thousand domains,
//! all of them somebody's who wants our connections held. So an address has a window, too: it begins
//! low and grows with every message that the host there deals with. Attempts beyond it wait, without
//! a connection, as long as anything is heard from the address; once it has been silent for a while
//! they go on to another address, or the mail is deferred. A host that answers earns a wide window
//! within its first messages.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::settings::STALLED_AFTER;

/// How many attempts may be at an address of which nothing is known.
const INITIAL: usize = 5;

/// How long an address that is full may say nothing at all before those that wait for room give it up,
/// if no host there has ever dealt with a message.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// How many addresses are remembered at which nobody is.
const MOST: usize = 10_000;

/// The addresses that attempts are at, or were.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    known: Mutex<HashMap<SocketAddr, Known>>,
}

/// One address.
#[derive(Debug)]
struct Known {
    /// How many attempts are there.
    open: usize,
    /// How many may be.
    window: usize,
    /// Whether it has ever dealt with a message.
    proven: bool,
    /// Since when it has said nothing; the attempts that are there have all come later.
    silent_since: Instant,
    /// Wakes those that wait to come in.
    room: Arc<Notify>,
}

impl Known {
    fn new() -> Self {
        let (silent_since, room) = (Instant::now(), Arc::default());
        Self { open: 0, window: INITIAL, proven: false, silent_since, room }
    }

    /// When those give it up that wait for room.
    fn given_up(&self) -> Option<Instant> {
        let patience = if self.proven { STALLED_AFTER } else { SILENT_AFTER };
        self.silent_since.checked_add(patience)
    }
}

/// An address is full of attempts that hear nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Silent {
    /// How many attempts are there.
    pub(crate) connections: usize,
    /// How long nothing has been heard.
    pub(crate) silent: Duration,
}

/// Whether an attempt may be at an address.
enum Entry {
    In,
    Full { room: Arc<Notify>, until: Option<Instant> },
    GivenUp(Silent),
}

impl Addresses {
    fn known(&self) -> MutexGuard<'_, HashMap<SocketAddr, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes to an address, of which `most` attempts at once may be; waits where it is full.
    ///
    /// # Errors
    ///
    /// [`Silent`] where nothing is heard from it.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        address: SocketAddr,
        most: usize,
    ) -> Result<Visit, Silent> {
        loop {
            match self.try_enter(address, most) {
                Entry::In => return Ok(self.visit(address)),
                Entry::GivenUp(silent) => return Err(silent),
                Entry::Full { room, until } => {
                    let woken = room.notified();
                    match until {
                        Some(until) => drop(timeout_at(until, woken).await),
                        None => woken.await,
                    }
                }
            }
        }
    }

    /// Comes to an address to which there is a connection already.
    pub(crate) fn go_on_at(self: &Arc<Self>, address: SocketAddr) -> Visit {
        let mut known = self.known();
        let here = known.entry(address).or_insert_with(Known::new);
        here.open = here.open.saturating_add(1);
        drop(known);
        self.visit(address)
    }

    fn visit(self: &Arc<Self>, address: SocketAddr) -> Visit {
        Visit { addresses: Arc::clone(self), address, state: VisitState::Moving }
    }

    fn try_enter(&self, address: SocketAddr, most: usize) -> Entry {
        let mut known = self.known();
        if known.len() >= MOST && !known.contains_key(&address) {
            known.retain(|_, here| here.open > 0);
        }
        let here = known.entry(address).or_insert_with(Known::new);
        let now = Instant::now();
        if here.open == 0 {
            here.silent_since = now;
        }
        if here.open < here.window.min(most).max(1) {
            here.open = here.open.saturating_add(1);
            return Entry::In;
        }
        match here.given_up() {
            Some(until) if until <= now => Entry::GivenUp(Silent {
                connections: here.open,
                silent: now.saturating_duration_since(here.silent_since),
            }),
            until => Entry::Full { room: Arc::clone(&here.room), until },
        }
    }

    /// Changes what is known of an address.
    fn change(&self, address: SocketAddr, change: impl FnOnce(&mut Known)) {
        if let Some(here) = self.known().get_mut(&address) {
            change(here);
        }
    }
}

/// An attempt's stay at an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    addresses: Arc<Addresses>,
    address: SocketAddr,
    state: VisitState,
}

/// Whether anything is heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum VisitState {
    Moving,
    Stalled,
}

impl Visit {
    /// The host there was heard.
    pub(crate) fn heard(&mut self) {
        self.state = VisitState::Moving;
        self.addresses.change(self.address, |here| {
            here.silent_since = Instant::now();
        });
    }

    /// The host there has dealt with a message: there is room for one more.
    pub(crate) fn dealt_with(&self) {
        self.addresses.change(self.address, |here| {
            here.proven = true;
            here.window = here.window.saturating_add(1);
            here.room.notify_one();
        });
    }

    /// Nothing has been heard for long: the window halves, once for each that stalls.
    pub(crate) fn stalls(&mut self) {
        if self.state == VisitState::Stalled {
            return;
        }
        self.state = VisitState::Stalled;
        self.addresses.change(self.address, |here| {
            here.window = here.window.midpoint(0).max(INITIAL);
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.addresses.change(self.address, |here| {
            here.open = here.open.saturating_sub(1);
            here.room.notify_one();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_THERE: usize = 100;

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 25))
    }

    /// As many visits as there is room for without waiting.
    async fn fill(addresses: &Arc<Addresses>) -> Vec<Visit> {
        let mut visits = Vec::new();
        loop {
            tokio::select! {
                biased;
                visit = addresses.enter(address(), MOST_THERE) => match visit {
                    Ok(visit) => visits.push(visit),
                    Err(_silent) => return visits,
                },
                () = std::future::ready(()) => return visits,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_holds_a_handful_and_is_given_up_by_all_others() {
        let addresses = Arc::new(Addresses::default());
        let visits = fill(&addresses).await;
        assert_eq!(visits.len(), INITIAL);
        let began = Instant::now();
        let silent = addresses.enter(address(), MOST_THERE).await.unwrap_err();
        assert_eq!(silent, Silent { connections: INITIAL, silent: SILENT_AFTER });
        assert_eq!(began.elapsed(), SILENT_AFTER);
        // Who comes later does not wait at all.
        assert!(addresses.enter(address(), MOST_THERE).await.is_err());
        assert_eq!(began.elapsed(), SILENT_AFTER);
        drop(visits);
        assert!(addresses.enter(address(), MOST_THERE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_at_a_host_that_answers_comes_in() {
        let addresses = Arc::new(Addresses::default());
        let mut visits = fill(&addresses).await;
        let answers = async {
            for visit in &mut visits {
                tokio::time::sleep(Duration::from_secs(9)).await;
                visit.heard();
            }
            visits.pop();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            visit = addresses.enter(address(), MOST_THERE) => assert!(visit.is_ok()),
            () = answers => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_grows_with_what_is_dealt_with_and_halves_with_each_that_stalls() {
        let addresses = Arc::new(Addresses::default());
        let mut visits = fill(&addresses).await;
        for _ in 0..3 {
            visits.iter().for_each(Visit::dealt_with);
        }
        visits.extend(fill(&addresses).await);
        assert_eq!(visits.len(), 4 * INITIAL);
        let (stalled, _) = visits.split_at_mut(2);
        for visit in stalled {
            visit.stalls();
            visit.stalls();
        }
        visits.clear();
        assert_eq!(fill(&addresses).await.len(), INITIAL);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_has_an_end_and_who_is_there_is_never_forgotten() {
        let addresses = Arc::new(Addresses::default());
        let kept = addresses.enter(address(), MOST_THERE).await.unwrap();
        for n in 0..=u32::try_from(MOST).unwrap() {
            let other = SocketAddr::from((std::net::Ipv4Addr::from(n), 25));
            drop(addresses.enter(other, MOST_THERE).await.unwrap());
        }
        let known = addresses.known();
        assert!(known.len() <= MOST);
        assert_eq!(known.get(&address()).map(|here| here.open), Some(1));
        drop(known);
        drop(kept);
    }
}
