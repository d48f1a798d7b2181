//! `mta_sts::Policies` against the model: every decision, every fetch, everything that is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mta_sts::{
    CachedPolicy, Decision, Exception, Exceptions, FetchSettings, Fetcher, MxHost, NextHop,
    Policies, PolicyDomain, PolicySettings, PolicyStore, PrivateHosts, Purpose, Recheck, Refreshed,
    RequiredTls, Undecided,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use testbed::World;
use tokio::task::JoinSet;

use super::rfc::{Kept, Sender, Verdict};
use super::scenario::{File, HOSTS, Mode, Names, Published, Served, Txt, seconds};
use super::seeds;
use super::sky::{DOMAINS, Hosts, Sky, Store, Zone};

/// How many worlds the ordinary test runs.
const WORLDS: u64 = 2_000;

/// How often each of them changes.
const STEPS: usize = 20;

/// How many run at a time.
const AT_ONCE: u64 = 2;

/// When every world begins: 15 January 2027.
const START: u64 = 1_800_000_000;

/// How long policies may be good for; the last is more than is allowed.
const AGES: [u64; 4] = [600, seconds::DAY, 30 * seconds::DAY, 40_000_000];

/// What is asked for in one step.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// What becomes of a message that came in so many seconds ago.
    Decide(u64),
    /// What becomes of mail for an address literal.
    Literal,
    /// The last look, for mail that the domain's latest enforced policy kept back.
    Recheck,
    Refresh,
    /// What becomes of a report.
    Report,
}

/// One world, the sender in it and the model of the sender.
struct Play {
    hosts: Arc<Hosts>,
    random: StdRng,
    zone: Zone,
    store: Store,
    policies: Policies,
    /// Until when each domain's exception lasts.
    excepted: [Option<u64>; 2],
    /// What keeps mail back, for the last look.
    required: [Option<(RequiredTls, File)>; 2],
    model: [Sender; 2],
    now: u64,
    story: String,
    seen: BTreeMap<String, usize>,
}

impl Play {
    async fn new(hosts: Arc<Hosts>, seed: u64) -> Self {
        let published = Published { txt: Txt::Absent, served: Served::NoAddress };
        let sky = Sky { published: [published; 2], addresses: Default::default(), fetches: [0; 2] };
        let (zone, store) = (Zone(Arc::new(Mutex::new(sky))), Store::default());
        let policies = sender(&hosts, &zone, &store, &[None; 2], START);
        let mut play = Self {
            hosts,
            random: StdRng::seed_from_u64(seed),
            zone,
            store,
            policies,
            excepted: [None; 2],
            required: [None, None],
            model: [Sender::default(), Sender::default()],
            now: START,
            story: String::new(),
            seen: BTreeMap::new(),
        };
        for number in 0..DOMAINS.len() {
            let txt = Txt::Id(1);
            let served = Served::draw(&mut play.random, &AGES);
            play.publish(number, Published { txt, served }).await;
        }
        play
    }

    /// Plays to the end, or to the first step at which the sender does what the model does not.
    async fn run(mut self, seed: u64) -> Result<BTreeMap<String, usize>, String> {
        for step in 0..STEPS {
            let number = self.random.random_range(0..DOMAINS.len());
            self.change(number).await;
            let ask = self.draw_ask();
            let (is, should) = (self.ask(number, ask).await, self.expect(number, ask));
            writeln!(self.story, "{step}: {ask:?} of {}: {is:?}", DOMAINS[number]).unwrap();
            self.tell_apart(&is, &should).await.map_err(|difference| {
                format!("seed {seed}, step {step}: {difference}\n{}", self.story)
            })?;
            *self.seen.entry(label(&is)).or_default() += 1;
        }
        Ok(self.seen)
    }

