//! What is counted is kept, for whom it is counted, and when it is written.

use std::sync::Mutex;

use async_trait::async_trait;
use clock::SetClock;
use dns::{Canonical, LookupError, Mx, Records as Found, Security, TlsaData, Txt, Validation};
use smtp::Domain;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tls_rpt::{DOMAINS_MAX, DomainTally, FailureDetail, ObservedPolicy, ResultType};
use tokio::sync::Semaphore;
use tokio::time::advance;

use super::*;

/// Names of which some have a record, and of which others are not answered.
#[derive(Debug)]
struct Names {
    asked: Mutex<Vec<String>>,
    /// Answers that others than those with a record get.
    answers: Semaphore,
}

impl Default for Names {
    fn default() -> Self {
        Self { asked: Mutex::default(), answers: Semaphore::new(0) }
    }
}

#[async_trait]
impl Dns for Names {
    fn validation(&self) -> Validation {
        Validation::Inactive
    }

    async fn cname(&self, _host: &Domain) -> Result<dns::Lookup<Canonical>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn mx(&self, _domain: &Domain) -> Result<dns::Lookup<Mx>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn addresses(
        &self,
        _host: &Domain,
    ) -> Result<dns::Lookup<std::net::IpAddr>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn txt(&self, name: &str) -> Result<dns::Lookup<Txt>, LookupError> {
        self.asked.lock().unwrap().push(name.to_owned());
        if name.contains("silent") {
            self.answers.acquire().await.unwrap().forget();
            return Err(LookupError::TimedOut);
        }
        if name.contains("absent") {
            self.answers.acquire().await.unwrap().forget();
            return Ok(dns::Lookup::NxDomain(Security::Insecure));
        }
        let records = vec![b"v=TLSRPTv1; rua=mailto:tls@example.org".to_vec()];
        let (security, valid_for) = (Security::Insecure, Duration::from_secs(300));
        Ok(dns::Lookup::Found(Found { records, security, canonical: None, valid_for }))
    }

    async fn tlsa(&self, _host: &Domain, _port: u16) -> Result<dns::Lookup<TlsaData>, LookupError> {
        Err(LookupError::TimedOut)
    }
}

/// What an observer was told.
#[derive(Debug, Default)]
struct Told {
    domains: Mutex<usize>,
    dropped: Mutex<Vec<(DropReason, u64)>>,
}

impl CountingObserver for Told {
    fn counting(&self, domains: usize) {
        *self.domains.lock().unwrap() = domains;
    }

    fn dropped(&self, reason: DropReason, sessions: u64) {
        self.dropped.lock().unwrap().push((reason, sessions));
    }
}

/// A store, and somebody who counts into it.
struct Rig {
    store: Arc<dyn Store>,
    clock: Arc<SetClock>,
    names: Arc<Names>,
    told: Arc<Told>,
    counter: Counter,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    directory: TempDir,
}

impl Rig {
    fn start(at: &str) -> Self {
        let clock = SetClock::new(day(at).begins() + Duration::from_secs(12 * 60 * 60));
        Self::start_in(TempDir::new().unwrap(), Arc::new(clock))
    }

    fn start_in(directory: TempDir, clock: Arc<SetClock>) -> Self {
        let settings = StoreSettings::new(directory.path());
        let own: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let store: Arc<dyn Store> = Arc::new(Embedded::open(settings, Arc::clone(&own)).unwrap());
        let (names, told) = (Arc::<Names>::default(), Arc::<Told>::default());
        let observer: Arc<dyn CountingObserver> = Arc::<Told>::clone(&told);
        let dns: Arc<dyn Dns> = Arc::<Names>::clone(&names);
        let (counter, counting) = counting(&store, dns, own, observer);
        counter.turn(Reports::Made);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(counting.run(stop.clone()));
        Self { store, clock, names, told, counter, stop, tasks, directory }
    }

    /// Lets time pass, for the counting and for the clock.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            advance(Duration::from_secs(1)).await;
            settle().await;
        }
    }

    /// Ends the counting in order, and opens the store again.
    async fn restart(mut self) -> Self {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.store.close().await;
        Self::start_in(self.directory, self.clock)
    }

    /// Ends the counting as a process ends that is killed.
    async fn kill(mut self) -> Self {
        self.tasks.shutdown().await;
        self.store.close().await;
        Self::start_in(self.directory, self.clock)
    }

    /// Waits until so many sessions with hosts of a domain are kept of a day.
    async fn keeps(&self, at: &str, name: &str, expected: u64) {
        let mut kept = None;
        for _ in 0..500 {
            let tally = Tallies::new(&self.store).read(day(at), &domain(name)).await.unwrap();
            kept = Some(tally.as_ref().map_or(0, sessions));
            if kept == Some(expected) {
                return;
            }
            advance(Duration::from_secs(1)).await;
            settle().await;
        }
        panic!("{kept:?} sessions with {name} are kept, not {expected}");
    }
}

/// Lets everything happen that needs no more time; what goes to a disk takes real time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(4))).await.unwrap();
    tokio::task::yield_now().await;
}

