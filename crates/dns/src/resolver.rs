//! The [`Dns`] that asks real name servers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use hickory_resolver::proto::rr::{Name, RecordType};
use smtp::Domain;

use crate::answer::Finding;
use crate::cache::{Cache, Known};
use crate::dns::Dns;
use crate::error::{LookupError, Obstacle};
use crate::lookup::{Lookup, Records, Security, Validation};
use crate::question::{NameFault, Question};
use crate::records::{Canonical, FromRdata, Mx, TlsaData, Txt};
use crate::servers::{LONGEST_REST, SHORTEST_REST, Servers};
use crate::settings::{DnsSettings, ResolverError, system_servers};
use crate::standing::{Change, ServerState};

/// Asks the recursive resolvers of the settings, and remembers what they said.
pub struct Resolver {
    pub(crate) servers: Servers,
    cache: Cache,
}

impl Resolver {
    /// A resolver as the settings say.
    ///
    /// # Errors
    ///
    /// If the settings name no server and `/etc/resolv.conf` cannot be read.
    pub fn new(mut settings: DnsSettings) -> Result<Self, ResolverError> {
        if settings.servers.is_empty() {
            settings.servers = system_servers()?;
        }
        Ok(Self { servers: Servers::new(&settings), cache: Cache::new() })
    }

    /// The servers that are asked, in their order.
    pub fn servers(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.addresses()
    }

    /// Whether the word of each server on DNSSEC counts, in their order; they are tested first where
    /// they have not been.
    pub async fn states(&self) -> Vec<(SocketAddr, ServerState)> {
        self.servers.first_test().await;
        self.servers.states().collect()
    }

    /// Whether the word of each server on DNSSEC counts at the moment, in their order.
    fn states_so_far(&self) -> Vec<(SocketAddr, ServerState)> {
        self.servers.states().collect()
    }

    /// Tests the servers again and again, and tells `changed` of the first test and of each that changes
    /// something; never ends.
    ///
    /// A server that validates is tested every ten minutes, and sooner where many answers say that
    /// validation failed; one that does not, soon after that and ever more rarely.
    pub async fn keep_testing(&self, changed: impl Fn(&[(SocketAddr, ServerState)]) + Sync) {
        changed(&self.states().await);
        if !self.servers.can_be_tested() {
            return std::future::pending().await;
        }
        let mut rest = SHORTEST_REST;
        loop {
            let all_validate =
                self.servers.states().all(|(_, state)| state.validates() || state.is_distrusted());
            let wait = if all_validate { LONGEST_REST } else { rest };
            self.servers.next_test(wait).await;
            rest = if all_validate { SHORTEST_REST } else { (rest * 2).min(LONGEST_REST) };
            if self.servers.test_again().await == Change::Changed {
                self.cache.forget_all();
                changed(&self.states_so_far());
            }
        }
    }

    /// The hosts that the PTR records of `address` name (RFC 1035 §3.5).
    ///
    /// # Errors
    ///
    /// [`LookupError`] where that cannot be told.
    pub async fn names_of(&self, address: IpAddr) -> Result<Vec<Domain>, LookupError> {
        let name = Name::from(address).to_ascii();
        let found = self.lookup(&name, RecordType::PTR, Age::Any).await?;
        Ok(found.into_records().map(|found| found.records).unwrap_or_default())
    }

    async fn lookup<T: FromRdata>(
        &self,
        name: &str,
        record_type: RecordType,
        age: Age,
    ) -> Result<Lookup<T>, LookupError> {
        let question = match Question::new(name, record_type) {
            Ok(question) => question,
            // The protocol itself says that there is no such name; no zone does.
            Err(NameFault::TooLong) => return Ok(Lookup::NxDomain(Security::Insecure)),
            Err(NameFault::NotAName) => return Err(Obstacle::NotAName(name.to_owned()).into()),
        };
        if age == Age::Fresh {
            self.cache.forget(&question).await;
        }
        let ask = || self.servers.ask(&question);
        self.cache.answer(&question, ask).await.map(|known| typed(&known))
    }
}

