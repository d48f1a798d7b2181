//! Policies on the queue's shelf: the one durable [`PolicyStore`].

use std::sync::Arc;

use async_trait::async_trait;
use mta_sts::{CachedPolicy, PolicyDomain, PolicyStore, StoreError};
use queue::{Queue, Shelf, Snapshot};

use crate::policy_shelf::cache::Cache;

mod cache;

/// The shelf's name.
const SHELF: &str = "policies";

/// Keeps policies beside the mail, as durably.
#[derive(Clone, Debug)]
pub struct PolicyShelf {
    shelf: Shelf,
    cache: Option<Arc<Cache>>,
}

impl PolicyShelf {
    /// The policies kept by `queue`.
    #[must_use]
    pub fn of(queue: &Queue) -> Self {
        Self { shelf: queue.shelf(SHELF), cache: None }
    }

    /// The same, with the policies that are asked for often in memory.
    #[must_use]
    pub fn cached(self) -> Self {
        Self { cache: Some(Arc::new(Cache::new())), ..self }
    }

    /// Reads a policy, and how many bytes it takes.
    fn read(&self, domain: &PolicyDomain) -> Result<Option<(CachedPolicy, usize)>, StoreError> {
        decode(self.shelf.get(domain.as_str()))
    }
}

/// The policy of `domain` in a queue that no process has open.
pub(crate) fn find_at_rest(
    queue: &Snapshot,
    domain: &PolicyDomain,
) -> Result<Option<CachedPolicy>, StoreError> {
    Ok(decode(queue.shelved(SHELF, domain.as_str()))?.map(|(policy, _)| policy))
}

/// Up to `limit` domains whose policies are there, after `after`.
pub(crate) fn list_at_rest(
    queue: &Snapshot,
    after: Option<&PolicyDomain>,
    limit: usize,
) -> Result<Vec<PolicyDomain>, StoreError> {
    domains(queue.scan_shelf(SHELF, after.map(PolicyDomain::as_str), limit))
}

/// The policy that a value on the shelf is, and how many bytes it takes.
fn decode(
    value: Result<Option<Vec<u8>>, queue::StoreError>,
) -> Result<Option<(CachedPolicy, usize)>, StoreError> {
    let Some(bytes) = value.map_err(StoreError::new)? else { return Ok(None) };
    Ok(Some((CachedPolicy::from_bytes(&bytes)?, bytes.len())))
}

/// The domains that keys of the shelf are.
fn domains(
    rows: Result<Vec<(String, Vec<u8>)>, queue::StoreError>,
) -> Result<Vec<PolicyDomain>, StoreError> {
    let rows = rows.map_err(StoreError::new)?;
    rows.iter().map(|(key, _)| PolicyDomain::parse(key).map_err(StoreError::new)).collect()
}

