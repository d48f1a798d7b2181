//! Turns at what costs a processor: the cryptography of a TLS handshake, the check of a password.
//!
//! A turn is held while something is computed and never while a client is waited for, so a client
//! that stalls holds none. Clients of listed networks wait for those at work alone. All others
//! wait in a line of their own, each client with one place in it, and never fill all of the turns:
//! how many a stranger asks for delays that stranger.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use access::Peer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use crate::connections::{Client, ClientClass};

/// The turns that there are at one thing.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Lines>);

/// Where turns are waited for.
#[derive(Debug)]
struct Lines {
    /// So many at once, whoever they are.
    all: Arc<Semaphore>,
    /// So many of them for clients that are not admitted.
    unadmitted: Arc<Semaphore>,
    /// One for each client that is not admitted.
    clients: Mutex<HashMap<Client, Weak<Semaphore>>>,
}

/// A client's place in line, for as many turns as it needs, one after the other.
pub(crate) struct InLine {
    /// From the client's own line to that of all; the turn is in the last.
    stages: Vec<Stage>,
    _own: Option<OwnLine>,
}

/// One line, and the permit that has been waited for in it.
struct Stage {
    line: PollSemaphore,
    held: Option<OwnedSemaphorePermit>,
}

/// The line of one client, which is forgotten with the last who waits in it.
struct OwnLine {
    lines: Arc<Lines>,
    client: Client,
    line: Option<Arc<Semaphore>>,
}

/// A turn, over when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] Vec<OwnedSemaphorePermit>);

impl Turns {
    /// So many turns at once, at least one.
    pub(crate) fn new(at_once: usize) -> Self {
        let all = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Lines {
            all: Arc::new(Semaphore::new(all)),
            unadmitted: Arc::new(Semaphore::new(all.saturating_sub(1).max(1))),
            clients: Mutex::default(),
        }))
    }

    /// A place in line for the client at `peer`.
    pub(crate) fn line(&self, peer: Peer, class: ClientClass) -> InLine {
        match class {
            ClientClass::Admitted => InLine { stages: vec![Stage::new(&self.0.all)], _own: None },
            ClientClass::Unadmitted => {
                let own = OwnLine::of(&self.0, Client::of(peer));
                let lines = own.line.iter().chain([&self.0.unadmitted, &self.0.all]);
                InLine { stages: lines.map(Stage::new).collect(), _own: Some(own) }
            }
        }
    }
}

impl InLine {
    /// Waits for the next turn.
    pub(crate) async fn turn(&mut self) -> Turn {
        std::future::poll_fn(|context| self.poll_turn(context)).await
    }

    /// Does `work` with a turn at each step of it, and without one while it waits.
    pub(crate) async fn at_each_step<F: Future + Unpin>(&mut self, mut work: F) -> F::Output {
        std::future::poll_fn(|context| {
            let _turn = ready!(self.poll_turn(context));
            Pin::new(&mut work).poll(context)
        })
        .await
    }

    /// Goes from line to line.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        for stage in &mut self.stages {
            if stage.held.is_none() {
                // None would say that the semaphore is closed, which nobody does.
                stage.held = ready!(stage.line.poll_acquire(context));
            }
        }
        Poll::Ready(Turn(self.stages.iter_mut().filter_map(|stage| stage.held.take()).collect()))
    }
}

impl Stage {
    fn new(line: &Arc<Semaphore>) -> Self {
        Self { line: PollSemaphore::new(Arc::clone(line)), held: None }
    }
}

impl OwnLine {
    /// The line of `client`, the one that there is or a new one.
    fn of(lines: &Arc<Lines>, client: Client) -> Self {
        let mut clients = lock(lines);
        let known = clients.get(&client).and_then(Weak::upgrade);
        let line = known.unwrap_or_else(|| Arc::new(Semaphore::new(1)));
        clients.insert(client, Arc::downgrade(&line));
        drop(clients);
        Self { lines: Arc::clone(lines), client, line: Some(line) }
    }
}

impl Drop for OwnLine {
    fn drop(&mut self) {
        self.line = None;
        let mut clients = lock(&self.lines);
        if clients.get(&self.client).is_some_and(|line| line.strong_count() == 0) {
            clients.remove(&self.client);
        }
    }
}

/// The map is whole even when a task panicked while it held the lock: each change is one step.
fn lock(lines: &Lines) -> MutexGuard<'_, HashMap<Client, Weak<Semaphore>>> {
    lines.clients.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use std::net::IpAddr;

    use super::*;

    fn stranger(number: u8) -> Peer {
        IpAddr::from([192, 0, 2, number]).into()
    }

    /// The turn, if it can be had at once.
    fn at_once(line: &mut InLine) -> Option<Turn> {
        match line.poll_turn(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn strangers_never_fill_all_turns_and_each_has_one_at_a_time() {
        let turns = Turns::new(3);
        let mut lines: Vec<_> = (0..9)
            .map(|number| turns.line(stranger(number / 3), ClientClass::Unadmitted))
            .collect();
        let taken: Vec<_> = lines.iter_mut().map(at_once).collect();
        let at_work: Vec<_> = (0..9).filter(|number| taken[*number].is_some()).collect();
        assert_eq!(at_work, [0, 3]);
        let mut listed = turns.line(stranger(99), ClientClass::Admitted);
        let turn = at_once(&mut listed).expect("a listed client waits for no stranger");
        assert!(at_once(&mut turns.line(stranger(98), ClientClass::Admitted)).is_none());
        drop((taken, turn));
        // The first two are gone from the front: the next client of those that wait is served.
        assert!(at_once(&mut lines[6]).is_some());
    }

    #[test]
    fn the_line_of_a_client_is_forgotten_with_the_last_who_waits() {
        let turns = Turns::new(1);
        let first = turns.line(stranger(1), ClientClass::Unadmitted);
        let second = turns.line(stranger(1), ClientClass::Unadmitted);
        drop(first);
        assert_eq!(lock(&turns.0).len(), 1);
        drop(second);
        assert!(lock(&turns.0).is_empty());
    }

    #[test]
    fn any_number_of_turns_can_be_set() {
        for number in [0, 1, usize::MAX] {
            assert!(
                at_once(&mut Turns::new(number).line(stranger(1), ClientClass::Unadmitted))
                    .is_some()
            );
        }
    }

    #[tokio::test]
    async fn work_that_waits_holds_no_turn() {
        let turns = Turns::new(1);
        let (sent, work) = tokio::sync::oneshot::channel::<()>();
        let mut line = turns.line(stranger(1), ClientClass::Unadmitted);
        let mut waiting = std::pin::pin!(line.at_each_step(work));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(turns.line(stranger(2), ClientClass::Unadmitted).turn().await);
        sent.send(()).unwrap();
        waiting.await.unwrap();
    }
}
