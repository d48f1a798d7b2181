//! A store in memory that keeps bytes, as a real one does, and fails when it is told to.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use mta_sts::{CachedPolicy, PolicyDomain, PolicyStore, StoreError};

#[derive(Debug, Default)]
pub(crate) struct Memory {
    kept: Mutex<BTreeMap<PolicyDomain, Vec<u8>>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    read_only: AtomicBool,
}

impl Memory {
    /// Puts bytes in the place of a domain's policy.
    pub(crate) fn put(&self, domain: &str, bytes: &[u8]) {
        let domain = PolicyDomain::parse(domain).unwrap();
        self.kept.lock().unwrap().insert(domain, bytes.to_vec());
    }

    /// Lets every write fail from now on.
    pub(crate) fn fail_writes(&self) {
        self.read_only.store(true, Ordering::SeqCst);
    }

    /// How often a policy was asked for, or a page of domains.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How often something was kept.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.read_only.load(Ordering::SeqCst) {
            true => Err(StoreError::new("the disk is full")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl PolicyStore for Memory {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let bytes = self.kept.lock().unwrap().get(domain).cloned();
        Ok(bytes.as_deref().map(CachedPolicy::from_bytes).transpose()?)
    }

    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        self.check()?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.kept.lock().unwrap().insert(policy.domain().clone(), policy.to_bytes());
        Ok(())
    }

    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.check()?;
        self.kept.lock().unwrap().remove(domain);
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = self.kept.lock().unwrap();
        let range = kept.range::<PolicyDomain, _>((from, Bound::Unbounded));
        Ok(range.take(limit).map(|(domain, _)| domain.clone()).collect())
    }
}
