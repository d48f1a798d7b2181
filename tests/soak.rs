//! Mail to many domains that fail in every way, through a relay that is stopped and killed again and
//! again: at the end every message is where it must be.
//!
//! Each domain has a fate. What goes to one that can take mail arrives, once; what goes to one that
//! refuses comes back to its sender, once; what goes to one that cannot prove itself under an
//! enforced policy stays in the queue. A message may come twice only where nobody can know better:
//! the answer to its final dot was lost, or the relay was killed with it in flight. Which of them it
//! was is known for each copy (`accounts`); and what the relay tells of as delivered has come.
//!
//! `STS_RELAY_SOAK_MESSAGES=100000` makes a long run of it, to 1,000 domains.

mod accounts;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::mem::take;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use testbed::{
    Act, Certificate, ConnectionState, Fault, Message, MxBehaviour, MxHost, PolicyText, RecordType,
    Sender, Step, World,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::accounts::{Accounts, Ending};
use crate::durability::{given, queue_id, seed};
use crate::process::{self, Process};
use crate::world::{PATIENCE, write_settings};

/// How many messages are sent, unless `STS_RELAY_SOAK_MESSAGES` says otherwise.
const MESSAGES: usize = 400;

/// How many clients send at once.
const CLIENTS: usize = 5;

/// How many deliveries the relay has in flight at most.
const CONCURRENCY: usize = 20;

/// How often the end is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What becomes of the mail of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It arrives, in the end.
    Arrives,
    /// It is returned.
    Returns,
    /// It stays in the queue.
    Stays,
}

/// Whether a domain's policy is enforced, or there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Absent,
    Enforced,
}

/// Whether hosts and names have faults that pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Calm,
    Rough,
}

/// A domain with its one host.
#[derive(Debug)]
struct Destination {
    domain: String,
    fate: Fate,
    policy: Policy,
    mx: MxHost,
}

/// Everything that was sent: its destination and, once it was acknowledged, its name in the queue; by
/// token.
type Journal = Arc<Mutex<BTreeMap<String, (usize, Option<String>)>>>;

/// What was sent and what came of it.
struct Soak {
    world: World,
    destinations: Vec<Destination>,
    listener: SocketAddr,
    config: PathBuf,
    journal: Journal,
    /// The hosts that may hear nothing in clear.
    enforced: BTreeSet<String>,
    /// Messages that were taken; the answer is still due.
    due: Vec<Arc<Message>>,
    /// What has arrived, and what has come back.
    arrived: Accounts,
    returned: Accounts,
    rng: StdRng,
    kills: usize,
}

/// What the host of a domain does, apart from faults that pass.
fn lasting(number: usize) -> (Fate, Policy, MxBehaviour) {
    let way = number / 10 % 4;
    match number % 10 {
        0 => (Fate::Stays, Policy::Enforced, unproven(way)),
        1 => {
            let (step, reply) = [
                (Step::RcptTo, "550 5.1.1 nobody"),
                (Step::MailFrom, "553 5.1.8 not you"),
                (Step::Data, "554 5.7.1 not this"),
                (Step::EndOfData, "554 5.6.0 not like this"),
            ][way];
            let policy = [Policy::Enforced, Policy::Absent][way % 2];
            (Fate::Returns, policy, MxBehaviour::valid().at(step, reply))
        }
        2..6 => (Fate::Arrives, Policy::Enforced, MxBehaviour::valid()),
        _ => (Fate::Arrives, Policy::Absent, MxBehaviour::valid()),
    }
}

/// A host that does not prove itself.
fn unproven(way: usize) -> MxBehaviour {
    match way {
        0 => MxBehaviour::stripped(),
        1 => MxBehaviour::presenting(Certificate::Expired),
        2 => MxBehaviour::starttls_refused("554 5.7.0 no"),
        _ => MxBehaviour::handshake_closed(),
    }
}

/// A fault that passes.
fn passing(policy: Policy, rng: &mut StdRng) -> MxBehaviour {
    let times = rng.random_range(1..=3);
    let valid = MxBehaviour::valid();
    match rng.random_range(0..10) {
        0..2 => valid,
        2 => MxBehaviour::greylisting(),
        3 if policy == Policy::Enforced => unproven(rng.random_range(0..4)),
        3..6 => {
            let steps = [Step::MailFrom, Step::RcptTo, Step::Data, Step::EndOfData, Step::Starttls];
            valid.first(times, *steps.choose(rng).unwrap(), "451 4.3.0 later")
        }
        6 => valid.first(times, Step::Taken, Act::Drop),
        7 => valid.first(times, Step::Greeting, Act::ReplyAndDrop("421 4.3.2 full".into())),
        _ => {
            let steps = [
                Step::Greeting,
                Step::Ehlo,
                Step::Starttls,
                Step::MailFrom,
                Step::RcptTo,
                Step::Data,
                Step::Message,
                Step::EndOfData,
            ];
            valid.first(times, *steps.choose(rng).unwrap(), Act::Drop)
        }
    }
}

