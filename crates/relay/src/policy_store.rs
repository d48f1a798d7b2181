//! Policies in a namespace of the queue: the one durable [`PolicyStore`].

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use mta_sts::{CachedPolicy, PolicyDomain, PolicyStore, StoreError};
use queue::{Namespace, Queue, ReadValues};
use store_embedded::Offline;
use thiserror::Error;
use tracing::debug;

use crate::policy_store::cache::Cache;
use crate::policy_store::room::{Limits, NoRoom, Room, Size, UNUSED_FOR};

mod cache;
mod room;

/// The namespace's name.
const NAMESPACE: &str = "policies";

/// How many policies are looked at, at most, to find one that makes room for another.
const LOOKS: usize = 16;

/// How many policies are read in one go where those that are unused are searched for.
const PAGE: usize = 1000;

/// Keeps policies beside the mail, as durably.
#[derive(Clone, Debug)]
pub struct StoredPolicies {
    namespace: Namespace,
    cache: Option<Arc<Cache>>,
    room: Option<Arc<Room>>,
}

impl StoredPolicies {
    /// The policies kept by `queue`.
    #[must_use]
    pub fn of(queue: &Queue) -> Self {
        Self { namespace: queue.values(NAMESPACE), cache: None, room: None }
    }

    /// The same, with the policies that are asked for often in memory, and room for no more than a
    /// million of them.
    #[must_use]
    pub fn cached(self) -> Self {
        Self { cache: Some(Arc::new(Cache::new())), ..self.within(Limits::USUAL) }
    }

    fn within(self, limits: Limits) -> Self {
        Self { room: Some(Arc::new(Room::new(limits))), ..self }
    }

    /// Makes sure of room for `policy`, which takes `after` in the place of `before`.
    ///
    /// Only what has been unused for long is removed for it, and read once more before.
    async fn make_room(
        &self,
        room: &Room,
        policy: &CachedPolicy,
        (before, after): (Option<Size>, Size),
    ) -> Result<(), StoreError> {
        for _ in 0..LOOKS {
            if room.has_room(before, after) {
                return Ok(());
            }
            let Some(key) = self.longest_unused(room, policy, (before, after)).await? else {
                break;
            };
            let domain = PolicyDomain::parse(&key).map_err(StoreError::new)?;
            let Some((unused, size)) = self.read(&domain).await? else { continue };
            if is_unused(&unused, policy.fetched_at()) && self.remove_key(&key).await? {
                room.changed(Some(Size::of(size)), None);
                debug!(%domain, "policy removed from cache to make room");
            }
        }
        if room.has_room(before, after) { Ok(()) } else { Err(StoreError::new(NoRoom)) }
    }

    /// The key of a policy that may have to make room for `policy`.
    async fn longest_unused(
        &self,
        room: &Room,
        policy: &CachedPolicy,
        (before, after): (Option<Size>, Size),
    ) -> Result<Option<String>, StoreError> {
        let found = room.longest_unused(before, after);
        if found.is_some() || !room.may_search(policy.fetched_at()) {
            return Ok(found);
        }
        let mut last = None;
        loop {
            let page = self.list(last.as_ref(), PAGE).await?;
            last = page.last().cloned();
            if last.is_none() {
                return Ok(room.longest_unused(before, after));
            }
        }
    }

    async fn remove_key(&self, key: &str) -> Result<bool, StoreError> {
        self.namespace.remove(key).await.map_err(StoreError::new)
    }

    /// Reads a policy, and how many bytes it takes.
    async fn read(
        &self,
        domain: &PolicyDomain,
    ) -> Result<Option<(CachedPolicy, usize)>, StoreError> {
        decode(self.namespace.get(domain.as_str()).await)
    }
}

/// Whether nobody has used a policy for so long that no mail for its domain is being tried.
fn is_unused(policy: &CachedPolicy, now: SystemTime) -> bool {
    policy.used_at().checked_add(UNUSED_FOR).is_some_and(|until| until < now)
}

/// The policy of `domain` among these values, past the memory of those that are asked for often.
pub(crate) async fn find_kept(
    values: &dyn ReadValues,
    domain: &PolicyDomain,
) -> Result<Option<CachedPolicy>, StoreError> {
    Ok(decode(values.get(NAMESPACE, domain.as_str()).await)?.map(|(policy, _)| policy))
}

