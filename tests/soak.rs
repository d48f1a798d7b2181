//! Mail to many domains that fail in every way, through a relay that is stopped and killed again and
//! again: at the end every message is where it must be.
//!
//! Each domain has a fate. What goes to one that can take mail arrives, once; what goes to one that
//! refuses comes back to its sender, once; what goes to one that cannot prove itself under an
//! enforced policy stays in the queue. A message may come twice only where nobody can know better:
//! the answer to its final dot was lost, or the relay was killed with it in flight.
//!
//! `STS_RELAY_SOAK_MESSAGES=100000` makes a long run of it, to 1,000 domains.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use testbed::{
    Act, Certificate, Fault, Message, MxBehaviour, MxHost, PolicyText, RecordType, Sender, Step,
    World,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::durability::{given, seed};
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
    /// How many answers to a final dot may have been lost here.
    unanswered: usize,
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
    /// How often each token has arrived, and come back.
    arrived: HashMap<String, usize>,
    returned: HashMap<String, usize>,
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

/// A fault that passes; and how many answers to a final dot it may cost.
fn passing(policy: Policy, rng: &mut StdRng) -> (MxBehaviour, usize) {
    let times = rng.random_range(1..=3);
    let valid = MxBehaviour::valid();
    match rng.random_range(0..10) {
        0..2 => (valid, 0),
        2 => (MxBehaviour::greylisting(), 0),
        3 if policy == Policy::Enforced => (unproven(rng.random_range(0..4)), 0),
        3..6 => {
            let steps = [Step::MailFrom, Step::RcptTo, Step::Data, Step::EndOfData, Step::Starttls];
            (valid.first(times, *steps.choose(rng).unwrap(), "451 4.3.0 later"), 0)
        }
        6 => (valid.first(times, Step::Taken, Act::Drop), times),
        7 => (valid.first(times, Step::Greeting, Act::ReplyAndDrop("421 4.3.2 full".into())), 0),
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
            (valid.first(times, *steps.choose(rng).unwrap(), Act::Drop), 0)
        }
    }
}

impl Soak {
    async fn new(domains: usize, seed: u64) -> Self {
        let world = World::new().await;
        world.names().keep_for(Duration::from_secs(1));
        let mut destinations = Vec::new();
        for number in 0..domains {
            let (fate, policy, behaviour) = lasting(number);
            let domain = format!("d{number}.test");
            let mx = world.mx(&format!("mx.{domain}"), behaviour).await;
            let setup = world.domain(&domain).mx(10, &mx);
            if policy == Policy::Enforced {
                setup.sts("1").policy(PolicyText::enforce([mx.name()])).await;
            }
            destinations.push(Destination { domain, fate, policy, mx, unanswered: 0 });
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
            arrived: HashMap::new(),
            returned: HashMap::new(),
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
            let (behaviour, unanswered) = passing(destination.policy, rng);
            destination.mx.behave(behaviour);
            destination.unanswered += unanswered;
            match rng.random_range(0..10) {
                0 => names.fail_type(&destination.domain, RecordType::Mx, Fault::ServFail),
                1 => names.fail(&sts, Fault::ServFail),
                _ => {}
            }
        }
    }

    fn start(&self, round: usize) -> Process {
        Process::start(&self.config, self.world.directory().join(format!("log-{round}")))
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
                    let message = format!("Subject: {token}\r\n\r\nIt is {token}.\r\n");
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

    /// Counts what has come so far, holds it against the promise, and forgets it.
    fn harvest(&mut self) {
        assert_eq!(self.world.tap().violations(), Vec::<String>::new());
        let enforced: BTreeSet<_> = self
            .destinations
            .iter()
            .filter(|one| one.policy == Policy::Enforced)
            .map(|one| one.mx.name())
            .collect();
        for command in self.world.tap().envelope_in_clear() {
            let host = &command.host;
            assert!(!enforced.contains(host.as_str()), "in clear at {host}: {command:?}");
        }
        self.world.tap().forget();
        for message in self.world.forget_messages() {
            self.count(&message);
        }
    }

    fn count(&mut self, message: &Message) {
        assert_eq!(message.recipients.len(), 1, "{message:?}");
        let recipient = &message.recipients[0];
        if message.host == "mx.sender.test" {
            assert_eq!(message.reverse_path, "", "only notifications go there");
            let token = recipient.strip_prefix("ann+").unwrap().strip_suffix("@sender.test");
            *self.returned.entry(token.unwrap().to_owned()).or_default() += 1;
            return;
        }
        let token = message.header("Subject").unwrap();
        assert!(message.text().ends_with(&format!("It is {token}.\r\n")), "{}", message.text());
        assert_eq!(message.host, format!("mx.{}", recipient.strip_prefix("bob@").unwrap()));
        *self.arrived.entry(token).or_default() += 1;
    }

    /// The acknowledged tokens that have yet to arrive or to come back.
    fn missing(&self) -> Vec<String> {
        let journal = self.journal.lock().unwrap();
        let acknowledged = journal.iter().filter(|(_, (_, id))| id.is_some());
        let missing = acknowledged.filter(|(token, (to, _))| match self.destinations[*to].fate {
            Fate::Arrives => !self.arrived.contains_key(*token),
            Fate::Returns => !self.returned.contains_key(*token),
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

    /// Nothing was both, or at the wrong place, or twice without need.
    fn nothing_else(&self) {
        let mut unexplained = 0;
        let mut again: HashMap<usize, usize> = HashMap::new();
        let journal = self.journal.lock().unwrap();
        for (token, (to, id)) in journal.iter() {
            let come = self.arrived.get(token).copied().unwrap_or_default();
            let back = self.returned.get(token).copied().unwrap_or_default();
            let fate = self.destinations[*to].fate;
            let (here, there) = match fate {
                Fate::Arrives => (come, back),
                Fate::Returns => (back, come),
                Fate::Stays => (1, come + back),
            };
            let came = here >= 1 || id.is_none();
            assert!(came && there == 0, "{token}, {fate:?}: came {come}, returned {back}");
            match fate {
                Fate::Arrives => *again.entry(*to).or_default() += here.saturating_sub(1),
                Fate::Returns | Fate::Stays => unexplained += here.saturating_sub(1),
            }
        }
        for (to, again) in again {
            unexplained += again.saturating_sub(self.destinations[to].unanswered);
        }
        let most = self.kills * CONCURRENCY;
        assert!(unexplained <= most, "{unexplained} came twice; {most} were in flight at kills");
    }
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
        if round % 2 == 0 {
            drop(process.kill());
            soak.kills += 1;
        } else {
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
            assert!(process.terminate().await.success(), "{}", process.said());
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        soak.harvest();
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
    soak.harvest();
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
    let copies: usize = soak.arrived.values().sum();
    println!(
        "{messages} messages to {} domains, {} kills: {arrives} delivered ({} copies more), {returns} \
         returned ({} copies more), {stays} held",
        soak.destinations.len(),
        soak.kills,
        copies - soak.arrived.len(),
        soak.returned.values().sum::<usize>() - soak.returned.len(),
    );
}
