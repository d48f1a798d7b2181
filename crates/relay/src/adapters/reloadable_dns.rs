//! The DNS of a relay whose resolvers may be exchanged while it runs.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dns::{Canonical, Dns, Lookup, LookupError, Mx, Resolver, TlsaData, Txt, Validation};
use smtp::Domain;

/// Asks the resolver that counts at the moment.
#[derive(Debug)]
pub(crate) struct ReloadableDns(RwLock<Arc<Resolver>>);

impl ReloadableDns {
    /// Asks `resolver`.
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self(RwLock::new(Arc::new(resolver)))
    }

    /// Asks another one from now on; what the one before remembered is forgotten with it.
    pub(crate) fn replace(&self, resolver: Resolver) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resolver);
    }

    fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Dns for ReloadableDns {
    fn validation(&self) -> Validation {
        self.resolver().validation()
    }

    async fn mx(&self, domain: &Domain) -> Result<Lookup<Mx>, LookupError> {
        self.resolver().mx(domain).await
    }

    async fn addresses(&self, host: &Domain) -> Result<Lookup<IpAddr>, LookupError> {
        self.resolver().addresses(host).await
    }

    async fn txt(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.resolver().txt(name).await
    }

    async fn txt_fresh(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.resolver().txt_fresh(name).await
    }

    async fn cname(&self, host: &Domain) -> Result<Lookup<Canonical>, LookupError> {
        self.resolver().cname(host).await
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.resolver().tlsa(host, port).await
    }

    async fn tlsa_fresh(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.resolver().tlsa_fresh(host, port).await
    }
}
