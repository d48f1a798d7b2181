//! The workers: as many attempts at once as the settings allow, each in a task of its own.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use clock::Clock;
use dns::Dns;
use mta_sts::Policies;
use pkix::{Roots, SetupError};
use queue::{DestinationHealth, Lease, Queue};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::attempt;
use crate::attempt_pace::AttemptPace;
use crate::client::Client;
use crate::departures::Departures;
use crate::gathering::{Gathering, Part};
use crate::observer::Observer;
use crate::paces::{PaceStatus, PaceTurn, Paces};
use crate::patience::Patience;
use crate::recorder::Recorder;
use crate::settings::DeliverySettings;
use crate::settling::Settling;
use crate::slots::{DeliverySlot, DeliverySlots, Room};
use crate::tls::danger::Observing;
use crate::tls::webpki::WebPki;

/// How long nothing is leased after the queue could not say what is due.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);

/// How often it is asked whether there is room again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Delivers what the queue holds.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What attempts begin with; those under way keep what they began with.
    client: Arc<RwLock<Arc<Client>>>,
    queue: Queue,
    slots: Arc<DeliverySlots>,
    gathering: Arc<Gathering>,
    departures: Arc<Departures>,
}

/// Other settings for a delivery that runs, made ready to take the place of those it has.
#[derive(Debug)]
pub struct Reloaded(Client);

impl Delivery {
    /// Delivers from `queue`, to hosts that `dns` names, as `policies` decide.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the relay, given once")]
    pub fn new(
        settings: DeliverySettings,
        queue: Queue,
        dns: Arc<dyn Dns>,
        policies: Arc<Policies>,
        roots: impl Into<Roots>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        recorder: Arc<dyn Recorder>,
    ) -> Result<Self, SetupError> {
        let roots = roots.into();
        let client = Client {
            settings: Arc::new(settings),
            dns,
            policies,
            webpki: WebPki::new(roots.clone(), Arc::clone(&clock))?,
            observing: Observing::new(roots, Arc::clone(&clock))?,
            clock,
            observer,
            recorder,
            idle: Arc::default(),
            dead: Arc::default(),
            windows: Arc::default(),
            trials: Arc::default(),
            addresses: Arc::default(),
            paces: Arc::new(Paces::new(queue.clone())),
        };
        let client = Arc::new(RwLock::new(Arc::new(client)));
        let (slots, departures) = (Arc::default(), Arc::default());
        Ok(Self { client, queue, slots, gathering: Arc::default(), departures })
    }

    /// Makes other settings and trust roots ready for [`Self::reload`].
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    pub fn reloaded(
        &self,
        settings: DeliverySettings,
        roots: impl Into<Roots>,
    ) -> Result<Reloaded, SetupError> {
        let (now, roots) = (self.client(), roots.into());
        let clock = Arc::clone(&now.clock);
        Ok(Reloaded(Client {
            settings: Arc::new(settings),
            dns: Arc::clone(&now.dns),
            policies: Arc::clone(&now.policies),
            webpki: WebPki::new(roots.clone(), Arc::clone(&clock))?,
            observing: Observing::new(roots, Arc::clone(&clock))?,
            clock,
            observer: Arc::clone(&now.observer),
            recorder: Arc::clone(&now.recorder),
            idle: Arc::clone(&now.idle),
            dead: Arc::clone(&now.dead),
            windows: Arc::clone(&now.windows),
            trials: Arc::clone(&now.trials),
            addresses: Arc::clone(&now.addresses),
            paces: Arc::clone(&now.paces),
        }))
    }