/// Up to `limit` domains whose policies are among these values, after `after`.
pub(crate) async fn list_kept(
    values: &dyn ReadValues,
    after: Option<&PolicyDomain>,
    limit: usize,
) -> Result<Vec<PolicyDomain>, StoreError> {
    domains(values.scan(NAMESPACE, after.map(PolicyDomain::as_str), limit).await)
}

/// The policy that a value is, and how many bytes it takes.
fn decode(
    value: Result<Option<Vec<u8>>, queue::StoreError>,
) -> Result<Option<(CachedPolicy, usize)>, StoreError> {
    let Some(bytes) = value.map_err(StoreError::new)? else { return Ok(None) };
    Ok(Some((CachedPolicy::from_bytes(&bytes)?, bytes.len())))
}

/// The domains that keys are.
fn domains(
    rows: Result<Vec<(String, Vec<u8>)>, queue::StoreError>,
) -> Result<Vec<PolicyDomain>, StoreError> {
    let rows = rows.map_err(StoreError::new)?;
    rows.iter().map(|(key, _)| PolicyDomain::parse(key).map_err(StoreError::new)).collect()
}

#[async_trait]
impl PolicyStore for StoredPolicies {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        let Some(cache) = &self.cache else {
            return Ok(self.read(domain).await?.map(|(policy, _)| policy));
        };
        let version = self.namespace.version(domain.as_str());
        if let Some(policy) = cache.find(domain, version) {
            return Ok(policy);
        }
        let (policy, size) = self.read(domain).await?.unzip();
        cache.keep(domain, policy.as_ref(), version, size.unwrap_or_default());
        Ok(policy)
    }

    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        let (key, value) = (policy.domain().as_str(), policy.to_bytes());
        let Some(room) = &self.room else {
            return self.namespace.put(key, value).await.map_err(StoreError::new);
        };
        let before = self.namespace.get(key).await.map_err(StoreError::new)?;
        let (before, after) = (before.map(|value| Size::of(value.len())), Size::of(value.len()));
        self.make_room(room, policy, (before, after)).await?;
        self.namespace.put(key, value).await.map_err(StoreError::new)?;
        room.changed(before, Some(after));
        Ok(())
    }

    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        let key = domain.as_str();
        let Some(room) = &self.room else { return self.remove_key(key).await.map(drop) };
        let before = self.namespace.get(key).await.map_err(StoreError::new)?;
        if self.remove_key(key).await? {
            room.changed(before.map(|value| Size::of(value.len())), None);
        }
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        let after = after.map(PolicyDomain::as_str);
        let rows = self.namespace.scan(after, limit).await;
        if let (Some(room), Ok(rows)) = (&self.room, &rows) {
            room.saw(after, rows, limit);
        }
        domains(rows)
    }
}

/// The policies in a queue that no process has open: they are read, and not changed.
#[derive(Debug)]
pub(crate) struct PoliciesAtRest(pub(crate) Offline);

/// A queue that no process has open is only read.
#[derive(Debug, Error)]
#[error("the queue is not open and is only read")]
struct OnlyRead;

#[async_trait]
impl PolicyStore for PoliciesAtRest {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        find_kept(&self.0, domain).await
    }

    async fn keep(&self, _: &CachedPolicy) -> Result<(), StoreError> {
        Err(StoreError::new(OnlyRead))
    }

    async fn remove(&self, _: &PolicyDomain) -> Result<(), StoreError> {
        Err(StoreError::new(OnlyRead))
    }

    async fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        list_kept(&self.0, after, limit).await
    }
}

/// No policy is kept, for a check alone: it finds everything itself, sends nothing, and keeps nothing.
#[derive(Debug)]
pub(crate) struct NothingKept;

#[async_trait]
impl PolicyStore for NothingKept {
    async fn find(&self, _: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        Ok(None)
    }