#[async_trait]
impl PolicyStore for PolicyShelf {
    fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        let Some(cache) = &self.cache else {
            return Ok(self.read(domain)?.map(|(policy, _)| policy));
        };
        let version = self.shelf.version(domain.as_str());
        if let Some(policy) = cache.find(domain, version) {
            return Ok(Some(policy));
        }
        let Some((policy, size)) = self.read(domain)? else { return Ok(None) };
        cache.keep(&policy, version, size);
        Ok(Some(policy))
    }

    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        let key = policy.domain().as_str();
        self.shelf.put(key, policy.to_bytes()).await.map_err(StoreError::new)
    }

    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.shelf.remove(domain.as_str()).await.map(drop).map_err(StoreError::new)
    }

    fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        domains(self.shelf.scan(after.map(PolicyDomain::as_str), limit))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use clock::SystemClock;
    use mta_sts::{Policy, PolicyId};
    use queue::QueueSettings;

    use super::*;

    async fn open(folder: &Path) -> Queue {
        let settings = QueueSettings::new(folder);
        let open = || Queue::open(settings, Arc::new(SystemClock)).unwrap();
        tokio::task::spawn_blocking(open).await.unwrap()
    }

    fn policy(domain: &str, hosts: usize) -> CachedPolicy {
        let mx: String = (0..hosts).map(|host| format!("mx: mx{host}.example.org\n")).collect();
        let file = format!("version: STSv1\nmode: enforce\n{mx}max_age: 86400\n");
        let fetched_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        CachedPolicy::new(
            PolicyDomain::parse(domain).unwrap(),
            PolicyId::parse("1").unwrap(),
            Policy::parse(file.as_bytes()).unwrap().value,
            fetched_at,
        )
    }

    #[tokio::test]
    async fn a_policy_survives_a_restart_whatever_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        // The second is larger than one value of the index may be.
        let kept = [policy("a.example", 1), policy("b.example", 2000)];
        for policy in &kept {
            PolicyShelf::of(&queue).keep(policy).await.unwrap();
        }
        queue.close().await;
        drop(queue);

        let queue = open(folder.path()).await;
        let shelf = PolicyShelf::of(&queue);
        for policy in &kept {
            assert_eq!(shelf.find(policy.domain()).unwrap().as_ref(), Some(policy));
        }
        shelf.remove(kept[0].domain()).await.unwrap();
        assert_eq!(shelf.find(kept[0].domain()).unwrap(), None);
        queue.close().await;
    }

    #[tokio::test]
    async fn domains_are_listed_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let shelf = PolicyShelf::of(&queue);
        for name in ["b.example", "a.example", "c.example"] {
            shelf.keep(&policy(name, 1)).await.unwrap();
        }
        let first = shelf.list(None, 2).unwrap();
        let names: Vec<_> = first.iter().map(PolicyDomain::as_str).collect();
        assert_eq!(names, ["a.example", "b.example"]);
        let rest = shelf.list(first.last(), 2).unwrap();
        assert_eq!(rest.iter().map(PolicyDomain::as_str).collect::<Vec<_>>(), ["c.example"]);
        queue.close().await;
    }

    #[tokio::test]
    async fn a_cached_policy_is_never_older_than_what_was_written_last_by_whomever() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let (cached, plain) = (PolicyShelf::of(&queue).cached(), PolicyShelf::of(&queue));
        let domain = PolicyDomain::parse("a.example").unwrap();
        for hosts in 1..20 {
            let writer = if hosts % 2 == 0 { &cached } else { &plain };
            writer.keep(&policy("a.example", hosts)).await.unwrap();
            for _ in 0..3 {
                let found = cached.find(&domain).unwrap().unwrap();
                assert_eq!(found.policy().mx().len(), hosts);
            }
        }
        plain.remove(&domain).await.unwrap();
        assert_eq!(cached.find(&domain).unwrap(), None);
        queue.close().await;
        assert!(cached.find(&domain).is_err(), "a closed store gives nothing out of memory");
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_is_seen_when_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let (cached, plain) = (PolicyShelf::of(&queue).cached(), PolicyShelf::of(&queue));
        let domain = PolicyDomain::parse("a.example").unwrap();
        for hosts in 1..20 {
            let fresh = policy("a.example", hosts);
            // Polled once, which hands it over, and dropped.
            tokio::select! {
                biased;
                kept = plain.keep(&fresh) => kept.unwrap(),
                () = std::future::ready(()) => {}
            }
            while plain.find(&domain).unwrap().as_ref() != Some(&fresh) {
                cached.find(&domain).unwrap();
                tokio::task::yield_now().await;
            }
            // Another write by the same thread: the one before is past all its steps by now.
            plain.keep(&policy("b.example", 1)).await.unwrap();
            assert_eq!(cached.find(&domain).unwrap(), Some(fresh));
        }
        queue.close().await;
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error_and_not_an_absence() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        queue.shelf(SHELF).put("a.example", b"nonsense".to_vec()).await.unwrap();
        let shelf = PolicyShelf::of(&queue);
        let domain = PolicyDomain::parse("a.example").unwrap();
        assert!(shelf.find(&domain).is_err());
        assert_eq!(shelf.list(None, 9).unwrap(), [domain]);
        queue.close().await;
    }
}