impl Soak {
    async fn new(domains: usize, seed: u64) -> Self {
        let world = World::new().await;
        world.names().keep_for(Duration::from_secs(1));
        let (mut destinations, mut enforced) = (Vec::new(), BTreeSet::new());
        for number in 0..domains {
            let (fate, policy, behaviour) = lasting(number);
            let domain = format!("d{number}.test");
            let mx = world.mx(&format!("mx.{domain}"), behaviour).await;
            let setup = world.domain(&domain).mx(10, &mx);
            if policy == Policy::Enforced {
                setup.sts("1").policy(PolicyText::enforce([mx.name()])).await;
                enforced.insert(mx.name().to_owned());
            }
            destinations.push(Destination { domain, fate, policy, mx });
        }
        let senders = world.mx("mx.sender.test", MxBehaviour::valid()).await;
        world.domain("sender.test").mx(10, &senders);
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        let settings = format!(
            "log.format = \"json\"\n\
             delivery.concurrency = {CONCURRENCY}\n\
             delivery.retry.first = \"200ms\"\n\
             delivery.retry.longest = \"1s\"\n\
             limits.messages_per_connection = 1000000"
        );
        let config = write_settings(&world, listener, &settings);
        Self {
            world,
            destinations,
            listener,
            config,
            journal: Journal::default(),
            enforced,
            due: Vec::new(),
            arrived: Accounts::default(),
            returned: Accounts::default(),
            rng: StdRng::seed_from_u64(seed),
            kills: 0,
        }
    }

    /// Gives every domain that can take mail faults that pass, or takes them away.
    fn faults(&mut self, weather: Weather) {
        for destination in &mut self.destinations {
            let names = self.world.names();
            let sts = format!("_mta-sts.{}", destination.domain);
            names.mend(&destination.domain);
            names.mend(&sts);
            if destination.fate != Fate::Arrives {
                continue;
            }
            let rng = &mut self.rng;
            if weather == Weather::Calm {
                destination.mx.behave(MxBehaviour::valid());
                continue;
            }
            destination.mx.behave(passing(destination.policy, rng));
            match rng.random_range(0..10) {
                0 => names.fail_type(&destination.domain, RecordType::Mx, Fault::ServFail),
                1 => names.fail(&sts, Fault::ServFail),
                _ => {}
            }
        }
    }

    fn start(&self, round: usize) -> Process {
        Process::start(&self.config, self.log(round))
    }

    fn log(&self, round: usize) -> PathBuf {
        self.world.directory().join(format!("log-{round}"))
    }

    /// Sends until `count` more messages were acknowledged, or the relay is gone.
    fn clients(&self, round: usize, count: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        let next = Arc::new(AtomicUsize::new(0));
        for number in 0..CLIENTS {
            let (next, journal) = (Arc::clone(&next), Arc::clone(&self.journal));
            let (listener, domains) = (self.listener, self.destinations.len());
            clients.spawn(async move {
                let Ok(mut sender) = Sender::connect(listener).await else { return };
                if sender.ehlo("client.test").await.is_err() {
                    return;
                }
                loop {
                    let one = next.fetch_add(1, Ordering::Relaxed);
                    if one >= count {
                        return;
                    }
                    let token = format!("t{round}-{one}");
                    let to = (one * 7 + round * 3 + number) % domains;
                    let from = format!("<ann+{token}@sender.test>");
                    let message =
                        format!("Subject: {token}\r\n\r\nIt is {token} to d{to}.test.\r\n");
                    let recipient = format!("<bob@d{to}.test>");
                    let sent = sender.send(&from, &[&recipient], message.as_bytes()).await;
                    journal.lock().unwrap().insert(token.clone(), (to, None));
                    // The relay may be gone, or on its way.
                    let Ok(reply) = sent else { return };
                    if reply.code != 250 {
                        return;
                    }
                    let id = reply.text().rsplit(' ').next().unwrap().to_owned();
                    journal.lock().unwrap().insert(token, (to, Some(id)));
                }
            });
        }
        clients
    }

    fn acknowledged(&self) -> usize {
        self.journal.lock().unwrap().values().filter(|(_, id)| id.is_some()).count()
    }