#[async_trait]
impl Dns for Resolver {
    fn validation(&self) -> Validation {
        if self.servers.validate() { Validation::Active } else { Validation::Inactive }
    }

    async fn mx(&self, domain: &Domain) -> Result<Lookup<Mx>, LookupError> {
        self.lookup(domain.as_str(), RecordType::MX, Age::Any).await
    }

    async fn addresses(&self, host: &Domain) -> Result<Lookup<IpAddr>, LookupError> {
        let (v4, v6) = tokio::join!(
            self.lookup(host.as_str(), RecordType::A, Age::Any),
            self.lookup(host.as_str(), RecordType::AAAA, Age::Any),
        );
        either(v4, v6)
    }

    async fn txt(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.lookup(name, RecordType::TXT, Age::Any).await
    }

    /// At most as old as a question that was already under way.
    async fn txt_fresh(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.lookup(name, RecordType::TXT, Age::Fresh).await
    }

    async fn cname(&self, host: &Domain) -> Result<Lookup<Canonical>, LookupError> {
        self.lookup(host.as_str(), RecordType::CNAME, Age::Any).await
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.lookup(&format!("_{port}._tcp.{host}"), RecordType::TLSA, Age::Any).await
    }

    /// At most as old as a question that was already under way.
    async fn tlsa_fresh(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.lookup(&format!("_{port}._tcp.{host}"), RecordType::TLSA, Age::Fresh).await
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Resolver")
            .field("servers", &self.servers().collect::<Vec<_>>())
            .field("validation", &self.validation())
            .field("cache", &self.cache)
            .finish()
    }
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// As old as its TTL allows.
    Any,
    /// Not remembered.
    Fresh,
}

/// The answer in the terms of the type asked for.
fn typed<T: FromRdata>(known: &Known) -> Lookup<T> {
    match &known.answer.finding {
        Finding::Found(found) => Lookup::Found(Records {
            records: found.data.iter().filter_map(T::from_rdata).collect(),
            security: found.security,
            canonical: found.canonical.clone(),
            valid_for: known.valid_for,
        }),
        Finding::NoData(security) => Lookup::NoData(*security),
        Finding::NxDomain(security) => Lookup::NxDomain(*security),
    }
}

/// The addresses of both families as one.
///
/// Each is judged by itself: one family that is secure is enough for the host's TLSA records to be
/// looked up (RFC 7672 §2.2.2), and its name at the end of the aliases counts.
///
/// One family found is enough to deliver to. With none found, a failure leaves the question open,
/// also beside an NXDOMAIN: there are servers that answer so for one family only (RFC 4074 §4.2).
fn either(
    v4: Result<Lookup<IpAddr>, LookupError>,
    v6: Result<Lookup<IpAddr>, LookupError>,
) -> Result<Lookup<IpAddr>, LookupError> {
    use Lookup::{Found, NoData, NxDomain};
    match (v4, v6) {
        (Ok(Found(v4)), Ok(Found(v6))) => Ok(Found(both(v4, v6))),
        (Ok(Found(one)), Ok(NoData(_) | NxDomain(_)) | Err(_))
        | (Ok(NoData(_) | NxDomain(_)) | Err(_), Ok(Found(one))) => Ok(Found(one)),
        (Ok(NxDomain(v4)), Ok(NxDomain(v6))) => Ok(NxDomain(v4.and(v6))),
        (Ok(NoData(v4) | NxDomain(v4)), Ok(NoData(v6) | NxDomain(v6))) => Ok(NoData(v4.and(v6))),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn both(v4: Records<IpAddr>, v6: Records<IpAddr>) -> Records<IpAddr> {
    let (security, canonical) = match (v4.security, v6.security) {
        (Security::Insecure, Security::Secure) => (v6.security, v6.canonical),
        (Security::Insecure, Security::Insecure) | (Security::Secure, _) => {
            (v4.security, v4.canonical)
        }
    };
    Records {
        security,
        canonical,
        valid_for: v4.valid_for.min(v6.valid_for),
        records: [v4.records, v6.records].concat(),
    }
}

#[cfg(test)]
mod tests;