    /// Has every attempt from now on begin with other settings.
    pub fn reload(&self, Reloaded(client): Reloaded) {
        let client = Arc::new(client);
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&client);
        client.paces.changed(&client.settings.limits);
    }

    /// What there is to be told of the limits, and of destinations that their hosts have slowed.
    #[must_use]
    pub fn paces(&self) -> Vec<PaceStatus> {
        let client = self.client();
        client.paces.status(&client.settings.limits, client.clock.now())
    }

    /// Whether mail leaves.
    #[must_use]
    pub fn departures(&self) -> Arc<Departures> {
        Arc::clone(&self.departures)
    }

    /// What an attempt begins with now.
    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Delivers until `stop` is cancelled, then finishes what is in flight within the grace.
    pub async fn run(self, stop: CancellationToken) {
        let (mut attempts, mut tending) = (JoinSet::new(), JoinSet::new());
        let done = CancellationToken::new();
        tending.spawn(self.clone().tend(done.clone()));
        tending.spawn(self.clone().report(done.clone()));
        while !stop.is_cancelled() {
            let pause = self.fill(&mut attempts).await;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = attempts.join_next() => ended_well(ended),
                () = self.slots.more() => {}
                () = self.wait(pause) => {}
            }
        }
        self.finish(attempts).await;
        done.cancel();
        while tending.join_next().await.is_some() {}
        self.report_all().await;
    }

    /// Begins as many attempts as there is work and room for.
    async fn fill(&self, attempts: &mut JoinSet<()>) -> Pause {
        let client = self.client();
        let room = Room { quick: client.settings.workers, all: client.settings.attempts() };
        while let Some(worst) = self.slots.free(room) {
            match self.queue.lease_within(worst, &*client).await {
                Ok(Some((lease, turn))) => {
                    let (queue_id, domain) = (lease.id(), lease.destination());
                    let n = lease.attempts().saturating_add(1);
                    let span = tracing::info_span!("attempt", %queue_id, %domain, n);
                    let slot = DeliverySlot::take(&self.slots, lease.health(), room);
                    attempts.spawn(self.clone().deliver(lease, slot, turn).instrument(span));
                }
                Ok(None) => return Pause::UntilWork(worst),
                Err(error) => {
                    tracing::error!(error = error.in_full(), "queue read failed");
                    return Pause::Short;
                }
            }
        }
        Pause::UntilRoom
    }

    async fn wait(&self, pause: Pause) {
        match pause {
            Pause::Short => tokio::time::sleep(QUEUE_PAUSE).await,
            // Attempts that hear nothing make room as time goes by, which nothing else tells.
            Pause::UntilRoom => tokio::time::sleep(LOOK_AGAIN).await,
            Pause::UntilWork(DestinationHealth::Failing) => {
                self.queue.work(DestinationHealth::Failing).await;
            }
            Pause::UntilWork(
                worst @ (DestinationHealth::Answering | DestinationHealth::Untried),
            ) => {
                drop(tokio::time::timeout(LOOK_AGAIN, self.queue.work(worst)).await);
            }
        }
    }

    /// Lets attempts in progress end; one that does not, returns its lease when it is dropped.
    async fn finish(&self, mut attempts: JoinSet<()>) {
        let all = async {
            while let Some(ended) = attempts.join_next().await {
                ended_well(ended);
            }
        };
        if tokio::time::timeout(self.client().settings.shutdown_grace, all).await.is_err() {
            tracing::warn!(attempts = attempts.len(), "shutdown grace expired: deliveries aborted");
            attempts.shutdown().await;
        }
    }

    /// Closes connections that nobody needs until `done`, and then all; no attempt waits for that.
    async fn tend(self, done: CancellationToken) {
        let idle = Arc::clone(&self.client().idle);
        idle.tend(|| self.client().settings.connection_idle, &done).await;
    }

    /// One attempt, from a lease to its settlement.
    async fn deliver(self, lease: Lease, mut slot: DeliverySlot, turn: Option<PaceTurn>) {
        let client = self.client();
        let pace = AttemptPace::new(turn);
        let departing = self.departures.begin(client.clock.now());
        let results = {
            let patience = Arc::new(Patience::new(client.settings.timeouts.attempt));
            let stalled = || client.windows.stalled(lease.destination_name());
            tokio::select! {
                results = attempt(&client, &lease, &patience, &pace) => results,
                never = slot.follow(&patience, &lease, stalled) => match never {},
            }
        };
        if pace.is_turned_away() {
            tracing::debug!("limit reached: no attempt made");
            return lease.put_back();
        }
        drop(pace);
        let each: Vec<_> = results.iter().map(|one| &one.record.result).collect();
        departing.ended(lease.destination_name(), &each, client.clock.now());
        self.settling(&client).settle(Part { lease, results }).await;
    }

    fn settling<'a>(&'a self, client: &'a Client) -> Settling<'a> {
        Settling { client, queue: &self.queue, gathering: &self.gathering }
    }

    /// Makes the reports of gathered failures when their time has come, until `done`.
    async fn report(self, done: CancellationToken) {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                parts = self.gathering.next() => self.settling(&self.client()).conclude(parts).await,
            }
        }
    }

    /// Makes those that are left.
    async fn report_all(&self) {
        while let Some(parts) = self.gathering.any() {
            self.settling(&self.client()).conclude(parts).await;
        }
    }
}

/// What to wait for when nothing can be leased.
#[derive(Clone, Copy, Debug)]
enum Pause {
    Short,
    UntilRoom,
    UntilWork(DestinationHealth),
}

/// A panic ends one attempt and no more: its lease has returned to the queue.
fn ended_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "delivery task panicked");
    }
}

#[cfg(test)]
mod tests;
