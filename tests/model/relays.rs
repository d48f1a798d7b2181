//! Whole relays against the model: what becomes of mail, with a tap on the wire.
//!
//! Each world has a domain with two MX hosts and one message at a time. Held mail is tried again
//! when the clock has passed on, by nobody's call, and leaves when the model says that it may.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clock::Clock as _;
use queue::QueueId;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use testbed::{Certificate, Fault, MxBehaviour, MxHost, PolicyHost, RecordType, Strip};
use tokio::task::JoinSet;

use super::rfc::{Sender, Verdict};
use super::scenario::{File, HOSTS, Published, Served, Txt, seconds};
use super::seeds;
use crate::world::RelayInWorld;

/// How many worlds the ordinary test runs.
const WORLDS: u64 = 32;

/// How often each of them changes.
const STEPS: usize = 10;

/// How many run at a time.
const AT_ONCE: u64 = 4;

/// The domain of every world.
const DOMAIN: &str = "example.test";

/// How long policies may be good for.
const AGES: [u64; 3] = [seconds::DAY, 3 * seconds::DAY, 30 * seconds::DAY];

/// What an MX host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mx {
    Expired,
    Gone,
    NotOffered,
    Refused,
    SelfSigned,
    Stripped,
    Valid,
    WrongName,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Held,
    /// By this one of the MX hosts.
    Taken(usize),
}

/// Which attempt for a message is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    First,
    Further,
}

impl Mx {
    fn draw(random: &mut StdRng) -> Self {
        let all = [
            Self::Expired,
            Self::Gone,
            Self::NotOffered,
            Self::Refused,
            Self::SelfSigned,
            Self::Stripped,
            Self::Valid,
            Self::Valid,
            Self::Valid,
            Self::Valid,
            Self::WrongName,
        ];
        *all.choose(random).unwrap()
    }

    fn behaviour(self) -> MxBehaviour {
        match self {
            Self::Expired => MxBehaviour::presenting(Certificate::Expired),
            Self::NotOffered => MxBehaviour::starttls_not_offered(),
            Self::Refused => MxBehaviour::starttls_refused("454 4.7.0 not now"),
            Self::SelfSigned => MxBehaviour::presenting(Certificate::SelfSigned),
            Self::Stripped => MxBehaviour::stripped_by(Strip::Remove),
            Self::Gone | Self::Valid => MxBehaviour::valid(),
            Self::WrongName => MxBehaviour::presenting(Certificate::WrongName),
        }
    }
}

/// One world, the relay in it and the model of the relay.
struct Play {
    relay: RelayInWorld,
    random: StdRng,
    hosts: [MxHost; 2],
    kinds: [Mx; 2],
    policy_host: PolicyHost,
    published: Published,
    exception: Option<u64>,
    /// The states that the model may be in.
    senders: Vec<Sender>,
    turn: Turn,
    pending: Option<Pending>,
    story: String,
    seen: BTreeMap<String, usize>,
}

/// A message that is held.
#[derive(Clone, Copy, Debug)]
struct Pending {
    id: QueueId,
    since: u64,
    attempts: u32,
}