    /// Takes what has come so far, and holds it against the promise.
    fn harvest(&mut self) {
        for connection in self.world.tap().forget_ended() {
            assert_eq!(connection.violations, Vec::<String>::new());
            if self.enforced.contains(&connection.host) {
                let in_clear = connection.envelope_in_clear();
                assert_eq!(in_clear, Vec::<String>::new(), "in clear: {connection}");
            }
        }
        self.due.extend(self.world.forget_messages());
        for message in take(&mut self.due) {
            self.count(message);
        }
    }

    fn count(&mut self, message: Arc<Message>) {
        let Some(answer) = message.answer() else { return self.due.push(message) };
        assert_eq!(message.recipients.len(), 1, "{message:?}");
        let recipient = &message.recipients[0];
        if message.host == "mx.sender.test" {
            assert_eq!(message.reverse_path, "", "only notifications go there");
            let token = recipient.strip_prefix("ann+").unwrap().strip_suffix("@sender.test");
            let id = message.header("Message-ID").unwrap();
            let id = id.strip_prefix('<').unwrap().split_once('@').unwrap().0;
            return self.returned.came(token.unwrap().to_owned(), id, answer);
        }
        let token = message.header("Subject").unwrap();
        let domain = recipient.strip_prefix("bob@").unwrap();
        let text = format!("\r\n\r\nIt is {token} to {domain}.\r\n");
        assert!(message.text().ends_with(&text), "{}", message.text());
        assert_eq!(message.host, format!("mx.{domain}"));
        self.arrived.came(token, &queue_id(&message), answer);
    }

    /// Once the relay is gone: takes the last that came of it, and accounts for all that came in
    /// this round.
    async fn close(&mut self, round: usize, ending: Ending) {
        let tap = self.world.tap();
        let ended = tap.wait_until(PATIENCE, |connections| {
            connections.iter().all(|connection| connection.state == ConnectionState::Ended)
        });
        ended.await.unwrap();
        self.harvest();
        assert!(self.due.is_empty(), "an answer that is never given: {:?}", self.due);
        let log = self.log(round);
        let mut delivered = delivered(&log);
        let in_flight = self.arrived.close(round, ending, &mut delivered).unwrap()
            + self.returned.close(round, ending, &mut delivered).unwrap();
        assert!(in_flight <= CONCURRENCY, "{in_flight} were in flight in round {round}");
        assert!(delivered.is_empty(), "never taken, but delivered: {delivered:?}");
        fs::remove_file(log).unwrap();
    }

    /// The acknowledged tokens that have yet to arrive or to come back.
    fn missing(&self) -> Vec<String> {
        let journal = self.journal.lock().unwrap();
        let acknowledged = journal.iter().filter(|(_, (_, id))| id.is_some());
        let missing = acknowledged.filter(|(token, (to, _))| match self.destinations[*to].fate {
            Fate::Arrives => self.arrived.queue_id(token).is_none(),
            Fate::Returns => self.returned.queue_id(token).is_none(),
            Fate::Stays => false,
        });
        missing.map(|(token, _)| token.clone()).collect()
    }

