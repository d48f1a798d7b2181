//! How much room kept policies may take, and which of them make room for others.
//!
//! Who may hand in mail can have a policy kept for each name that they have a certificate for. What is
//! kept protects mail to other domains, so a policy that was used within the last week never makes
//! room: mail that waits is tried again within hours, and each attempt uses the policy of its domain.
//! Where all are in use the newcomer is not kept; its policy is then fetched for each message.
//!
//! The reasons: `docs/decisions/0014-room-for-policies.md`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mta_sts::CachedPolicy;

/// How long a policy has to be unused before it makes room for another: longer than any message goes
/// untried that is not on hold.
pub(super) const UNUSED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Policies of more bytes are counted by themselves.
const LARGE: usize = 4096;

/// How many of those are remembered that are unused for longest.
const CANDIDATES: usize = 1000;

/// How often, at most, a full cache is searched for policies that are unused.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How many policies are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of all sizes.
    pub(super) policies: usize,
    /// Large ones among them.
    pub(super) large: usize,
}

impl Limits {
    /// A million domains, and 4,096 of them with large policies: some 4 GiB, if all are as large as
    /// they may be; in practice a policy takes 300 bytes.
    pub(super) const USUAL: Self = Self { policies: 1 << 20, large: 4096 };
}

/// There is no room for a further policy.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the policy cache is full, and every policy in it is in use")]
pub(super) struct NoRoom;

/// What counts for the room that a policy takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Size {
    Large,
    Small,
}

impl Size {
    pub(super) const fn of(bytes: usize) -> Self {
        if bytes > LARGE { Self::Large } else { Self::Small }
    }
}

/// The room, as it was at the last walk over all policies, and what has changed since.
#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: Tally,
    unused: Unused,
    walk: Walk,
    /// When a full cache was last searched.
    searched: Option<SystemTime>,
}

/// How many policies there are.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    policies: usize,
    large: usize,
}

/// A walk over all policies, page by page.
#[derive(Debug, Default)]
struct Walk {
    /// The key after which the next page begins.
    next: Option<String>,
    tally: Tally,
    unused: Unused,
}

/// The policies that have been unused for longest, the longest last; and the large ones among them.
#[derive(Debug, Default)]
struct Unused {
    all: Vec<(SystemTime, String)>,
    large: Vec<(SystemTime, String)>,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Takes note of a page of policies; one of less than `limit` is the last.
    pub(super) fn saw(&self, after: Option<&str>, rows: &[(String, Vec<u8>)], limit: usize) {
        let mut state = self.lock();
        let State { taken, unused, walk, searched: _ } = &mut *state;
        if after.is_none() {
            *walk = Walk::default();
        } else if walk.next.as_deref() != after {
            return;
        }
        // While there is room for many, it does not matter which would go first.
        let filling = taken.policies >= self.limits.policies / 10 * 9
            || taken.large >= self.limits.large / 10 * 9;
        for (key, bytes) in rows {
            let size = Size::of(bytes.len());
            walk.tally.add(size);
            if filling && let Ok(policy) = CachedPolicy::from_bytes(bytes) {
                walk.unused.add(policy.used_at(), key, size);
            }
        }
        walk.next = rows.last().map(|(key, _)| key.clone());
        if rows.len() < limit {
            *taken = walk.tally;
            *unused = std::mem::take(&mut walk.unused);
            *walk = Walk::default();
        }
    }

    /// Whether a value of this size has room in the place of what was there.
    pub(super) fn has_room(&self, before: Option<Size>, after: Size) -> bool {
        let state = self.lock();
        let further = before.is_none() && state.taken.policies >= self.limits.policies;
        !further && !self.is_large_full(&state, before, after)
    }

    /// The key of a policy that may have to make room for such a value; each is given once.
    pub(super) fn longest_unused(&self, before: Option<Size>, after: Size) -> Option<String> {
        let mut state = self.lock();
        let large = self.is_large_full(&state, before, after);
        let unused = &mut state.unused;
        let list = if large { &mut unused.large } else { &mut unused.all };
        list.pop().map(|(_, key)| key)
    }

    /// Whether all policies may be walked over at `now` to find more of those that are unused. A yes
    /// counts as done, so that no flood of new domains has them all read again and again.
    pub(super) fn may_search(&self, now: SystemTime) -> bool {
        let mut state = self.lock();
        let since = state.searched.and_then(|searched| now.duration_since(searched).ok());
        if since.is_some_and(|since| since < SEARCH_INTERVAL) {
            return false;
        }
        state.searched = Some(now);
        true
    }

    /// Counts that a value has taken the place of another.
    pub(super) fn changed(&self, before: Option<Size>, after: Option<Size>) {
        let taken = &mut self.lock().taken;
        if let Some(size) = after {
            taken.add(size);
        }
        if let Some(size) = before {
            taken.policies = taken.policies.saturating_sub(1);
            taken.large = taken.large.saturating_sub(usize::from(size == Size::Large));
        }
    }

    /// A policy that was large is not refused for what it has grown to.
    fn is_large_full(&self, state: &State, before: Option<Size>, after: Size) -> bool {
        after == Size::Large
            && before != Some(Size::Large)
            && state.taken.large >= self.limits.large
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn add(&mut self, size: Size) {
        self.policies = self.policies.saturating_add(1);
        self.large = self.large.saturating_add(usize::from(size == Size::Large));
    }
}

impl Unused {
    fn add(&mut self, used_at: SystemTime, key: &str, size: Size) {
        insert(&mut self.all, used_at, key);
        if size == Size::Large {
            insert(&mut self.large, used_at, key);
        }
    }
}

/// Puts a policy in its place among those that have been unused for longest.
fn insert(list: &mut Vec<(SystemTime, String)>, used_at: SystemTime, key: &str) {
    if list.len() >= CANDIDATES && list.first().is_some_and(|(first, _)| used_at >= *first) {
        return;
    }
    let place = list.partition_point(|(at, _)| *at > used_at);
    list.insert(place, (used_at, key.to_owned()));
    if list.len() > CANDIDATES {
        list.remove(0);
    }
}