impl Play {
    async fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        // Every message is judged by itself: what became of the one before must not matter.
        let mut settings = "delivery.lifetime = \"60d\"\n\
             delivery.connection_idle = \"0s\"\n\
             delivery.dead_host_memory = \"0s\"\n"
            .to_owned();
        // The clock begins on 1 January 2030.
        let days = random.random_ratio(1, 4).then(|| random.random_range(1..6));
        if let Some(days) = days {
            let day = days + 1;
            writeln!(
                settings,
                "exception = [{{ domain = \"{DOMAIN}\", until = 2030-01-0{day}, reason = \"agreed\" }}]"
            )
            .unwrap();
        }
        let relay = RelayInWorld::start_with(&settings).await;
        relay.policies_refreshed().await;
        let start = unix(relay.clock.now());
        let world = &relay.world;
        let hosts = [
            world.mx(HOSTS[0], MxBehaviour::valid()).await,
            world.mx(HOSTS[1], MxBehaviour::valid()).await,
        ];
        world.domain(DOMAIN).mx(10, &hosts[0]).mx(20, &hosts[1]);
        let served = Served::draw(&mut random, &AGES);
        let policy_host = world.policy_host(DOMAIN, testbed::PolicyBehaviour::status(404)).await;
        let mut play = Self {
            relay,
            random,
            hosts,
            kinds: [Mx::Valid; 2],
            policy_host,
            published: Published { txt: Txt::Absent, served: Served::NoAddress },
            exception: days.map(|days| start + days * seconds::DAY),
            senders: vec![Sender::default()],
            pending: None,
            turn: Turn::First,
            story: format!("exception for {days:?} days\n"),
            seen: BTreeMap::new(),
        };
        play.publish(Published { txt: Txt::Id(1), served });
        play
    }

    fn now(&self) -> u64 {
        unix(self.relay.clock.now())
    }

    async fn run(mut self, seed: u64) -> Result<BTreeMap<String, usize>, String> {
        for step in 0..STEPS {
            self.relay.world.tap().forget();
            self.relay.world.forget_messages();
            self.change().await;
            let pending = self.begin().await;
            let is = self.fate(pending).await;
            let age = self.now() - pending.since;
            let verdict = self.judge(is, age).map_err(|expected| {
                let story = self.relay.story();
                format!("seed {seed}, step {step}: {is:?}\n{}{expected}{story}", self.story)
            })?;
            writeln!(self.story, "{step}: {verdict:?}, {:?}: {is:?}", self.kinds).unwrap();
            *self.seen.entry(label(&verdict, is)).or_default() += 1;
        }
        self.relay.is_well_behaved();
        self.relay.stop().await;
        Ok(self.seen)
    }

    /// Which verdict has led to this; it is to be one that the model comes to.
    fn judge(&mut self, is: Fate, age: u64) -> Result<Verdict, String> {
        let (published, now, exception) = (self.published, self.now(), self.exception);
        let (mut verdicts, mut expected) = (Vec::new(), String::new());
        for mut sender in self.senders.clone() {
            let verdict = sender.decide(&published, now, age, exception);
            let should = self.expected(&verdict);
            match self.promised(&verdict) {
                Ok(()) if should.contains(&is) => verdicts.push((verdict, sender)),
                Ok(()) => writeln!(expected, "{verdict:?}: {should:?} expected").unwrap(),
                Err(fault) => writeln!(expected, "{verdict:?}: {fault}").unwrap(),
            }
        }
        let (first, _) = verdicts.first().ok_or(expected)?;
        let verdict = first.clone();
        self.senders = verdicts.into_iter().map(|(_, sender)| sender).collect();
        Ok(verdict)
    }

    /// Something in the world becomes different, while nothing is tried.
    async fn change(&mut self) {
        match self.random.random_range(0..10) {
            0 | 1 => {
                // Waiting for what is not answered takes real time.
                let txt = Txt::draw(&mut self.random);
                let txt = if txt == Txt::TimedOut { Txt::ServFail } else { txt };
                self.publish(Published { txt, ..self.published });
            }
            2 => {
                let served = Served::draw(&mut self.random, &AGES);
                self.publish(Published { served, ..self.published });
            }
            3..=5 => {
                let served = Served::Policy(File::draw(&mut self.random, &AGES));
                let txt = Txt::Id(self.published.txt.id().unwrap_or_default() % 9 + 1);
                self.publish(Published { txt, served });
            }
            6 | 7 => self.restart().await,
            _ => {}
        }
        for number in 0..self.hosts.len() {
            if self.random.random_ratio(1, 2) {
                let kind = Mx::draw(&mut self.random);
                self.turn(number, kind).await;
            }
        }
    }

    fn publish(&mut self, published: Published) {
        writeln!(self.story, "published: {published:?}").unwrap();
        self.published = published;
        let names = self.relay.world.names();
        let record = format!("_mta-sts.{DOMAIN}");
        names.mend(&record);
        names.remove(&record, RecordType::Txt);
        for text in published.txt.records() {
            names.add_txt(&record, &text);
        }
        if published.txt == Txt::ServFail {
            names.fail(&record, Fault::ServFail);
        }
        let host = format!("mta-sts.{DOMAIN}");
        names.mend(&host);
        names.remove_all(&host);
        match published.served.behaviour(std::slice::from_ref(&host)) {
            Some(behaviour) => {
                self.policy_host.behave(behaviour);
                names.add_address(&host, self.policy_host.address().ip());
            }
            None if published.served == Served::Unreachable => {
                names.add_address(&host, self.relay.world.address());
            }
            None if published.served == Served::NoAnswerFromDns => {
                names.fail(&host, Fault::ServFail);
            }
            None => {}
        }
    }

    async fn turn(&mut self, number: usize, kind: Mx) {
        if self.kinds[number] == Mx::Gone && kind != Mx::Gone {
            self.hosts[number].open().await.unwrap();
        }
        if self.kinds[number] != Mx::Gone && kind == Mx::Gone {
            self.hosts[number].close().await;
        }
        self.hosts[number].behave(kind.behaviour());
        self.kinds[number] = kind;
    }

    /// The relay is stopped and started. What is due is refreshed then, before anything changes;
    /// whether it is due is the relay's choice, so the model is in both states afterwards.
    async fn restart(&mut self) {
        writeln!(self.story, "restart at {}", self.now()).unwrap();
        self.relay.restart().await;
        self.relay.policies_refreshed().await;
        self.senders.iter_mut().for_each(Sender::restart);
        for mut sender in self.senders.clone() {
            let _verdict = sender.refresh(&self.published, self.now());
            self.senders.push(sender);
        }
        self.senders.dedup();
    }

    /// A message is handed in, or the one that is held becomes due.
    async fn begin(&mut self) -> Pending {
        self.turn = if self.pending.is_some() { Turn::Further } else { Turn::First };
        if let Some(pending) = self.pending {
            // Longer than between any two attempts.
            let hours = self.random.random_range(5..40);
            writeln!(self.story, "{hours} hours pass").unwrap();
            self.relay.pass(Duration::from_secs(hours * seconds::HOUR)).await;
            return pending;
        }
        let minutes = [0, 1, 4, 6, 20, 60, 600, 1440, 2000];
        let minutes = *minutes.choose(&mut self.random).unwrap();
        let span = minutes * seconds::MINUTE + self.random.random_range(0..50);
        writeln!(self.story, "{span} seconds pass").unwrap();
        self.relay.clock.advance(Duration::from_secs(span));
        let id = self.relay.submit(&[&format!("<bob@{DOMAIN}>")]).await;
        Pending { id, since: self.now(), attempts: 0 }
    }

    /// Waits until the message has left or is held and not due.
    async fn fate(&mut self, pending: Pending) -> Fate {
        let now = self.relay.clock.now();
        let attempts = self
            .relay
            .until("an attempt", || {
                let Some(details) = self.relay.show(pending.id) else { return Some(None) };
                let entry = details.entries.first()?;
                let tried = entry.attempts > pending.attempts;
                let rests = entry.next_attempt.is_some_and(|next| next > now);
                (tried && rests).then_some(Some(entry.attempts))
            })
            .await;
        self.pending = attempts.map(|attempts| Pending { attempts, ..pending });
        if attempts.is_some() {
            return Fate::Held;
        }
        let took = |host: &MxHost| !host.messages().is_empty();
        let takers: Vec<_> = (0..self.hosts.len()).filter(|one| took(&self.hosts[*one])).collect();
        assert_eq!(takers.len(), 1, "{}\n{}", self.story, self.relay.story());
        Fate::Taken(takers[0])
    }

    /// What the verdict makes of the message, with the hosts as they are (RFC 8461 §5, RFC 5321
    /// §5.1): the first that may have it. A further attempt may begin with one that has not failed.
    fn expected(&self, verdict: &Verdict) -> Vec<Fate> {
        let may = |number: &usize| match verdict {
            Verdict::Require { named, .. } => named[*number] && self.kinds[*number] == Mx::Valid,
            Verdict::Permit(_) => self.kinds[*number] != Mx::Gone,
            Verdict::Changed
            | Verdict::Confirmed
            | Verdict::Refreshed(_)
            | Verdict::Undecided(_) => false,
        };
        let mut takers: Vec<_> = (0..self.hosts.len()).filter(may).map(Fate::Taken).collect();
        if self.turn == Turn::First {
            takers.truncate(1);
        }
        if takers.is_empty() { vec![Fate::Held] } else { takers }
    }

    /// What no verdict may be broken by, as the tap has it.
    fn promised(&self, verdict: &Verdict) -> Result<(), String> {
        let tap = self.relay.world.tap();
        let holds = |what: &str, holds: bool| match holds {
            true => Ok(()),
            false => Err(format!("{what}\n{tap}")),
        };
        match verdict {
            Verdict::Require { named, .. } => {
                holds("envelope in clear", tap.envelope_in_clear().is_empty())?;
                for (number, host) in self.hosts.iter().enumerate() {
                    let connections = tap.connections_to(host.name());
                    holds("an unnamed host called on", named[number] || connections.is_empty())?;
                    let proves = self.kinds[number] == Mx::Valid;
                    let silent = connections.iter().all(|one| one.envelope().is_empty());
                    holds("envelope to a host without proof", proves || silent)?;
                }
                Ok(())
            }
            Verdict::Permit(_) => Ok(()),
            Verdict::Changed
            | Verdict::Confirmed
            | Verdict::Refreshed(_)
            | Verdict::Undecided(_) => holds("a host called on", tap.connections().is_empty()),
        }
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn label(verdict: &Verdict, fate: Fate) -> String {
    let what = match verdict {
        Verdict::Require { .. } => "require",
        Verdict::Permit(why) | Verdict::Undecided(why) | Verdict::Refreshed(why) => why,
        Verdict::Confirmed => "confirmed",
        Verdict::Changed => "changed",
    };
    format!("{what}: {fate:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_mail_leaves_or_waits_as_rfc_8461_says() {
    let seeds = seeds(WORLDS);
    let mut running = JoinSet::new();
    for part in 0..AT_ONCE {
        let seeds = seeds.clone();
        running.spawn(async move {
            let mut seen = BTreeMap::<String, usize>::new();
            for seed in seeds.filter(|seed| seed % AT_ONCE == part) {
                let play = Box::pin(Play::new(seed)).await;
                for (label, count) in Box::pin(play.run(seed)).await? {
                    *seen.entry(label).or_default() += count;
                }
            }
            Ok::<_, String>(seen)
        });
    }
    let mut seen = BTreeMap::<String, usize>::new();
    while let Some(ended) = running.join_next().await {
        let difference = match ended {
            Ok(Ok(part)) => {
                part.into_iter().for_each(|(label, count)| {
                    *seen.entry(label).or_default() += count;
                });
                continue;
            }
            Ok(Err(difference)) => difference,
            Err(ended) => ended.to_string(),
        };
        // The other relays have to be stopped while there is a runtime to stop them in.
        running.shutdown().await;
        panic!("{difference}");
    }
    if seeds.end - seeds.start >= WORLDS {
        for label in
            ["require: Held", "require: Taken(0)", "require: Taken(1)", "exception: Taken(0)"]
        {
            assert!(seen.contains_key(label), "{label} was never seen: {seen:?}");
        }
    }
}
