//! The DNS of a relay whose resolvers may be exchanged while it runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dns::{
    Canonical, Dns, Lookup, LookupError, Mx, Resolver, ServerState, TlsaData, Txt, Validation,
};
use smtp::Domain;
use tokio::sync::Notify;

/// Asks the resolver that counts at the moment.
#[derive(Debug)]
pub(crate) struct ReloadableDns {
    resolver: RwLock<Arc<Resolver>>,
    replaced: Notify,
}

impl ReloadableDns {
    /// Asks `resolver`.
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self { resolver: RwLock::new(Arc::new(resolver)), replaced: Notify::new() }
    }

    /// Asks another one from now on; what the one before remembered is forgotten with it.
    pub(crate) fn replace(&self, resolver: Resolver) {
        *self.resolver.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resolver);
        self.replaced.notify_one();
    }

    /// Tests again and again whether the servers of the resolver that counts validate; never ends.
    pub(crate) async fn keep_testing(&self, tell: impl Fn(&[(SocketAddr, ServerState)]) + Sync) {
        loop {
            let resolver = self.resolver();
            tokio::select! {
                () = resolver.keep_testing(|states| tell(states)) => {}
                () = self.replaced.notified() => {}
            }
        }
    }

    fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver.read().unwrap_or_else(PoisonError::into_inner))
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
