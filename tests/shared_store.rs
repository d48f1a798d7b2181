//! Two relays over one database, under load, one of which is killed or stopped: nothing that was acknowledged is
//! lost, and what comes twice was under way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use testbed::{MxBehaviour, MxHost, Sender, World};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::database::Database;
use crate::durability::{Journal, client, delivered, given, queue_id, seed};
use crate::process::Process;
use crate::world::{PATIENCE, write_settings};

/// How often something happens to a relay, unless `STS_RELAY_NODE_ROUNDS` says otherwise.
const ROUNDS: usize = 5;

/// How many deliveries a relay has in flight at most.
const CONCURRENCY: usize = 6;

/// The lease of the tests' nodes.
const LEASE: Duration = Duration::from_secs(6);

/// How long mail may wait that was a dead relay's: until the end of its lease, and a moment.
const TAKEOVER: Duration = Duration::from_secs(30);

/// What happens to a relay in a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It is killed, and the other goes on with its mail.
    Killed,
    /// Both are killed.
    BothKilled,
    /// It stands still for two leases, and goes on.
    StoodStill,
}

/// One of the relays.
pub(crate) struct Node {
    pub(crate) config: PathBuf,
    pub(crate) listener: SocketAddr,
    log: PathBuf,
    pub(crate) process: Process,
}

impl Node {
    /// A relay of this name in the world, over this store.
    pub(crate) async fn start(world: &World, store: &str, name: &str) -> Self {
        let free = TcpListener::bind((world.address(), 0)).unwrap();
        let listener = free.local_addr().unwrap();
        drop(free);
        let settings = format!(
            "log.format = \"json\"\ndelivery.concurrency = {CONCURRENCY}\n\
             delivery.per_domain = {CONCURRENCY}\ndelivery.retry.first = \"1s\"\n{}\
             store.postgres.node = \"{name}\"\n",
            store
        );
        let written = write_settings(world, listener, &settings);
        // Each has a data directory of its own.
        let text = fs::read_to_string(&written).unwrap();
        let data_dir = world.directory().join("data");
        let own = world.directory().join(format!("data-{name}"));
        let text = text.replace(data_dir.to_str().unwrap(), own.to_str().unwrap());
        let config = world.directory().join(format!("{name}.toml"));
        fs::write(&config, text).unwrap();
        let log = world.directory().join(format!("log-{name}-0"));
        let mut process = Process::start(&config, log.clone());
        drop(process.connected(listener).await);
        Self { config, listener, log, process }
    }

    /// Starts it again after it has died.
    pub(crate) async fn restart(&mut self, round: usize) {
        self.log.set_extension(round.to_string());
        self.process = Process::start(&self.config, self.log.clone());
        drop(self.process.connected(self.listener).await);
    }
}

/// Two relays and a receiver.
struct Pair {
    world: World,
    mx: MxHost,
    nodes: Vec<Node>,
    journal: Journal,
    rng: StdRng,
    /// What a relay that died had told of as delivered, and how many messages had arrived by then.
    told: Vec<(usize, BTreeSet<String>)>,
}

impl Pair {
    async fn new(store: &str, seed: u64) -> Self {
        let world = World::new().await;
        let mx = world.mx("mx.open.test", MxBehaviour::greylisting()).await;
        for domain in ["open.test", "strict.test"] {
            world.domain(domain).mx(10, &mx);
        }
        let mut nodes = Vec::new();
        for name in ["a", "b"] {
            nodes.push(Box::pin(Node::start(&world, store, name)).await);
        }
        let (rng, told) = (StdRng::seed_from_u64(seed), Vec::new());
        Self { world, mx, nodes, journal: Journal::new(), rng, told }
    }

    /// Has clients send to the relays until their connections break or they are told to go.
    fn clients(&mut self, round: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..6 {
            let listener = self.nodes[number % 2].listener;
            let (journal, rng) = (self.journal.clone(), StdRng::seed_from_u64(self.rng.random()));
            clients.spawn(async move {
                drop(client(listener, journal, rng, round, number).await);
            });
        }
        clients
    }

    /// Kills a relay; what it has told of as delivered.
    fn kill(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.process.die();
        let told = delivered(&node.process.log_lines());
        self.told.push((self.mx.messages().len(), told));
    }

