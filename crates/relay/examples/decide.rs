//! Measures one policy decision with many cached policies, beside one read of the index alone.
//!
//! ```text
//! cargo run --release -p sts-relay --example decide -- DIR [POLICIES] [DECISIONS]
//! ```
//!
//! Fills the relay's own policy store in DIR with so many policies (1,000,000), opens it anew, and
//! decides so many times (200,000) about domains drawn at random, of all and of the 10,000 that mail
//! goes to all the time, the answer of the DNS being at hand. In the same run the same domains are
//! read from the index and nothing made of them: what is above that is what a decision adds. Then it
//! looks for policies that are due to be refreshed. DIR is made, must not exist, and is removed in
//! the end.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock as _, SystemClock};
use mta_sts::{
    CachedPolicy, Decision, FetchSettings, Fetcher, Names, NamesError, NextHop, Policies, Policy,
    PolicyDomain, PolicyId, PolicySettings, PolicyStore as _, Purpose,
};
use queue::{Queue, QueueSettings};
use store_embedded::{Embedded, StoreSettings};
use sts_relay::StoredPolicies;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Whatever kept something from being measured.
type Failure = Box<dyn Error + Send + Sync>;

/// How many policies are written at a time; they share what makes them durable.
const AT_ONCE: usize = 5_000;

/// How many domains mail goes to all the time.
const WARM: usize = 10_000;

/// A DNS that has every record in its cache.
#[derive(Debug)]
struct AtHand;

#[async_trait]
impl Names for AtHand {
    async fn txt(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        Ok(Some(vec![b"v=STSv1; id=20260101T000000;".to_vec()]))
    }

    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.txt(name).await
    }

    async fn addresses(&self, _host: &str) -> Result<Vec<IpAddr>, NamesError> {
        Err(NamesError::TimedOut)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which directory?")?);
    let mut number = |usual: usize| -> Result<usize, Failure> {
        let Some(text) = arguments.next() else { return Ok(usual) };
        Ok(text.to_str().ok_or("a number?")?.parse()?)
    };
    let (policies, decisions) = (number(1_000_000)?, number(200_000)?);
    fs::create_dir(&dir)?;
    let measured = measure(&dir.join("data"), policies, decisions).await;
    fs::remove_dir_all(&dir)?;
    measured
}

async fn measure(dir: &std::path::Path, policies: usize, decisions: usize) -> Result<(), Failure> {
    let filling = Instant::now();
    let queue = open(dir).await?;
    fill(&StoredPolicies::of(&queue), policies).await?;
    queue.close().await;
    drop(queue);
    let filled = filling.elapsed();
    let queue = open(dir).await?;
    let relay = Policies::new(
        PolicySettings::default(),
        Arc::new(AtHand),
        Arc::new(StoredPolicies::of(&queue).cached()),
        Fetcher::new(FetchSettings::new(Arc::new(rustls::RootCertStore::empty())))?,
    );
    tell(&format!("{policies} policies, filled in {:.0} s", filled.as_secs_f64()))?;
    tell("| what | median | mean | 99 % |")?;
    tell("|---|---|---|---|")?;
    let namespace = queue.values("policies");
    for (of, round) in [(policies, "any of all"), (WARM, "warming up"), (WARM, "warm")] {
        let all: Vec<_> = draw(policies.min(of), decisions).collect::<Result<_, _>>()?;
        let mut spans = Vec::with_capacity(all.len());
        for domain in &all {
            let begun = Instant::now();
            let found = namespace.get(domain.as_str()).await?;
            spans.push(begun.elapsed());
            found.ok_or("a policy is missing")?;
        }
        row(&format!("one read of the index, {round}"), spans)?;
        let mut spans = Vec::with_capacity(all.len());
        let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
        for domain in &all {
            let hop = NextHop::Domain(domain.clone());
            let now = SystemClock.now();
            let begun = Instant::now();
            let decision = relay.decide(&hop, purpose, now).await?;
            spans.push(begun.elapsed());
            if !matches!(decision, Decision::Require(_)) {
                return Err("a policy was not enforced".into());
            }
        }
        row(&format!("one decision, {round}"), spans)?;
    }
    row("all policies read by the refresh", vec![refresh_round(&relay).await?])?;
    let mut rounds = Vec::with_capacity(100);
    for _ in 0..100 {
        rounds.push(refresh_round(&relay).await?);
    }
    row("one round of the refresh, nothing due", rounds)?;
    queue.close().await;
    Ok(())
}

/// How long a round of the refresh takes without its fetches.
async fn refresh_round(relay: &Policies) -> Result<Duration, Failure> {
    let begun = Instant::now();
    while relay.refresh_due(1000, SystemClock.now()).await?.more {}
    Ok(begun.elapsed())
}

async fn open(dir: &std::path::Path) -> Result<Queue, Failure> {
    let settings = StoreSettings::new(dir);
    let open = move || Embedded::open(settings, Arc::new(SystemClock));
    let store = Arc::new(tokio::task::spawn_blocking(open).await??);
    Ok(Queue::over(store, QueueSettings::default(), Arc::new(SystemClock)))
}

/// Keeps an enforced policy for each domain.
async fn fill(stored: &StoredPolicies, policies: usize) -> Result<(), Failure> {
    let now = SystemClock.now();
    let id = PolicyId::parse("20260101T000000")?;
    let stored = Arc::new(stored.clone());
    let mut numbers = 0..policies;
    let mut writing = JoinSet::new();
    loop {
        for number in numbers.by_ref().take(AT_ONCE.saturating_sub(writing.len())) {
            let domain = domain(number)?;
            let file = format!(
                "version: STSv1\nmode: enforce\nmx: mx1.{domain}\nmx: *.mail.{domain}\n\
                 max_age: 2592000\n",
                domain = domain.as_str()
            );
            let policy = Policy::parse(file.as_bytes())?.value;
            let cached = CachedPolicy::new(domain, id.clone(), policy, now);
            let stored = Arc::clone(&stored);
            let _handle = writing.spawn(async move { stored.keep(&cached).await });
        }
        match writing.join_next().await {
            Some(kept) => kept??,
            None => return Ok(()),
        }
    }
}

fn domain(number: usize) -> Result<PolicyDomain, mta_sts::NameError> {
    PolicyDomain::parse(&format!("customer{number}.example.org"))
}

/// Domains that are kept, in an order that nothing predicts but that is the same each time.
fn draw(
    policies: usize,
    count: usize,
) -> impl Iterator<Item = Result<PolicyDomain, mta_sts::NameError>> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let policies = u64::try_from(policies).unwrap_or(u64::MAX).max(1);
        domain(usize::try_from(state % policies).unwrap_or_default())
    })
}

/// One line of the table.
fn row(what: &str, mut spans: Vec<Duration>) -> io::Result<()> {
    spans.sort_unstable();
    let at = |part: usize| spans.get(spans.len() * part / 100).copied().unwrap_or_default();
    let total: Duration = spans.iter().sum();
    let mean = total.as_secs_f64() * 1e6 / f64::from(u32::try_from(spans.len()).unwrap_or(1));
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    tell(&format!(
        "| {what} | {:.1} µs | {mean:.1} µs | {:.1} µs |",
        micros(at(50)),
        micros(at(99))
    ))
}

fn tell(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
