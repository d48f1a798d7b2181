//! What was acknowledged is delivered, whatever happens to the process that acknowledged it.
//!
//! The journal of what was acknowledged is kept here, outside of the process under test. A kill
//! leaves the machine up, so it shows that nothing is acknowledged before it has left the process;
//! what a power cut leaves is another test's business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use testbed::{Message, MxBehaviour, MxHost, PolicyText, Sender, World};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json};
use crate::database::Over;
use crate::process::{self, Process};
use crate::world::{PATIENCE, write_settings};

/// How often the process is killed, unless `STS_RELAY_KILL_ROUNDS` says otherwise.
const ROUNDS: usize = 24;

/// How many clients send at once.
const CLIENTS: usize = 5;

/// How many deliveries the relay has in flight at most.
const CONCURRENCY: usize = 6;

/// A domain whose policy is enforced, and one without a policy.
const DOMAINS: [&str; 2] = ["strict.test", "open.test"];

/// A message that a client has begun to send.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    bytes: Arc<Vec<u8>>,
    /// Its name in the queue, once it was acknowledged.
    pub(crate) acknowledged: Option<String>,
}

/// Everything that was sent, by the token in its Subject.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    sent: Arc<Mutex<BTreeMap<String, Sent>>>,
    acknowledged: watch::Sender<usize>,
}

/// A world with a load on it.
struct Load {
    world: World,
    mx: Vec<MxHost>,
    listener: SocketAddr,
    config: PathBuf,
    journal: Journal,
    rng: StdRng,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { sent: Arc::default(), acknowledged: watch::Sender::new(0) }
    }

    fn begin(&self, token: &str, bytes: &Arc<Vec<u8>>) {
        let sent = Sent { bytes: Arc::clone(bytes), acknowledged: None };
        assert!(self.sent.lock().unwrap().insert(token.to_owned(), sent).is_none());
    }

    fn acknowledge(&self, token: &str, id: &str) {
        self.sent.lock().unwrap().get_mut(token).unwrap().acknowledged = Some(id.to_owned());
        self.acknowledged.send_modify(|count| *count += 1);
    }

    pub(crate) fn count(&self) -> usize {
        *self.acknowledged.borrow()
    }

    /// Waits until so many messages were acknowledged.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut changes = self.acknowledged.subscribe();
        let enough = timeout(PATIENCE, changes.wait_for(|so_far| *so_far >= count)).await.is_ok();
        assert!(enough, "{} of {count} messages were acknowledged", self.count());
    }

    pub(crate) fn acknowledged(&self) -> BTreeMap<String, Sent> {
        let mut sent = self.sent.lock().unwrap().clone();
        sent.retain(|_, sent| sent.acknowledged.is_some());
        sent
    }

    fn get(&self, token: &str) -> Option<Sent> {
        self.sent.lock().unwrap().get(token).cloned()
    }
}

impl Load {
    /// None where the store cannot be had.
    async fn new(seed: u64, over: Over) -> Option<Self> {
        let store = over.settings()?;
        let world = World::new().await;
        let mut mx = Vec::new();
        for domain in DOMAINS {
            let host = world.mx(&format!("mx.{domain}"), MxBehaviour::valid()).await;
            world.domain(domain).mx(10, &host);
            mx.push(host);
        }
        let policy = PolicyText::enforce([mx[0].name()]);
        world.domain(DOMAINS[0]).sts("1").policy(policy).await;
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        let settings = format!(
            "log.format = \"json\"\ndelivery.concurrency = {CONCURRENCY}\n\
             delivery.per_domain = {CONCURRENCY}\n{store}"
        );
        let config = write_settings(&world, listener, &settings);
        let rng = StdRng::seed_from_u64(seed);
        Some(Self { world, mx, listener, config, journal: Journal::new(), rng })
    }

    fn start(&self, round: usize) -> Process {
        Process::start(&self.config, self.world.directory().join(format!("log-{round}")))
    }

