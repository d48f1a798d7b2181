//! Keeps the notices, and sends them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use clock::{Clock, millis};
use mail::in_full;
use pkix::SetupError;
use queue::{Queue, StoreError};
use rustls::time_provider::TimeProvider;
use serde::Serialize;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::board::{Board, Effort};
use crate::condition::Condition;
use crate::event::Event;
use crate::kept::Kept;
use crate::notice::{About, NoticeKey, Pending};
use crate::post_error::SendError;
use crate::rendering::Message;
use crate::sending::{NotifierTuning, Outlet};

/// The namespace's name.
const NAMESPACE: &str = "notices";

/// How long nothing is looked at while nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// How long the store is left alone after it has failed.
const STORE_REST: Duration = Duration::from_secs(5);

/// What a notifier is made of besides its settings.
#[derive(Clone, Debug)]
pub struct NotifierParts {
    /// Where notices are kept, and notices by mail are put.
    pub queue: Queue,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The time by which certificates are judged.
    pub certificate_time: Arc<dyn TimeProvider>,
}

/// Tells operators what they should know. A copy is the same notifier.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: NotifierParts,
    outlet: RwLock<Arc<Outlet>>,
    /// None until what is kept could be read.
    state: Mutex<Option<State>>,
    failing: RwLock<BTreeMap<String, Failing>>,
    /// There may be something to send.
    news: Notify,
}

#[derive(Debug)]
struct State {
    board: Board,
    kept: Kept,
}

/// How it stands with a destination whose last notice could not be sent.
#[derive(Clone, Debug)]
struct Failing {
    since: SystemTime,
    error: String,
}

/// How it stands with a destination.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// Since when it has not taken notices, in seconds since 1970; none where it does.
    pub failing_since: Option<u64>,
    /// Why it does not.
    pub error: Option<String>,
}

/// What came of a test of one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// Why the test could not be sent, where it could not.
    pub error: Option<String>,
}

impl Notifier {
    /// Tells by these settings.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: TLS cannot be set up.
    pub fn new(parts: NotifierParts, tuning: NotifierTuning) -> Result<Self, SetupError> {
        let outlet = Outlet::new(tuning, Arc::clone(&parts.certificate_time))?;
        Ok(Self(Arc::new(Inner {
            parts,
            outlet: RwLock::new(Arc::new(outlet)),
            state: Mutex::default(),
            failing: RwLock::default(),
            news: Notify::new(),
        })))
    }

    /// Tells by other settings from now on.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: TLS cannot be set up, and the settings are as they were.
    pub fn reload(&self, tuning: NotifierTuning) -> Result<(), SetupError> {
        let outlet = Outlet::new(tuning, Arc::clone(&self.0.parts.certificate_time))?;
        let names: BTreeSet<_> = outlet.destinations.iter().map(|one| one.name.clone()).collect();
        *self.0.outlet.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(outlet);
        let mut failing = self.0.failing.write().unwrap_or_else(PoisonError::into_inner);
        failing.retain(|name, _| names.contains(name));
        drop(failing);
        self.0.news.notify_one();
        Ok(())
    }

