//! What is asked of the DNS, and what it says.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use dns::{Canonical, Dns, Lookup, LookupError, Mx, TlsaData, Txt, Validation};
use prometheus_client::registry::Registry;
use smtp::Domain;

use super::series::Counters;

/// What is asked of the DNS, and what it says.
#[derive(Debug, Default)]
pub struct Lookups(Counters<2>);

/// A [`Dns`] whose answers are counted, those from memory as well.
#[derive(Debug)]
pub struct CountedDns {
    inner: Arc<dyn Dns>,
    lookups: Arc<Lookups>,
}

impl Lookups {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let help = "DNS lookups, including those answered from the cache, by result";
        registry.register("dns_lookups", help, new.0.clone());
        for kind in ["address", "mx", "txt"] {
            drop(new.0.get_or_create(&[("type", kind), ("result", "found")]));
        }
        new
    }

    fn count<T>(&self, kind: &'static str, answer: &Result<Lookup<T>, LookupError>) {
        let result = match answer {
            Ok(Lookup::Found(_)) => "found",
            Ok(Lookup::NoData(_)) => "nodata",
            Ok(Lookup::NxDomain(_)) => "nxdomain",
            Err(error) => error.label(),
        };
        self.0.get_or_create(&[("type", kind), ("result", result)]).inc();
    }
}

impl CountedDns {
    /// Counts what `inner` answers in `lookups`.
    pub fn new(inner: Arc<dyn Dns>, lookups: Arc<Lookups>) -> Self {
        Self { inner, lookups }
    }

    fn counted<T>(
        &self,
        kind: &'static str,
        answer: Result<Lookup<T>, LookupError>,
    ) -> Result<Lookup<T>, LookupError> {
        self.lookups.count(kind, &answer);
        answer
    }
}

#[async_trait]
impl Dns for CountedDns {
    fn validation(&self) -> Validation {
        self.inner.validation()
    }

    async fn mx(&self, domain: &Domain) -> Result<Lookup<Mx>, LookupError> {
        self.counted("mx", self.inner.mx(domain).await)
    }

    async fn addresses(&self, host: &Domain) -> Result<Lookup<IpAddr>, LookupError> {
        self.counted("address", self.inner.addresses(host).await)
    }

    async fn txt(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.counted("txt", self.inner.txt(name).await)
    }

    async fn txt_fresh(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.counted("txt", self.inner.txt_fresh(name).await)
    }

    async fn cname(&self, host: &Domain) -> Result<Lookup<Canonical>, LookupError> {
        self.counted("cname", self.inner.cname(host).await)
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.counted("tlsa", self.inner.tlsa(host, port).await)
    }

    async fn tlsa_fresh(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.counted("tlsa", self.inner.tlsa_fresh(host, port).await)
    }
}