    /// Starts clients that send until their connection breaks or they are told to go.
    fn clients(&mut self, round: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (listener, journal) = (self.listener, self.journal.clone());
            let rng = StdRng::seed_from_u64(self.rng.next_u64());
            clients.spawn(async move {
                // Whatever ends it, what was acknowledged until then is in the journal.
                drop(client(listener, journal, rng, round, number).await);
            });
        }
        clients
    }

    /// The messages that have arrived, by token.
    fn arrived(&self) -> HashMap<String, Vec<Arc<Message>>> {
        let mut arrived: HashMap<String, Vec<_>> = HashMap::new();
        for message in self.world.messages() {
            arrived.entry(message.header("Subject").unwrap()).or_default().push(message);
        }
        arrived
    }

    /// Waits until everything that was acknowledged has arrived.
    async fn everything_arrived(&self, process: &Process) {
        let acknowledged = self.journal.acknowledged();
        let mut came = 0;
        loop {
            let messages = self.world.messages();
            let arrived: BTreeSet<_> =
                messages.iter().map(|message| message.header("Subject").unwrap()).collect();
            let missing: Vec<_> =
                acknowledged.iter().filter(|(token, _)| !arrived.contains(*token)).collect();
            if missing.is_empty() {
                return;
            }
            let stuck = messages.len() == came
                && self.world.wait_for_messages(came + 1, PATIENCE).await.is_err();
            assert!(!stuck, "lost: {:?}\n{}", missing[0], process.said());
            came = messages.len();
        }
    }

    /// Every copy of every message is what was sent, byte for byte, below the one field that a
    /// relay adds.
    fn nothing_is_changed(&self) {
        for (token, copies) in self.arrived() {
            let sent = self.journal.get(&token).unwrap_or_else(|| panic!("never sent: {token}"));
            for copy in copies {
                let id = queue_id(&copy);
                let acknowledged = sent.acknowledged.as_ref();
                assert!(acknowledged.is_none_or(|acknowledged| *acknowledged == id), "{token}");
                let at = copy.data.len().checked_sub(sent.bytes.len()).unwrap();
                let (added, message) = copy.data.split_at(at);
                assert!(message == &sent.bytes[..], "{token} is changed: {:?}", copy.text());
                let added = String::from_utf8(added.to_vec()).unwrap();
                let lines: Vec<_> = added.lines().collect();
                assert!(lines[0].starts_with("Received: from "), "{token}: {added}");
                assert!(lines[1..].iter().all(|line| line.starts_with('\t')), "{token}: {added}");
            }
        }
        assert_eq!(self.world.tap().violations(), Vec::<String>::new());
        for connection in self.mx[0].connections() {
            assert_eq!(connection.envelope_in_clear(), Vec::<String>::new());
        }
    }
}

/// Sends one message after another.
pub(crate) async fn client(
    listener: SocketAddr,
    journal: Journal,
    mut rng: StdRng,
    round: usize,
    number: usize,
) -> std::io::Result<()> {
    let mut sender = Sender::connect(listener).await?;
    sender.ehlo("client.test").await?;
    for count in 0.. {
        let token = format!("r{round}-c{number}-m{count}");
        let bytes = Arc::new(message(&token, &mut rng));
        let recipient = format!("<bob@{}>", DOMAINS[rng.random_range(0..DOMAINS.len())]);
        journal.begin(&token, &bytes);
        let from = "<ann@sender.test> BODY=8BITMIME";
        let reply = sender.send(from, &[&recipient], &bytes).await?;
        if reply.code != 250 {
            return Ok(());
        }
        journal.acknowledge(&token, reply.text().rsplit(' ').next().unwrap());
    }
    Ok(())
}