    /// Whether nobody is to be told anything.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.outlet().destinations.is_empty()
    }

    /// Takes in what is so now: all conditions that there are of the events in `looked`. What is to be told
    /// is kept when this returns, and sent by [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it could not be kept; it will be with the next look.
    pub async fn see(&self, looked: &[Event], conditions: &[Condition]) -> Result<(), StoreError> {
        let (now, outlet) = (millis(self.0.parts.clock.now()), self.outlet());
        self.change(|board| {
            board.see(looked, conditions, now);
            board.plan(&outlet.destinations, now);
        })
        .await?;
        self.0.news.notify_one();
        Ok(())
    }

    /// Whom the notices of an event are about that hold now; what is not kept is not known.
    pub async fn subjects(&self, event: Event) -> Vec<String> {
        let state = self.0.state.lock().await;
        let notices = state.iter().flat_map(|state| state.board.notices());
        let about = notices.filter(|notice| notice.key.event == event && notice.ended.is_none());
        about
            .filter_map(|notice| match &notice.key.about {
                About::Many(_) => None,
                About::One(subject) => Some(subject.clone()),
            })
            .collect()
    }

    /// How it stands with each destination.
    #[must_use]
    pub fn destinations(&self) -> Vec<DestinationStatus> {
        let failing = self.0.failing.read().unwrap_or_else(PoisonError::into_inner);
        let of = |name: &String| {
            let failing = failing.get(name);
            DestinationStatus {
                name: name.clone(),
                failing_since: failing.map(|failing| millis(failing.since) / 1000),
                error: failing.map(|failing| failing.error.clone()),
            }
        };
        self.outlet().destinations.iter().map(|one| of(&one.name)).collect()
    }

    /// Sends a test to the destination of this name, or to all; none where there is no such one.
    pub async fn test(&self, name: Option<&str>) -> Option<Vec<Tested>> {
        let (outlet, now) = (self.outlet(), self.0.parts.clock.wall());
        let mut tests = JoinSet::new();
        for destination in &outlet.destinations {
            if name.is_none_or(|name| name == destination.name) {
                let (outlet, queue) = (Arc::clone(&outlet), self.0.parts.queue.clone());
                let destination = destination.clone();
                tests.spawn(async move {
                    let relay = outlet.hostname.to_string();
                    let message = Message::test(&destination.name, &relay, now);
                    let sent = Box::pin(outlet.send(&destination, &message, &queue, now)).await;
                    let error = sent.err().map(|error| in_full(&error));
                    Tested { name: destination.name, error }
                });
            }
        }
        let mut tested = tests.join_all().await;
        tested.sort_by(|one, other| one.name.cmp(&other.name));
        (!tested.is_empty() || name.is_none()).then_some(tested)
    }

    /// Sends what is to be told, each destination for itself, until `stop`. What is on its way then is told
    /// again by the next relay.
    pub async fn run(&self, stop: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut busy = BTreeSet::new();
        loop {
            let wait = self.send_due(&mut sending, &mut busy).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.news.notified() => {}
                () = sleep(wait) => {}
                Some(sent) = sending.join_next() => match sent {
                    Ok(name) => drop(busy.remove(&name)),
                    // The program's fault; which one it was is not known, so each is asked anew.
                    Err(error) => {
                        error!(%error, "notice task panicked");
                        busy.clear();
                    }
                },
            }
        }
    }

    /// Begins to send to each destination that is not being sent to what it is to be told next; answers with
    /// how long to wait until something is due.
    async fn send_due(
        &self,
        sending: &mut JoinSet<String>,
        busy: &mut BTreeSet<String>,
    ) -> Duration {
        let (outlet, now) = (self.outlet(), millis(self.0.parts.clock.now()));
        let planned = self.change(|board| board.plan(&outlet.destinations, now)).await;
        if planned.is_err() {
            return STORE_REST;
        }
        let state = self.0.state.lock().await;
        let Some(State { board, .. }) = &*state else { return STORE_REST };
        for destination in &outlet.destinations {
            if busy.contains(&destination.name) {
                continue;
            }
            let Some((notice, pending)) = board.due(&destination.name, now) else { continue };
            let relay = outlet.hostname.to_string();
            let message = Message::of(notice, pending, &destination.name, &relay);
            let (name, key) = (destination.name.clone(), notice.key.clone());
            let (notifier, outlet) = (self.clone(), Arc::clone(&outlet));
            busy.insert(name.clone());
            sending.spawn(async move {
                Box::pin(notifier.send(&outlet, &name, &key, pending, &message)).await;
                name
            });
        }
        let idle: Vec<_> =
            outlet.destinations.iter().filter(|one| !busy.contains(&one.name)).cloned().collect();
        let due = board
            .next_due(&idle)
            .map_or(IDLE, |due| Duration::from_millis(due.saturating_sub(now)));
        due.min(IDLE)
    }

    /// Sends one message, and notes what came of it.
    async fn send(
        &self,
        outlet: &Outlet,
        name: &str,
        key: &NoticeKey,
        pending: Pending,
        message: &Message,
    ) {
        let Some(destination) = outlet.named(name) else { return };
        let (queue, wall) = (&self.0.parts.queue, self.0.parts.clock.wall());
        let sent = Box::pin(outlet.send(destination, message, queue, wall)).await;
        let now = millis(self.0.parts.clock.now());
        let noted = match &sent {
            Ok(()) => self.change(|board| board.told(key, name, pending, now)).await,
            Err(error) => {
                self.fails(name, error, wall);
                let mut effort = Effort::Again;
                let noted =
                    self.change(|board| effort = board.failed(key, name, pending, now)).await;
                if effort == Effort::GivenUp {
                    error!(
                        destination = name,
                        event = message.event,
                        "notice given up after a day"
                    );
                }
                noted
            }
        };
        if sent.is_ok() {
            let subject = message.subject.as_deref();
            info!(destination = name, event = message.event, subject, "notice sent");
            self.recovered(name);
        }
        if noted.is_err() {
            // It may be sent twice; it is not lost.
            sleep(STORE_REST).await;
        }
    }

    /// Notes that a destination takes notices.
    fn recovered(&self, name: &str) {
        let mut failing = self.0.failing.write().unwrap_or_else(PoisonError::into_inner);
        if failing.remove(name).is_some() {
            info!(destination = name, "notices are taken again");
        }
    }

    /// Notes that a destination does not take notices; the log has it once until it does.
    fn fails(&self, name: &str, error: &SendError, now: SystemTime) {
        let error = in_full(error);
        let mut failing = self.0.failing.write().unwrap_or_else(PoisonError::into_inner);
        if !failing.contains_key(name) {
            warn!(destination = name, error, "notice not sent: it is tried for a day");
        }
        let since = failing.get(name).map_or(now, |before| before.since);
        failing.insert(name.to_owned(), Failing { since, error });
    }

    /// Changes the board, and keeps what has changed.
    async fn change(&self, change: impl FnOnce(&mut Board)) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().await;
        if state.is_none() {
            let read = Kept::read(self.0.parts.queue.values(NAMESPACE)).await;
            let (kept, notices) = read.inspect_err(|error| error!(%error, "notices not read"))?;
            let board = Board::resume(notices, millis(self.0.parts.clock.now()));
            *state = Some(State { board, kept });
        }
        let Some(State { board, kept }) = &mut *state else { return Ok(()) };
        change(board);
        kept.write(board.notices()).await.inspect_err(|error| error!(%error, "notices not kept"))
    }

    fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.0.outlet.read().unwrap_or_else(PoisonError::into_inner))
    }
}
