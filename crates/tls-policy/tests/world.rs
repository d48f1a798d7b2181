//! A world for decisions: a store of one policy at most, and a DNS that answers everything alike.
//!
//! The tests of `delivery` decide in it, too.

use std::net::IpAddr;

use async_trait::async_trait;
use mta_sts::{CachedPolicy, NamesError, PolicyDomain, PolicyStore, StoreError};

/// A store that holds at most one policy.
#[derive(Debug)]
pub(crate) struct OnePolicy(pub(crate) Option<CachedPolicy>);

#[async_trait]
impl PolicyStore for OnePolicy {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        Ok(self.0.clone().filter(|cached| cached.domain() == domain))
    }

    async fn keep(&self, _policy: &CachedPolicy) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, _domain: &PolicyDomain) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(
        &self,
        _after: Option<&PolicyDomain>,
        _limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        Ok(Vec::new())
    }
}

/// A DNS in which no name exists, or that fails alike for each.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) Result<(), NamesError>);

impl Names {
    fn answer<T>(&self, none: T) -> Result<T, NamesError> {
        self.0.clone().map(|()| none)
    }
}

#[async_trait]
impl mta_sts::Names for Names {
    async fn txt(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.answer(None)
    }

    async fn txt_fresh(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.answer(None)
    }

    async fn addresses(&self, _host: &str) -> Result<Vec<IpAddr>, NamesError> {
        self.answer(Vec::new())
    }
}
