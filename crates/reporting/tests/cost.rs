//! What counting costs: nothing in delivery's way that grows, and memory that has an end.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::alloc::System;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock, SystemClock};
use dns::{Canonical, Dns, Lookup, LookupError, Mx, Records, Security, TlsaData, Txt, Validation};
use reporting::{Counter, Counting, CountingObserver, DropReason, Reports, counting};
use smtp::Domain;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use store::Store;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tls_rpt::{
    DOMAINS_MAX, DomainName, FailureDetail, Observation, ObservedPolicy, PolicyText, ResultType,
};
use tokio::task::yield_now;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How much 100,000 domains may take.
const MEMORY_MAX: usize = 100 << 20;

/// How often memory may be asked for to hand an observation over: once in 32 for room in the channel.
const ALLOCATIONS_MAX: usize = 100;

/// Every domain wants reports.
#[derive(Debug)]
struct Wanting;

#[async_trait]
impl Dns for Wanting {
    fn validation(&self) -> Validation {
        Validation::Inactive
    }

    async fn mx(&self, _domain: &Domain) -> Result<Lookup<Mx>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn addresses(&self, _host: &Domain) -> Result<Lookup<IpAddr>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn txt(&self, _name: &str) -> Result<Lookup<Txt>, LookupError> {
        let records = vec![b"v=TLSRPTv1; rua=mailto:tls@example.org".to_vec()];
        let (security, valid_for) = (Security::Insecure, Duration::from_secs(300));
        Ok(Lookup::Found(Records { records, security, canonical: None, valid_for }))
    }

    async fn cname(&self, _host: &Domain) -> Result<Lookup<Canonical>, LookupError> {
        Err(LookupError::TimedOut)
    }

    async fn tlsa(&self, _host: &Domain, _port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        Err(LookupError::TimedOut)
    }
}

#[derive(Debug)]
struct Nobody;

impl CountingObserver for Nobody {
    fn counting(&self, _domains: usize) {}

    fn dropped(&self, reason: DropReason, sessions: u64) {
        panic!("{sessions} sessions are dropped: {reason:?}");
    }
}

/// A policy as many domains have it.
#[derive(Debug)]
struct Policy(String);

impl PolicyText for Policy {
    fn mode(&self) -> &'static str {
        "enforce"
    }

    fn text(&self) -> Cow<'_, str> {
        format!("version: STSv1\nmode: enforce\nmx: {}\nmax_age: 604800\n", self.0).into()
    }

    fn mx_patterns(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// A connection to a domain's host that failed.
fn observed(number: usize) -> Observation {
    let host = format!("mx.d{number}.example");
    let failure = FailureDetail {
        receiving_mx_hostname: DomainName::parse(&host).ok(),
        receiving_ip: Some([192, 0, 2, 1].into()),
        sending_mta_ip: Some([198, 51, 100, 1].into()),
        ..FailureDetail::new(ResultType::CertificateExpired)
    };
    Observation {
        domain: DomainName::parse(&format!("d{number}.example")).ok(),
        policy: ObservedPolicy::Sts(Arc::new(Policy(host))),
        failure: Some(failure),
    }
}

fn begin(directory: &TempDir) -> (Counter, Counting) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = StoreSettings::new(directory.path());
    let store: Arc<dyn Store> = Arc::new(Embedded::open(settings, Arc::clone(&clock)).unwrap());
    let (counter, counting) = counting(&store, Arc::new(Wanting), clock, Arc::new(Nobody));
    counter.turn(Reports::Made);
    (counter, counting)
}

/// One test alone: all of a process's memory is counted.
#[tokio::test]
async fn a_hundred_thousand_domains_take_less_than_100_mib_and_an_observation_next_to_nothing() {
    let directory = TempDir::new().unwrap();
    let (counter, counting) = begin(&directory);
    let observations: Vec<_> = (0..1000).map(observed).collect();
    let handing_over = Region::new(ALLOCATOR);
    observations.iter().for_each(|observation| counter.count(observation));
    let asked = handing_over.change().allocations;
    assert!(asked <= ALLOCATIONS_MAX, "{asked} allocations for 1,000 observations");
    drop(observations);

    let before = Region::new(ALLOCATOR);
    let mut run = tokio::task::JoinSet::new();
    let stop = tokio_util::sync::CancellationToken::new();
    run.spawn(counting.run(stop.clone()));
    let mut most = 0;
    for number in 0..DOMAINS_MAX {
        counter.count(&observed(number));
        if number % 100 == 0 {
            for _ in 0..20 {
                yield_now().await;
            }
            let held = before.change();
            most = most.max(held.bytes_allocated.saturating_sub(held.bytes_deallocated));
        }
    }
    assert!(most < MEMORY_MAX, "{most} bytes for {DOMAINS_MAX} domains");
    run.shutdown().await;
}