    async fn keep(&self, _: &CachedPolicy) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, _: &PolicyDomain) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(
        &self,
        _: Option<&PolicyDomain>,
        _: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        Ok(Vec::new())
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
    use store_embedded::{Embedded, StoreSettings};

    use super::*;

    async fn open(folder: &Path) -> Queue {
        let settings = StoreSettings::new(folder);
        let open = || Embedded::open(settings, Arc::new(SystemClock)).unwrap();
        let store = Arc::new(tokio::task::spawn_blocking(open).await.unwrap());
        Queue::over(store, QueueSettings::default(), Arc::new(SystemClock))
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
            StoredPolicies::of(&queue).keep(policy).await.unwrap();
        }
        queue.close().await;
        drop(queue);

        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue);
        for policy in &kept {
            assert_eq!(stored.find(policy.domain()).await.unwrap().as_ref(), Some(policy));
        }
        stored.remove(kept[0].domain()).await.unwrap();
        assert_eq!(stored.find(kept[0].domain()).await.unwrap(), None);
        queue.close().await;
    }

    #[tokio::test]
    async fn domains_are_listed_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue);
        for name in ["b.example", "a.example", "c.example"] {
            stored.keep(&policy(name, 1)).await.unwrap();
        }
        let first = stored.list(None, 2).await.unwrap();
        let names: Vec<_> = first.iter().map(PolicyDomain::as_str).collect();
        assert_eq!(names, ["a.example", "b.example"]);
        let rest = stored.list(first.last(), 2).await.unwrap();
        assert_eq!(rest.iter().map(PolicyDomain::as_str).collect::<Vec<_>>(), ["c.example"]);
        queue.close().await;
    }

    #[tokio::test]
    async fn a_cached_policy_is_never_older_than_what_was_written_last_by_whomever() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let (cached, plain) = (StoredPolicies::of(&queue).cached(), StoredPolicies::of(&queue));
        let domain = PolicyDomain::parse("a.example").unwrap();
        for hosts in 1..20 {
            let writer = if hosts % 2 == 0 { &cached } else { &plain };
            writer.keep(&policy("a.example", hosts)).await.unwrap();
            for _ in 0..3 {
                let found = cached.find(&domain).await.unwrap().unwrap();
                assert_eq!(found.policy().mx().len(), hosts);
            }
        }
        plain.remove(&domain).await.unwrap();
        assert_eq!(cached.find(&domain).await.unwrap(), None);
        queue.close().await;
        assert!(cached.find(&domain).await.is_err(), "a closed store gives nothing out of memory");
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_is_seen_when_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let (cached, plain) = (StoredPolicies::of(&queue).cached(), StoredPolicies::of(&queue));
        let domain = PolicyDomain::parse("a.example").unwrap();
        for hosts in 1..20 {
            let fresh = policy("a.example", hosts);
            // Polled once, which hands it over, and dropped.
            tokio::select! {
                biased;
                kept = plain.keep(&fresh) => kept.unwrap(),
                () = std::future::ready(()) => {}
            }
            while plain.find(&domain).await.unwrap().as_ref() != Some(&fresh) {
                cached.find(&domain).await.unwrap();
                tokio::task::yield_now().await;
            }
            // Another write by the same thread: the one before is past all its steps by now.
            plain.keep(&policy("b.example", 1)).await.unwrap();
            assert_eq!(cached.find(&domain).await.unwrap(), Some(fresh));
        }
        queue.close().await;
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error_and_not_an_absence() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        queue.values(NAMESPACE).put("a.example", b"nonsense".to_vec()).await.unwrap();
        let stored = StoredPolicies::of(&queue);
        let domain = PolicyDomain::parse("a.example").unwrap();
        assert!(stored.find(&domain).await.is_err());
        assert_eq!(stored.list(None, 9).await.unwrap(), [domain]);
        queue.close().await;
    }

    /// A policy that was fetched, and used, so many days after the first.
    fn on_day(domain: &str, hosts: usize, day: u32) -> CachedPolicy {
        let policy = policy(domain, hosts);
        let at = policy.fetched_at() + day * Duration::from_secs(86_400);
        let (domain, id) = (policy.domain().clone(), policy.id().clone());
        CachedPolicy::new(domain, id, Policy::clone(policy.policy()), at)
    }

    /// Walks over all policies, two at a time, as a refresh does.
    async fn walk(stored: &StoredPolicies) {
        let mut after = None;
        loop {
            let page = stored.list(after.as_ref(), 2).await.unwrap();
            after = page.last().cloned();
            if after.is_none() {
                return;
            }
        }
    }

    async fn kept(stored: &StoredPolicies) -> Vec<String> {
        stored.list(None, 100).await.unwrap().iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn no_newcomer_drives_out_a_policy_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue).within(Limits { policies: 3, large: 1 });
        for domain in ["a.example", "b.example", "c.example"] {
            stored.keep(&on_day(domain, 1, 0)).await.unwrap();
        }
        for day in 0..=7 {
            walk(&stored).await;
            assert!(stored.keep(&on_day("junk.example", 1, day)).await.is_err(), "day {day}");
        }
        // What is there can be written again, and a place that was given up can be taken.
        stored.keep(&on_day("b.example", 2, 1)).await.unwrap();
        assert_eq!(kept(&stored).await, ["a.example", "b.example", "c.example"]);
        stored.remove(&PolicyDomain::parse("c.example").unwrap()).await.unwrap();
        stored.keep(&on_day("d.example", 1, 1)).await.unwrap();
        assert_eq!(kept(&stored).await, ["a.example", "b.example", "d.example"]);
        queue.close().await;
    }

    #[tokio::test]
    async fn the_policy_that_is_unused_for_longest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue).within(Limits { policies: 3, large: 1 });
        for (domain, day) in [("a.example", 1), ("b.example", 0), ("c.example", 8)] {
            stored.keep(&on_day(domain, 1, day)).await.unwrap();
        }
        walk(&stored).await;
        // One that was unused at the walk, and has been used since, stays.
        stored.keep(&on_day("b.example", 1, 8)).await.unwrap();
        stored.keep(&on_day("new.example", 1, 9)).await.unwrap();
        assert_eq!(kept(&stored).await, ["b.example", "c.example", "new.example"]);
        walk(&stored).await;
        assert!(stored.keep(&on_day("another.example", 1, 9)).await.is_err());
        queue.close().await;
    }

    #[tokio::test]
    async fn a_full_cache_is_searched_for_unused_policies_once_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue).within(Limits { policies: 3, large: 1 });
        for (domain, day) in [("a.example", 0), ("b.example", 1), ("c.example", 8)] {
            stored.keep(&on_day(domain, 1, day)).await.unwrap();
        }
        stored.keep(&on_day("new.example", 1, 9)).await.unwrap();
        assert_eq!(kept(&stored).await, ["b.example", "c.example", "new.example"]);
        // What the search found is used up; the next one is not due yet.
        stored.keep(&on_day("newer.example", 1, 9)).await.unwrap();
        assert!(stored.keep(&on_day("newest.example", 1, 9)).await.is_err());
        stored.keep(&on_day("newest.example", 1, 16)).await.unwrap();
        assert_eq!(kept(&stored).await, ["new.example", "newer.example", "newest.example"]);
        queue.close().await;
    }

    #[tokio::test]
    async fn large_policies_take_no_room_from_small_ones() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        let stored = StoredPolicies::of(&queue).within(Limits { policies: 9, large: 2 });
        for domain in ["l1.example", "l2.example"] {
            stored.keep(&on_day(domain, 300, 0)).await.unwrap();
        }
        walk(&stored).await;
        assert!(stored.keep(&on_day("l3.example", 300, 0)).await.is_err());
        stored.keep(&on_day("small.example", 1, 0)).await.unwrap();
        assert!(
            stored.keep(&on_day("small.example", 300, 0)).await.is_err(),
            "it cannot grow large"
        );
        stored.keep(&on_day("l1.example", 400, 8)).await.unwrap();
        walk(&stored).await;
        stored.keep(&on_day("l3.example", 300, 8)).await.unwrap();
        assert_eq!(kept(&stored).await, ["l1.example", "l3.example", "small.example"]);
        queue.close().await;
    }

    #[tokio::test]
    async fn a_start_counts_what_is_there_at_its_first_walk() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path()).await;
        for domain in ["a.example", "b.example", "c.example"] {
            StoredPolicies::of(&queue).keep(&on_day(domain, 1, 0)).await.unwrap();
        }
        let stored = StoredPolicies::of(&queue).within(Limits { policies: 3, large: 1 });
        walk(&stored).await;
        assert!(stored.keep(&on_day("new.example", 1, 1)).await.is_err());
        // The one that makes room is known from the second walk on.
        walk(&stored).await;
        stored.keep(&on_day("new.example", 1, 8)).await.unwrap();
        assert_eq!(kept(&stored).await.len(), 3);
        queue.close().await;
    }
}
