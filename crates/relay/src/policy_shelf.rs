//! Policies on the queue's shelf: the one durable [`PolicyStore`].

use async_trait::async_trait;
use mta_sts::{CachedPolicy, PolicyDomain, PolicyStore, StoreError};
use queue::{Queue, Shelf};

/// The shelf's name.
const SHELF: &str = "policies";

/// Keeps policies beside the mail, as durably.
#[derive(Debug)]
pub(crate) struct PolicyShelf(Shelf);

impl PolicyShelf {
    /// The policies kept by `queue`.
    pub(crate) fn of(queue: &Queue) -> Self {
        Self(queue.shelf(SHELF))
    }
}

#[async_trait]
impl PolicyStore for PolicyShelf {
    fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        let bytes = self.0.get(domain.as_str()).map_err(StoreError::new)?;
        bytes.map(|bytes| CachedPolicy::from_bytes(&bytes)).transpose().map_err(StoreError::from)
    }

    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        let key = policy.domain().as_str();
        self.0.put(key, policy.to_bytes()).await.map_err(StoreError::new)
    }

    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.0.remove(domain.as_str()).await.map(drop).map_err(StoreError::new)
    }

    fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        let after = after.map(PolicyDomain::as_str);
        let rows = self.0.scan(after, limit).map_err(StoreError::new)?;
        rows.iter().map(|(key, _)| PolicyDomain::parse(key).map_err(StoreError::new)).collect()
    }
}
