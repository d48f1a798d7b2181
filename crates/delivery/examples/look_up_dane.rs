//! Measures how long it takes to find a host's TLSA records, with the answers of the DNS in the cache.
//!
//! ```text
//! cargo run --release -p delivery --example look_up_dane [LOOKUPS]
//! ```
//!
//! The names of a testbed are signed and kept for a day; a host with two records is looked up once over
//! real sockets, and then so many times (100,000) from the cache: addresses, records, and the verifier
//! that is made of them. The program fails if any of these asks the DNS again.

use std::error::Error;
use std::io::{self, Write as _};
use std::time::Duration;

use delivery::{TlsaAge, host_dane};
use dns::{DnsSettings, Resolver};
use mta_sts::MxHost;
use smtp::Domain;
use testbed::World;
use tls_policy::{DaneLookup, HostDane, HostNaming};
use tokio::time::Instant;

/// Whatever kept something from being measured.
type Failure = Box<dyn Error + Send + Sync>;

const HOST: &str = "mx.example.test";
const PORT: u16 = 25;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let world = World::create().await?;
    let names = world.names();
    names.authenticate("test");
    names.keep_for(Duration::from_secs(86_400));
    names.add_address(HOST, [192, 0, 2, 1].into());
    let tlsa = format!("_{PORT}._tcp.{HOST}");
    names.add_tlsa(&tlsa, (3, 1, 1), &[7; 32]);
    names.add_tlsa(&tlsa, (2, 0, 1), &[8; 32]);
    let servers = vec![world.dns_address()];
    let resolver = Resolver::new(DnsSettings { servers, ..DnsSettings::default() })?;
    look_up(&resolver).await?;
    let asked = names.queries(HOST) + names.queries(&tlsa);
    let mut spans = Vec::with_capacity(number);
    for _ in 0..number {
        let begun = Instant::now();
        look_up(&resolver).await?;
        spans.push(begun.elapsed());
    }
    if names.queries(HOST) + names.queries(&tlsa) != asked {
        return Err("the DNS was asked again".into());
    }
    tell(spans)
}

/// Finds the host's records, as delivery does before it connects.
async fn look_up(resolver: &Resolver) -> Result<(), Failure> {
    let (host, name) = (MxHost::parse(HOST)?, Domain::parse(HOST)?);
    let naming = HostNaming::a_priori(&host);
    let begun = DaneLookup::to_know(host, name, PORT, naming);
    let found = host_dane(resolver, begun, TlsaAge::Any).await;
    if matches!(found, HostDane::Dane(_)) {
        return Ok(());
    }
    Err(format!("no usable records were found: {found:?}").into())
}

fn tell(mut spans: Vec<Duration>) -> Result<(), Failure> {
    spans.sort_unstable();
    let at = |share: usize| spans.get(spans.len() * share / 100).copied().unwrap_or_default();
    let mean = spans.iter().sum::<Duration>() / u32::try_from(spans.len().max(1))?;
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    let (median, mean, most) = (micros(at(50)), micros(mean), micros(at(99)));
    writeln!(io::stdout(), "median {median:.1} µs, mean {mean:.1} µs, 99 % {most:.1} µs")?;
    Ok(())
}