fn sessions(tally: &DomainTally) -> u64 {
    tally.rows().map(|(_row, sessions)| sessions).sum()
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn observed(name: &str) -> Observation {
    let failure = Some(FailureDetail::new(ResultType::StarttlsNotSupported));
    Observation { domain: Some(domain(name)), policy: ObservedPolicy::None, failure }
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_is_in_the_store_within_five_seconds_and_after_a_stop() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&observed("a.example"));
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 2).await;
    rig.counter.count(&observed("a.example"));
    let rig = rig.restart().await;
    rig.keeps("2026-12-01", "a.example", 3).await;
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 4).await;
    assert_eq!(rig.names.asked.lock().unwrap().len(), 0, "it was asked before the restart");
    assert_eq!(*rig.told.domains.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_loses_the_last_seconds_alone() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.counter.count(&observed("a.example"));
    let rig = rig.kill().await;
    rig.keeps("2026-12-01", "a.example", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_a_record_is_not_kept_and_one_that_does_not_answer_is() {
    let rig = Rig::start("2026-12-01");
    for name in ["absent.example", "silent.example"] {
        rig.counter.count(&observed(name));
    }
    rig.pass(6).await;
    rig.keeps("2026-12-01", "absent.example", 1).await;
    rig.names.answers.add_permits(2);
    rig.pass(6).await;
    rig.keeps("2026-12-01", "absent.example", 0).await;
    rig.keeps("2026-12-01", "silent.example", 1).await;
    rig.counter.count(&observed("absent.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "absent.example", 0).await;
    assert_eq!(rig.names.asked.lock().unwrap().len(), 2, "it is asked again after an hour");
    rig.clock.advance(Duration::from_secs(60 * 60));
    rig.counter.count(&observed("absent.example"));
    rig.keeps("2026-12-01", "absent.example", 1).await;
    let asked = rig.names.asked.lock().unwrap().clone();
    assert_eq!(asked.last().unwrap(), "_smtp._tls.absent.example");
    assert_eq!(asked.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn at_midnight_another_day_begins_and_the_domain_is_asked_again() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&observed("a.example"));
    rig.clock.advance(Duration::from_secs(12 * 60 * 60));
    rig.counter.count(&observed("a.example"));
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 1).await;
    rig.keeps("2026-12-02", "a.example", 2).await;
    assert_eq!(rig.names.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_adds_nothing_to_a_day_that_is_closed() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    let tallies = Tallies::new(&rig.store);
    tallies.close(day("2026-12-01")).await.unwrap();
    tallies.drop(day("2026-12-01"), &domain("a.example")).await.unwrap();
    rig.clock.advance(Duration::from_secs(24 * 60 * 60));
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.clock.set(day("2026-12-01").begins());
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 0).await;
    rig.keeps("2026-12-02", "a.example", 1).await;
    assert_eq!(*rig.told.dropped.lock().unwrap(), [(DropReason::DayClosed, 1)]);
}

#[tokio::test(start_paused = true)]
async fn days_that_ended_two_days_ago_are_dropped() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.clock.set(day("2026-12-03").begins());
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 1).await;
    rig.clock.set(day("2026-12-04").begins());
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 0).await;
    rig.keeps("2026-12-03", "a.example", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_no_report_counts_is_not_kept_and_nobody_is_asked() {
    let rig = Rig::start("2026-12-01");
    rig.counter.count(&Observation { domain: None, ..observed("a.example") });
    rig.counter.turn(Reports::None);
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    assert_eq!(Tallies::new(&rig.store).list(None, 9).await.unwrap(), []);
    assert_eq!(rig.names.asked.lock().unwrap().len(), 0);
    rig.counter.turn(Reports::Made);
    rig.counter.count(&observed("a.example"));
    rig.pass(6).await;
    rig.keeps("2026-12-01", "a.example", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_faster_than_it_is_counted_is_dropped_and_told() {
    let rig = Rig::start("2026-12-01");
    for _ in 0..WAITING_MAX + 3 {
        rig.counter.count(&observed("a.example"));
    }
    rig.pass(11).await;
    rig.keeps("2026-12-01", "a.example", u64::try_from(WAITING_MAX).unwrap()).await;
    assert_eq!(*rig.told.dropped.lock().unwrap(), [(DropReason::Overflow, 1); 3]);
}

#[tokio::test(start_paused = true)]
async fn domains_beyond_the_most_that_are_counted_are_dropped_and_told() {
    let mut domains = CountedDomains::new(day("2026-12-01"));
    let now = day("2026-12-01").begins();
    for number in 0..DOMAINS_MAX {
        let _first = domains.admit(&domain(&format!("d{number}.example")), now);
    }
    let rig = Rig::start("2026-12-01");
    let (_counter, mut counting) = counting(
        &rig.store,
        Arc::<Names>::default(),
        Arc::<SetClock>::clone(&rig.clock),
        Arc::<Told>::clone(&rig.told),
    );
    counting.domains = domains;
    counting.count(day("2026-12-01"), now, &observed("one.example"));
    counting.count(day("2026-12-01"), now, &observed("d1.example"));
    assert_eq!(*rig.told.dropped.lock().unwrap(), [(DropReason::Domains, 1)]);
    assert_eq!(counting.work.counts.domains().count(), 1);
}