    /// Something in the world becomes different.
    async fn change(&mut self, number: usize) {
        let published = self.zone.sky().published[number];
        match self.random.random_range(0..16) {
            0..=2 => {
                let txt = Txt::draw(&mut self.random);
                self.publish(number, Published { txt, ..published }).await;
            }
            3 | 4 => {
                let served = Served::draw(&mut self.random, &AGES);
                self.publish(number, Published { served, ..published }).await;
            }
            // As a domain that knows what it does: a new policy, and then a new id.
            5..=7 => {
                let served = Served::Policy(File::draw(&mut self.random, &AGES));
                let txt = Txt::Id(published.txt.id().unwrap_or_default() % 9 + 1);
                self.publish(number, Published { txt, served }).await;
            }
            8..=11 => {
                let (minute, hour, day) = (seconds::MINUTE, seconds::HOUR, seconds::DAY);
                let spans =
                    [1, 4 * minute, 5 * minute, 11 * minute, hour, day - 1, day, 2 * day, 31 * day];
                let span = *spans.choose(&mut self.random).unwrap();
                let span = if self.random.random_ratio(1, 30) { 400 * day } else { span };
                self.turn_clock(self.now + span);
            }
            12 => {
                let back = [30 * seconds::MINUTE, 2 * seconds::HOUR, 3 * seconds::DAY];
                let back = *back.choose(&mut self.random).unwrap();
                self.turn_clock(self.now - back);
            }
            13 | 14 => self.restart(number),
            _ if self.random.random_ratio(1, 4) => self.damage(number),
            _ => self.purge(number).await,
        }
    }

    async fn publish(&mut self, number: usize, published: Published) {
        writeln!(self.story, "{} publishes {published:?}", DOMAINS[number]).unwrap();
        let addresses = self.hosts.of(published.served).await;
        let mut sky = self.zone.sky();
        sky.published[number] = published;
        sky.addresses[number] = addresses;
    }

    fn turn_clock(&mut self, now: u64) {
        writeln!(self.story, "the clock goes from {} to {now}", self.now).unwrap();
        self.now = now;
    }

    /// The sender is stopped and started, perhaps with other exceptions.
    fn restart(&mut self, number: usize) {
        self.excepted[number] = self
            .random
            .random_bool(0.5)
            .then(|| self.now + self.random.random_range(0..29 * seconds::DAY));
        // The clock may have gone back: an exception that would last too long is refused.
        for until in &mut self.excepted {
            *until = until.filter(|until| *until <= self.now + 30 * seconds::DAY);
        }
        writeln!(self.story, "restart at {}, exceptions {:?}", self.now, self.excepted).unwrap();
        self.policies = sender(&self.hosts, &self.zone, &self.store, &self.excepted, self.now);
        self.model.iter_mut().for_each(Sender::restart);
    }

    /// What is kept becomes unreadable.
    fn damage(&mut self, number: usize) {
        if self.model[number].kept != Kept::Nothing {
            writeln!(self.story, "what is kept of {} is damaged", DOMAINS[number]).unwrap();
            self.store.0.lock().unwrap().insert(domain(number), b"nonsense".to_vec());
            self.model[number].kept = Kept::Damaged;
        }
    }

    async fn purge(&mut self, number: usize) {
        writeln!(self.story, "what is kept of {} is purged", DOMAINS[number]).unwrap();
        self.store.remove(&domain(number)).await.unwrap();
        self.model[number].kept = Kept::Nothing;
    }

    fn draw_ask(&mut self) -> Ask {
        match self.random.random_range(0..24) {
            0 => Ask::Literal,
            1 => Ask::Report,
            2..=4 => Ask::Refresh,
            5 | 6 => Ask::Recheck,
            7 | 8 => Ask::Decide(seconds::HOUR),
            _ => Ask::Decide(self.random.random_range(0..40 * seconds::MINUTE)),
        }
    }