    /// Waits until everything that was acknowledged has arrived.
    async fn everything_arrived(&self, patience: Duration) {
        let acknowledged: BTreeSet<String> = self
            .journal
            .acknowledged()
            .into_values()
            .filter_map(|sent| sent.acknowledged)
            .collect();
        let waited = timeout(patience, async {
            loop {
                let arrived: BTreeSet<_> =
                    self.mx.messages().iter().map(|one| queue_id(one)).collect();
                if acknowledged.is_subset(&arrived) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        if waited.await.is_err() {
            let arrived: BTreeSet<_> = self.mx.messages().iter().map(|one| queue_id(one)).collect();
            let lost: Vec<_> = acknowledged.difference(&arrived).take(5).collect();
            let said: Vec<_> = self.nodes.iter().map(|node| node.process.said()).collect();
            panic!("lost: {lost:?}\n{}", said.join("\n\n"));
        }
    }

    /// One round: load, and what happens to a relay under it.
    async fn round(&mut self, round: usize, fate: Fate, place: usize) {
        let mut clients = self.clients(round);
        let some = self.rng.random_range(20..80);
        self.journal.wait_for(self.journal.count() + some).await;
        sleep(Duration::from_micros(self.rng.random_range(0..8_000))).await;
        match fate {
            Fate::Killed => {
                self.kill(place);
                clients.shutdown().await;
                // The other one has no word from the dead, and sends its mail all the same.
                self.everything_arrived(TAKEOVER).await;
                self.nodes[place].restart(round + 1).await;
            }
            Fate::BothKilled => {
                self.kill(0);
                self.kill(1);
                clients.shutdown().await;
                for node in &mut self.nodes {
                    node.restart(round + 1).await;
                }
            }
            Fate::StoodStill => {
                self.nodes[place].process.signal(Signal::STOP);
                let stopped = Instant::now();
                clients.shutdown().await;
                sleep((LEASE * 2).saturating_sub(stopped.elapsed())).await;
                self.nodes[place].process.signal(Signal::CONT);
            }
        }
        self.everything_arrived(TAKEOVER).await;
    }

    /// What came twice was under way when its relay was killed or stood still: no more than that, and nothing
    /// that a relay had told of as delivered before it died.
    fn twice_only_in_flight(&self, events: usize) {
        let all = self.mx.messages();
        let mut arrived = BTreeMap::<String, usize>::new();
        for message in &all {
            *arrived.entry(queue_id(message)).or_default() += 1;
        }
        let twice: usize = arrived.values().map(|count| count - 1).sum();
        assert!(twice <= events * CONCURRENCY, "{twice} came twice in {events} events");
        for (arrived, told) in &self.told {
            let again: Vec<_> = all[*arrived..]
                .iter()
                .map(|one| queue_id(one))
                .filter(|id| told.contains(id))
                .collect();
            assert!(again.is_empty(), "delivered, and again: {again:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_lose_nothing_whichever_dies_or_stands_still() {
    Database::with(async |database| {
        let mut pair = Box::pin(Pair::new(&database.settings(), seed())).await;
        let rounds = given("STS_RELAY_NODE_ROUNDS").unwrap_or(ROUNDS);
        let mut events = 0;
        for round in 0..rounds {
            let fates = [Fate::Killed, Fate::StoodStill, Fate::BothKilled];
            let (fate, place) = (fates[round % 3], round / 3 % 2);
            events += if fate == Fate::BothKilled { 2 } else { 1 };
            pair.round(round, fate, place).await;
        }
        for node in &mut pair.nodes {
            let status = timeout(PATIENCE, node.process.terminate()).await.unwrap();
            assert!(status.success(), "{}", node.process.said());
        }
        pair.twice_only_in_flight(events);
        assert_eq!(pair.world.tap().violations(), Vec::<String>::new());
        assert!(pair.journal.count() >= 20 * rounds, "there was hardly any load");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_primary_was_killed_and_the_standby_promoted() {
    Database::with_standby(async |store, primary, standby| {
        let mut pair = Box::pin(Pair::new(&store, seed())).await;
        let mut clients = pair.clients(0);
        let some = pair.rng.random_range(40..120);
        pair.journal.wait_for(pair.journal.count() + some).await;
        sleep(Duration::from_micros(pair.rng.random_range(0..20_000))).await;
        primary.kill();
        let before = pair.journal.count();
        sleep(Duration::from_millis(pair.rng.random_range(0..1_000))).await;
        standby.promote();
        // Clients have waited, or were refused for now; new ones are served.
        clients.shutdown().await;
        timeout(PATIENCE, served_again(&pair.nodes[0])).await.unwrap();
        let mut clients = pair.clients(1);
        pair.journal.wait_for(before + 40).await;
        clients.shutdown().await;
        pair.everything_arrived(TAKEOVER).await;
        for node in &mut pair.nodes {
            let status = timeout(PATIENCE, node.process.terminate()).await.unwrap();
            assert!(status.success(), "{}", node.process.said());
        }
        pair.twice_only_in_flight(2);
    })
    .await;
}

/// Waits until a relay takes mail.
async fn served_again(node: &Node) {
    loop {
        let mut client = Sender::connect(node.listener).await.unwrap();
        client.ehlo("client.test").await.unwrap();
        if client.mail("<ann@sender.test>").await.unwrap().is_positive() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