/// A message with all that could go wrong in it: dots at the start of lines, empty lines, long
/// lines, bytes above 127, trailing blanks; most are small, a few have a file of their own.
fn message(token: &str, rng: &mut StdRng) -> Vec<u8> {
    // Complete, so that the relay has nothing to add but its own field.
    let mut message = format!(
        "Subject: {token}\r\nFrom: ann@sender.test\r\nDate: Tue, 1 Dec 2026 00:00:00 +0000\r\n\
         Message-ID: <{token}@sender.test>\r\n\r\n"
    )
    .into_bytes();
    let size = match rng.random_range(0..40) {
        0 => 300_000,
        1..10 => 20_000,
        _ => rng.random_range(0..2_000),
    };
    while message.len() < size {
        let dots = [&b""[..], b".", b"..", b". ", b"From "][rng.random_range(0..5)];
        message.extend_from_slice(dots);
        for _ in 0..[0, 10, 70, 900][rng.random_range(0..4)] {
            let byte = rng.random_range(b' '..=u8::MAX);
            message.push(if byte == 127 { b' ' } else { byte });
        }
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// The queue ids that a log tells of as delivered.
pub(crate) fn delivered(log: &[String]) -> BTreeSet<String> {
    // The last line may be cut off by the kill.
    let lines = log.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["message"] == "delivered")
        .map(|line| line["queue_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The queue id that a message carries in the field the relay added.
pub(crate) fn queue_id(message: &Message) -> String {
    let received = message.header("Received").unwrap();
    let after = received.split_once(" id ").unwrap().1;
    after.split_once(';').unwrap().0.to_owned()
}

/// The number that a variable of the environment gives.
pub(crate) fn given<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var_os(variable).and_then(|number| number.to_str()?.parse().ok())
}

/// The seed of this run: its own each time, or the one in `STS_RELAY_SEED`.
#[expect(clippy::print_stdout, reason = "it is shown when the test fails")]
pub(crate) fn seed() -> u64 {
    let seed = given("STS_RELAY_SEED").unwrap_or_else(rand::random);
    println!("STS_RELAY_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_delivered_though_the_process_is_killed_again_and_again() {
    killed_again_and_again(Over::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_delivered_though_the_process_is_killed_again_and_again_over_postgres()
 {
    killed_again_and_again(Over::Postgres).await;
}

async fn killed_again_and_again(over: Over) {
    let Some(mut load) = Load::new(seed(), over).await else { return };
    let kills = given("STS_RELAY_KILL_ROUNDS").unwrap_or(ROUNDS);
    // How many messages had arrived at the end of each round, and what was logged as delivered.
    let mut rounds = Vec::new();
    for round in 0..kills {
        let mut process = load.start(round);
        let (some, pause) = (load.rng.random_range(1..60), load.rng.random_range(0..8_000));
        if load.rng.random_ratio(1, 5) {
            // In the middle of its start, which picks up what the last one has left.
            sleep(Duration::from_micros(20 * pause)).await;
            let log = process.kill();
            rounds.push((load.world.messages().len(), delivered(&log)));
            continue;
        }
        drop(process.connected(load.listener).await);
        let mut clients = load.clients(round);
        load.journal.wait_for(load.journal.count() + some).await;
        sleep(Duration::from_micros(pause)).await;
        let log = process.kill();
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        rounds.push((load.world.messages().len(), delivered(&log)));
    }
    let mut last = load.start(kills);
    drop(last.connected(load.listener).await);
    load.everything_arrived(&last).await;
    let status = last.terminate().await;
    assert!(status.success(), "{status}\n{}", last.said());

    load.nothing_is_changed();
    twice_only_in_flight(&load, &rounds);
    each_has_one_record(&load);
    assert!(load.journal.count() > 10 * kills, "there was hardly any load");
}

/// Every message that left the queue has one record of its delivery for each domain, whose recipients
/// share it, and the history is what was written.
fn each_has_one_record(load: &Load) {
    let exported = asked(&load.config, &["history", "export", "--outcome", "delivered"]);
    let mut recorded = BTreeSet::new();
    for line in exported.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let delivery = (text("queue_id"), text("domain"));
        assert!(recorded.insert(delivery.clone()), "{delivery:?} has two records");
    }
    let delivered: BTreeSet<String> =
        load.world.messages().iter().map(|message| queue_id(message)).collect();
    let with_record: BTreeSet<String> = recorded.into_iter().map(|(id, _)| id).collect();
    assert_eq!(with_record, delivered);
    let verified = asked_json(&load.config, &["history", "verify"]);
    assert_eq!(verified["faults"], serde_json::json!([]));
}

/// A message came twice only if it was in flight at a kill: no more of them than may be in flight,
/// and none that was told of as delivered.
fn twice_only_in_flight(load: &Load, rounds: &[(usize, BTreeSet<String>)]) {
    let all = load.world.messages();
    let mut too_many = all.len() - load.arrived().len();
    let mut settled = BTreeSet::new();
    let ends = rounds.iter().map(|(arrived, _)| *arrived).chain([all.len()]);
    let mut begin = 0;
    for (round, end) in ends.enumerate() {
        for message in &all[begin..end] {
            let id = queue_id(message);
            assert!(!settled.contains(&id), "{id} was delivered, and again in round {round}");
        }
        begin = end;
        if let Some((_, delivered)) = rounds.get(round) {
            settled.extend(delivered.iter().cloned());
            too_many = too_many.saturating_sub(CONCURRENCY);
        }
    }
    assert!(!settled.is_empty(), "the log tells of what was delivered");
    assert_eq!(too_many, 0, "more messages came twice than were in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_told_to_stop_ends_well_and_loses_and_repeats_nothing() {
    told_to_stop(Over::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_told_to_stop_ends_well_and_loses_and_repeats_nothing_over_postgres() {
    told_to_stop(Over::Postgres).await;
}

async fn told_to_stop(over: Over) {
    let Some(mut load) = Load::new(seed(), over).await else { return };
    for round in 0..3 {
        let mut process = load.start(round);
        drop(process.connected(load.listener).await);
        let mut clients = load.clients(round);
        load.journal.wait_for(load.journal.count() + 40).await;
        let status = process.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", process.said());
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }
    let mut last = load.start(3);
    drop(last.connected(load.listener).await);
    load.everything_arrived(&last).await;
    assert_eq!(last.terminate().await.code(), Some(0), "{}", last.said());
    load.nothing_is_changed();
    for (token, copies) in load.arrived() {
        assert_eq!(copies.len(), 1, "{token} came more than once");
    }
}

#[tokio::test]
async fn a_second_relay_on_the_same_data_is_refused_and_the_first_goes_on() {
    second_on_the_same_data(Over::Embedded).await;
}

#[tokio::test]
async fn a_second_relay_on_the_same_data_is_refused_and_the_first_goes_on_over_postgres() {
    second_on_the_same_data(Over::Postgres).await;
}

async fn second_on_the_same_data(over: Over) {
    let Some(load) = Load::new(0, over).await else { return };
    let mut first = load.start(0);
    let mut client = first.connected(load.listener).await;

    let second = process::run(&load.config, &["serve"]);
    assert!(!second.status.success());
    let words = String::from_utf8(second.stderr).unwrap();
    let data_dir = load.world.directory().join("data");
    assert!(words.contains(data_dir.to_str().unwrap()), "where? {words}");
    assert!(words.contains("another"), "why? {words}");

    client.ehlo("client.test").await.unwrap();
    let message = b"Subject: alone\r\n\r\n";
    let reply = client.send("<ann@sender.test>", &["<bob@open.test>"], message).await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    load.mx[1].wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(first.terminate().await.code(), Some(0), "{}", first.said());
}