    /// What the sender does.
    async fn ask(&mut self, number: usize, ask: Ask) -> Option<Verdict> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.now);
        let hop = NextHop::Domain(domain(number));
        let fresh = Purpose::Delivery { queued_for: Duration::ZERO };
        let decided = match ask {
            Ask::Decide(age) => {
                let purpose = Purpose::Delivery { queued_for: Duration::from_secs(age) };
                self.policies.decide(&hop, purpose, now).await
            }
            Ask::Literal => {
                let literal = NextHop::Literal(IpAddr::from([192, 0, 2, 1]));
                self.policies.decide(&literal, fresh, now).await
            }
            Ask::Report => self.policies.decide(&hop, Purpose::TlsReport, now).await,
            Ask::Refresh => {
                return Some(match self.policies.refresh(&domain(number), now).await {
                    Ok(refreshed) => Verdict::Refreshed(what_came_of(&refreshed)),
                    Err(undecided) => Verdict::Undecided(undecided.label()),
                });
            }
            Ask::Recheck => {
                let (required, _) = self.required[number].as_ref()?;
                return Some(match self.policies.recheck(required, now).await {
                    Ok(Recheck::Confirmed(_)) => Verdict::Confirmed,
                    Ok(Recheck::Changed(_)) => Verdict::Changed,
                    Err(undecided) => Verdict::Undecided(undecided.label()),
                });
            }
        };
        Some(self.note(number, decided))
    }

    /// The sender's decision in the model's words; what it requires is kept for a last look.
    fn note(&mut self, number: usize, decided: Result<Decision, Undecided>) -> Verdict {
        match decided {
            Ok(Decision::Require(required)) => {
                let admits = |host: &str| required.admit(MxHost::parse(host).unwrap()).is_ok();
                let (id, named) = (required.id().as_str().parse().unwrap(), HOSTS.map(admits));
                let names = Names::of(named);
                let max_age = required.policy().max_age().as_secs();
                let file = File { mode: Mode::Enforce, names, max_age };
                self.required[number] = Some((required, file));
                Verdict::Require { id, named }
            }
            Ok(Decision::Permit(fallback)) => Verdict::Permit(fallback.why().label()),
            Err(undecided) => Verdict::Undecided(undecided.label()),
        }
    }

    /// What the model does.
    fn expect(&mut self, number: usize, ask: Ask) -> Option<Verdict> {
        let (published, now) = (self.zone.sky().published[number], self.now);
        // One that ends later than any may was set before the clock went back.
        let excepted = self.excepted[number].filter(|until| *until <= now + 31 * seconds::DAY);
        let model = &mut self.model[number];
        Some(match ask {
            Ask::Decide(age) => model.decide(&published, now, age, excepted),
            Ask::Literal => Verdict::Permit("address-literal"),
            Ask::Report => Verdict::Permit("tls-report"),
            Ask::Refresh => model.refresh(&published, now),
            Ask::Recheck => {
                let (_, file) = self.required[number].as_ref()?;
                model.recheck(&published, now, *file)
            }
        })
    }

    /// The first difference between the sender and the model, in both domains.
    async fn tell_apart(
        &self,
        is: &Option<Verdict>,
        should: &Option<Verdict>,
    ) -> Result<(), String> {
        let same = |what: &str, is: String, should: String| match is == should {
            true => Ok(()),
            false => Err(format!("{what}: is {is}, should be {should}")),
        };
        same("verdict", format!("{is:?}"), format!("{should:?}"))?;
        for (number, model) in self.model.iter().enumerate() {
            let fetches = self.zone.sky().fetches[number];
            same(&format!("fetches of {number}"), fetches.to_string(), model.fetches.to_string())?;
            let is = match self.store.find(&domain(number)).await {
                Ok(Some(cached)) => describe(&cached),
                Ok(None) => "nothing".to_owned(),
                Err(_) => "damaged".to_owned(),
            };
            same(&format!("what is kept of {number}"), is, describe_model(&model.kept))?;
        }
        Ok(())
    }
}

/// The parts of what is kept that anything depends on.
fn describe(cached: &CachedPolicy) -> String {
    let fetched = cached.fetched_at().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (id, policy) = (cached.id(), cached.policy());
    let failures = cached.trouble().map_or(0, |trouble| trouble.failures);
    format!("{id} {} of {fetched}, {failures} failures", policy.mode())
}