    /// Waits until everything is where it must be; something must move in between.
    async fn settled(&mut self, process: &Process) {
        let (mut left, mut moved) = (usize::MAX, Instant::now());
        loop {
            self.harvest();
            let missing = self.missing();
            if missing.is_empty() && self.only_held_is_queued() {
                return;
            }
            if missing.len() != left {
                (left, moved) = (missing.len(), Instant::now());
            }
            let stuck = moved.elapsed() > 2 * PATIENCE;
            let some = &missing[..missing.len().min(3)];
            assert!(!stuck, "{left} are missing, as {some:?}\n{}", process.said());
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether the queue holds all that must stay there, and nothing else but what may: messages to
    /// the same domains whose acknowledgement was cut off.
    fn only_held_is_queued(&self) -> bool {
        let listed = process::run(&self.config, &["queue", "list", "--json"]);
        let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        let queued: BTreeSet<_> = listed.iter().map(|one| one["id"].as_str().unwrap()).collect();
        let journal = self.journal.lock().unwrap();
        let stays = journal.values().filter(|(to, _)| self.destinations[*to].fate == Fate::Stays);
        let (held, unsure): (Vec<_>, Vec<_>) = stays.partition(|(_, id)| id.is_some());
        let held: BTreeSet<_> = held.into_iter().flat_map(|(_, id)| id.as_deref()).collect();
        assert!(held.is_subset(&queued), "no longer held: {:?}", held.difference(&queued));
        queued.difference(&held).count() <= unsure.len()
    }

    /// Every message is at its place alone, under the name by which it was acknowledged. What was not
    /// acknowledged may be nowhere.
    fn nothing_else(&self) {
        let journal = self.journal.lock().unwrap();
        for (token, (to, id)) in journal.iter() {
            let (come, back) = (self.arrived.queue_id(token), self.returned.queue_id(token));
            let fate = self.destinations[*to].fate;
            let (here, there) = match fate {
                Fate::Arrives => (come.is_some(), back),
                Fate::Returns => (back.is_some(), come),
                Fate::Stays => (true, come.or(back)),
            };
            let came = here || id.is_none();
            assert!(came && there.is_none(), "{token}, {fate:?}: came {come:?}, returned {back:?}");
            let known = come.is_none() || id.is_none() || come == id.as_deref();
            assert!(known, "{token} was acknowledged as {id:?} and came as {come:?}");
        }
        let sent = |accounts: &Accounts| accounts.tokens().all(|token| journal.contains_key(token));
        assert!(sent(&self.arrived) && sent(&self.returned), "something came that nobody sent");
    }
}

/// The queue ids that a log tells of as delivered, each once.
fn delivered(log: &Path) -> HashSet<String> {
    let mut delivered = HashSet::new();
    for line in BufReader::new(File::open(log).unwrap()).split(b'\n') {
        // The last line may be cut off by the kill.
        let Ok(line) = serde_json::from_slice::<Value>(&line.unwrap()) else { continue };
        if line["message"] == "delivered" {
            let id = line["queue_id"].as_str().unwrap().to_owned();
            assert!(delivered.insert(id), "delivered twice: {line}");
        }
    }
    delivered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_or_returns_or_stays_though_domains_fail_and_the_relay_is_killed() {
    let messages: usize = given("STS_RELAY_SOAK_MESSAGES").unwrap_or(MESSAGES);
    let mut soak = Soak::new((messages / 10).clamp(40, 1_000), seed()).await;
    let rounds = (messages / 100).clamp(4, 40);
    for round in 0..rounds {
        soak.faults(Weather::Rough);
        let mut process = soak.start(round);
        drop(process.connected(soak.listener).await);
        let before = soak.acknowledged();
        let mut clients = soak.clients(round, messages / rounds);
        while soak.acknowledged() < before + messages / rounds / 2 && !clients.is_empty() {
            tokio::select! {
                _ended = clients.join_next() => {}
                () = sleep(Duration::from_millis(2)) => {}
            }
        }
        sleep(Duration::from_millis(soak.rng.random_range(0..300))).await;
        let ending = if round % 2 == 0 {
            // It is killed when it is dropped.
            drop(process);
            soak.kills += 1;
            Ending::Killed
        } else {
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
            assert!(process.terminate().await.success(), "{}", process.said());
            Ending::Stopped
        };
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        soak.close(round, ending).await;
    }
    soak.faults(Weather::Calm);
    let left = messages.saturating_sub(soak.acknowledged());
    let mut last = soak.start(rounds);
    drop(last.connected(soak.listener).await);
    let mut clients = soak.clients(rounds, left);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    soak.settled(&last).await;
    assert!(last.terminate().await.success(), "{}", last.said());
    soak.close(rounds, Ending::Stopped).await;
    soak.nothing_else();
    report(&soak, messages);
}

/// Tells the figures, and that there were any.
#[expect(clippy::print_stdout, reason = "a long run is asked for its figures")]
fn report(soak: &Soak, messages: usize) {
    assert_eq!(soak.acknowledged(), messages);
    let journal = soak.journal.lock().unwrap();
    let of = |fate| {
        let of_it = |(to, id): &&(usize, Option<String>)| {
            id.is_some() && soak.destinations[*to].fate == fate
        };
        journal.values().filter(of_it).count()
    };
    let (arrives, returns, stays) = (of(Fate::Arrives), of(Fate::Returns), of(Fate::Stays));
    assert!(arrives > 0 && returns > 0 && stays > 0, "{arrives} {returns} {stays}");
    let twice = |accounts: &Accounts| {
        let (unanswered, killed) = (accounts.after_no_answer, accounts.after_kill);
        format!("again: {unanswered} for want of an answer, {killed} in flight at a kill")
    };
    println!(
        "{messages} messages to {} domains, {} kills: {arrives} delivered ({}), {returns} returned \
         ({}), {stays} held",
        soak.destinations.len(),
        soak.kills,
        twice(&soak.arrived),
        twice(&soak.returned),
    );
}