fn describe_model(kept: &Kept) -> String {
    match kept {
        Kept::Damaged => "damaged".to_owned(),
        Kept::Nothing => "nothing".to_owned(),
        Kept::Policy(cached) => {
            let mode = format!("{:?}", cached.file.mode).to_lowercase();
            // That a withdrawn policy cannot be fetched any more is no trouble (§3.3, §8.3).
            let failures = if cached.file.mode == Mode::None { 0 } else { cached.failures };
            format!("{} {mode} of {}, {failures} failures", cached.id, cached.fetched)
        }
    }
}

const fn what_came_of(refreshed: &Refreshed) -> &'static str {
    match refreshed {
        Refreshed::Failed { .. } => "failed",
        Refreshed::Forgotten => "forgotten",
        Refreshed::NotCached => "not cached",
        Refreshed::Renewed(_) => "renewed",
    }
}

fn label(verdict: &Option<Verdict>) -> String {
    match verdict {
        None => "nothing asked".to_owned(),
        Some(Verdict::Require { .. }) => "require".to_owned(),
        Some(Verdict::Permit(why)) => format!("permit: {why}"),
        Some(Verdict::Undecided(why)) => format!("undecided: {why}"),
        Some(Verdict::Confirmed) => "confirmed".to_owned(),
        Some(Verdict::Changed) => "changed".to_owned(),
        Some(Verdict::Refreshed(what)) => format!("refresh: {what}"),
    }
}

fn domain(number: usize) -> PolicyDomain {
    PolicyDomain::parse(DOMAINS[number]).unwrap()
}

/// A sender with nothing in memory.
fn sender(
    hosts: &Hosts,
    zone: &Zone,
    store: &Store,
    excepted: &[Option<u64>; 2],
    now: u64,
) -> Policies {
    let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let exceptions = excepted.iter().enumerate().filter_map(|(number, until)| {
        Exception::new(domain(number), time((*until)?), "agreed", time(now)).ok()
    });
    let exceptions: Exceptions = exceptions.collect();
    let fetcher = Fetcher::new(FetchSettings {
        port: hosts.world.https_port(),
        private_hosts: PrivateHosts::Allowed,
        ..FetchSettings::new(Arc::new(hosts.world.authority().roots()))
    });
    Policies::new(
        PolicySettings { exceptions, ..PolicySettings::default() },
        Arc::new(zone.clone()),
        Arc::new(store.clone()),
        fetcher.unwrap(),
    )
}

/// Everything that can come of a step; each is to be seen in an ordinary run.
const LABELS: [&str; 17] = [
    "changed",
    "confirmed",
    "nothing asked",
    "permit: address-literal",
    "permit: exception",
    "permit: mode-none",
    "permit: mode-testing",
    "permit: no-policy",
    "permit: tls-report",
    "permit: undecided-too-long",
    "refresh: failed",
    "refresh: forgotten",
    "refresh: not cached",
    "refresh: renewed",
    "require",
    "undecided: cache-unreadable",
    "undecided: names-failed",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_policies_are_found_kept_and_obeyed_as_rfc_8461_says() {
    let known = tokio::sync::Mutex::default();
    let hosts = Arc::new(Hosts { world: World::new().await, known });
    let seeds = seeds(WORLDS);
    let mut running = JoinSet::new();
    for part in 0..AT_ONCE {
        let (hosts, seeds) = (Arc::clone(&hosts), seeds.clone());
        running.spawn(async move {
            let mut seen = BTreeMap::<String, usize>::new();
            for seed in seeds.filter(|seed| seed % AT_ONCE == part) {
                let play = Play::new(Arc::clone(&hosts), seed).await;
                for (label, count) in Box::pin(play.run(seed)).await? {
                    *seen.entry(label).or_default() += count;
                }
            }
            Ok::<_, String>(seen)
        });
    }
    let mut seen = BTreeMap::<String, usize>::new();
    while let Some(ended) = running.join_next().await {
        match ended.unwrap() {
            Ok(part) => part.into_iter().for_each(|(label, count)| {
                *seen.entry(label).or_default() += count;
            }),
            Err(difference) => panic!("{difference}"),
        }
    }
    if seeds.end - seeds.start >= WORLDS {
        assert_eq!(seen.keys().collect::<Vec<_>>(), LABELS, "{seen:?}");
    }
}
