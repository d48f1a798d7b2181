//! Which limits mail is under, how much of them is taken, and which of them hosts have slowed.
//!
//! The entries of a destination under a limit are leased when there is room for them, so whoever
//! waits for that takes no slot; the queue keeps them in the limit's line. What host a message goes to
//! is not known before its lease, so it is remembered which limit the hosts of a destination were under
//! last; where that has changed, the lease is put back before anybody is asked.
//!
//! The reasons: `docs/decisions/0027-limits.md`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mta_sts::OpenHost;
use queue::{Paced, PacedLine, Queue};
use tokio::sync::Notify;

use crate::limit::{Limit, Limits, Rate};
use crate::pace::{Halved, Pace, Recent, TooEarly, micros, time_of};

/// Of how many destinations it is remembered that their hosts have slowed them, and of how many which
/// limit their hosts are under.
const MOST: usize = 10_000;

/// How much of a reply is kept, in octets.
const REPLY: usize = 300;

/// What limits leave, and what hosts have slowed.
#[derive(Debug)]
pub(crate) struct Paces {
    table: Mutex<Table>,
    queue: Queue,
    /// Wakes those who wait until a connection is closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    shares: HashMap<PaceKey, Share>,
    /// The limit that the hosts of a destination were under last; none: no limit.
    of_hosts: HashMap<Box<str>, Option<Arc<str>>>,
    /// The number of the line that was given last.
    last_line: u64,
}

/// Whose pace it is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PaceKey {
    /// That of the limit of this name.
    Limit(Arc<str>),
    /// That of a destination under no limit, which its hosts have slowed.
    Destination(Arc<str>),
}

/// What is taken of a limit.
#[derive(Debug)]
struct Share {
    line: PacedLine,
    pace: Pace,
    /// By attempts that have a turn: each has a connection at most.
    active: usize,
    /// By connections that wait for a message, or to be closed.
    kept: usize,
    /// Whether somebody was turned away for want of a connection.
    wanted: bool,
}

/// Mail to a destination, at a time, and the limits there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Under<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) destination: &'a str,
    pub(crate) now: SystemTime,
}

/// What is to be told of a limit, or of a destination that its hosts have slowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaceStatus {
    /// Whose pace it is.
    pub key: PaceKey,
    /// How many connections there are, those included that wait for a message.
    pub connections: usize,
    /// How many there may be; none: any number.
    pub most_connections: Option<usize>,
    /// How far messages are apart; none: they follow each other as they come.
    pub interval: Option<Duration>,
    /// How many destinations wait.
    pub waiting: usize,
    /// What has slowed it.
    pub slowed: Option<SlowedBy>,
}

/// What has slowed a pace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlowedBy {
    /// When it was halved last.
    pub since: SystemTime,
    /// The reply that named a rate.
    pub reply: Arc<str>,
}

impl Paces {
    /// Nothing is taken yet, of mail in this queue.
    pub(crate) fn new(queue: Queue) -> Self {
        Self { table: Mutex::default(), queue, closed: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a message be sent whose hosts are not known yet; none where it is under no limit.
    ///
    /// # Errors
    ///
    /// [`Paced`] where it has to wait.
    pub(crate) fn admit(self: &Arc<Self>, under: Under<'_>) -> Result<Option<PaceTurn>, Paced> {
        let mut table = self.table();
        if under.limits.is_empty() && table.shares.is_empty() {
            return Ok(None);
        }
        let limit = match table.of_hosts.get(under.destination) {
            Some(known) => known.as_ref().and_then(|name| under.limits.named(name)),
            None => under.limits.of_destination(under.destination),
        };
        self.take(&mut table, limit, under)
    }

    /// Lets a message be sent to this host, that has `held` until now.
    ///
    /// # Errors
    ///
    /// [`Paced`] where it has to wait; what was held is given back.
    pub(crate) fn enter(
        self: &Arc<Self>,
        held: Option<PaceTurn>,
        host: &OpenHost,
        under: Under<'_>,
    ) -> Result<Option<PaceTurn>, Paced> {
        let limit = under.limits.of_host(under.destination, host);
        let is_same = |turn: &PaceTurn| {
            turn.limit.as_ref().map(|limit| &limit.name) == limit.map(|limit| &limit.name)
        };
        if held.as_ref().is_some_and(is_same) {
            return Ok(held);
        }
        drop(held);
        let mut table = self.table();
        if under.limits.is_empty() && table.shares.is_empty() {
            return Ok(None);
        }
        table.learn(under.destination, limit);
        self.take(&mut table, limit, under)
    }

    /// Takes a turn of a limit, or of a destination that its hosts have slowed.
    fn take(
        self: &Arc<Self>,
        table: &mut Table,
        limit: Option<&Arc<Limit>>,
        under: Under<'_>,
    ) -> Result<Option<PaceTurn>, Paced> {
        let key = PaceKey::of(limit, under.destination);
        let now = micros(under.now);
        if limit.is_none() && !table.is_slowed(&key, now) {
            return Ok(None);
        }
        let share = table.share(&key);
        if limit.and_then(|limit| limit.connections).is_some_and(|most| share.active >= most) {
            share.wanted = true;
            return Err(Paced { line: share.line, until: None });
        }
        if let Err(TooEarly(until)) =
            share.pace.begin(limit.and_then(|limit| own_interval(limit)), now)
        {
            return Err(Paced { line: share.line, until: Some(time_of(until)) });
        }
        share.active = share.active.saturating_add(1);
        let begun = Some(Begun { next: share.pace.next(), at: now });
        Ok(Some(PaceTurn { paces: Arc::clone(self), key, limit: limit.cloned(), begun }))
    }

    /// A host has replied that we send too fast: to mail under this limit, or else to this destination,
    /// to which so many messages were sent of late.
    pub(crate) fn slow(
        &self,
        limit: Option<&Arc<Limit>>,
        under: Under<'_>,
        recent: Recent,
        reply: &str,
    ) -> Halved {
        let reply = reply.get(..reply.floor_char_boundary(REPLY)).unwrap_or(reply);
        let (key, now) = (PaceKey::of(limit, under.destination), micros(under.now));
        let mut table = self.table();
        if !table.shares.contains_key(&key) {
            if table.shares.len() >= MOST {
                table.shares.retain(|key, share| share.is_of_use(key, now));
            }
            if table.shares.len() >= MOST {
                return Halved::Before;
            }
            table.share(&key).pace = Pace::after(recent);
        }
        let own = limit.and_then(|limit| own_interval(limit));
        table.share(&key).pace.slow(own, now, reply)
    }

    /// Whether there are more connections under a limit than there may be, with the one that a turn is
    /// about to open.
    pub(crate) fn is_crowded(&self, limit: &Limit) -> bool {
        let Some(most) = limit.connections else { return false };
        let table = self.table();
        let share = table.shares.get(&PaceKey::Limit(Arc::clone(&limit.name)));
        share.is_some_and(|share| share.connections() > most)
    }

    /// Waits until there is room for a connection under a limit, for so long at most.
    pub(crate) async fn until_room(&self, limit: &Limit, patience: Duration) {
        let room = async {
            loop {
                let closed = self.closed.notified();
                tokio::pin!(closed);
                closed.as_mut().enable();
                if !self.is_crowded(limit) {
                    return;
                }
                closed.await;
            }
        };
        // Whoever does not close a connection in time is cut, so the wait has an end.
        drop(tokio::time::timeout(patience, room).await);
    }

    /// There are other limits now: whoever waits is asked again.
    pub(crate) fn changed(&self, limits: &Limits) {
        let mut table = self.table();
        table.of_hosts.clear();
        table.shares.retain(|key, share| match key {
            PaceKey::Limit(name) => limits.named(name).is_some() || share.connections() > 0,
            PaceKey::Destination(_) => true,
        });
        drop(table);
        self.queue.move_all();
    }

    /// What there is to be told of these limits, and of destinations that are slowed.
    pub(crate) fn status(&self, limits: &Limits, now: SystemTime) -> Vec<PaceStatus> {
        let now = micros(now);
        let mut table = self.table();
        let mut all = Vec::new();
        for limit in limits.all() {
            let key = PaceKey::Limit(Arc::clone(&limit.name));
            let share = table.share(&key);
            all.push((share.line, share.status(key, Some(limit), now)));
        }
        for (key, share) in &mut table.shares {
            if let PaceKey::Destination(_) = key
                && share.is_of_use(key, now)
            {
                all.push((share.line, share.status(key.clone(), None, now)));
            }
        }
        drop(table);
        let waiting = |line| self.queue.paced_in(line);
        let told = all.into_iter();
        let mut told: Vec<_> =
            told.map(|(line, one)| PaceStatus { waiting: waiting(line), ..one }).collect();
        told.sort_by(|one, other| one.key.cmp(&other.key));
        told
    }

    /// A turn, or a connection that was kept, has ended.
    fn ended(&self, key: &PaceKey, end: impl FnOnce(&mut Share)) {
        let mut table = self.table();
        let Some(share) = table.shares.get_mut(key) else { return };
        end(share);
        let wanted = std::mem::take(&mut share.wanted).then_some(share.line);
        drop(table);
        if let Some(line) = wanted {
            self.queue.move_on(line);
        }
        self.closed.notify_waiters();
    }
}

impl Table {
    /// The share of this key, made when there is none.
    fn share(&mut self, key: &PaceKey) -> &mut Share {
        let last_line = &mut self.last_line;
        self.shares.entry(key.clone()).or_insert_with(|| {
            *last_line = last_line.saturating_add(1);
            Share {
                line: PacedLine(*last_line),
                pace: Pace::default(),
                active: 0,
                kept: 0,
                wanted: false,
            }
        })
    }

    /// Whether a destination is slowed at `now`; one that was is forgotten.
    fn is_slowed(&mut self, key: &PaceKey, now: u64) -> bool {
        let Some(share) = self.shares.get_mut(key) else { return false };
        let is_slowed = share.is_of_use(key, now);
        if !is_slowed {
            self.shares.remove(key);
        }
        is_slowed
    }

    /// Learns which limit the hosts of a destination are under.
    fn learn(&mut self, destination: &str, limit: Option<&Arc<Limit>>) {
        let name = limit.map(|limit| Arc::clone(&limit.name));
        if let Some(known) = self.of_hosts.get_mut(destination) {
            *known = name;
            return;
        }
        if self.of_hosts.len() >= MOST {
            self.of_hosts.clear();
        }
        self.of_hosts.insert(destination.into(), name);
    }
}

impl Share {
    /// How many connections there are.
    const fn connections(&self) -> usize {
        self.active.saturating_add(self.kept)
    }

    /// Whether it holds anything that is worth to be kept: a destination's, that it is slowed.
    fn is_of_use(&mut self, key: &PaceKey, now: u64) -> bool {
        match key {
            PaceKey::Limit(_) => true,
            PaceKey::Destination(_) => self.pace.interval(None, now).is_some(),
        }
    }

    fn status(&mut self, key: PaceKey, limit: Option<&Limit>, now: u64) -> PaceStatus {
        let interval = self.pace.interval(limit.and_then(own_interval), now);
        let slowed = self.pace.slowed();
        PaceStatus {
            key,
            connections: self.connections(),
            most_connections: limit.and_then(|limit| limit.connections),
            interval: interval.map(Duration::from_micros),
            waiting: 0,
            slowed: slowed
                .map(|slowed| SlowedBy { since: slowed.since(), reply: Arc::clone(&slowed.reply) }),
        }
    }
}

impl PaceKey {
    /// That of a limit, or of a destination under none.
    fn of(limit: Option<&Arc<Limit>>, destination: &str) -> Self {
        match limit {
            Some(limit) => Self::Limit(Arc::clone(&limit.name)),
            None => Self::Destination(destination.into()),
        }
    }

    /// The limit's name, or the destination.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        let (Self::Limit(name) | Self::Destination(name)) = self;
        name
    }
}

/// How far a limit wants messages to be apart, in microseconds.
fn own_interval(limit: &Limit) -> Option<u64> {
    limit.rate.map(Rate::interval)
}

/// A message's turn of a limit, until it is dropped: one of its connections, and its place in the rate.
#[derive(Debug)]
pub(crate) struct PaceTurn {
    paces: Arc<Paces>,
    key: PaceKey,
    limit: Option<Arc<Limit>>,
    /// The place in the rate, until a host has been asked to take the message.
    begun: Option<Begun>,
}

/// A place in a rate.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// When the next one may begin.
    next: u64,
    at: u64,
}

impl PaceTurn {
    /// The limit that it is a turn of; none where the destination is slowed.
    pub(crate) const fn limit(&self) -> Option<&Arc<Limit>> {
        self.limit.as_ref()
    }

    /// A host is asked to take the message: its place in the rate is used.
    pub(crate) const fn use_up(&mut self) {
        self.begun = None;
    }

    /// A connection under the limit that is kept when the turn ends; none under no limit.
    pub(crate) fn keep_connection(&self) -> Option<KeptConnection> {
        let limit = Arc::clone(self.limit.as_ref()?);
        let mut table = self.paces.table();
        let share = table.share(&self.key);
        share.kept = share.kept.saturating_add(1);
        drop(table);
        Some(KeptConnection { paces: Arc::clone(&self.paces), limit })
    }
}

impl Drop for PaceTurn {
    fn drop(&mut self) {
        let own = self.limit.as_deref().and_then(own_interval);
        self.paces.ended(&self.key, |share| {
            share.active = share.active.saturating_sub(1);
            if let Some(Begun { next, at }) = self.begun {
                share.pace.take_back(next, own, at);
            }
        });
    }
}

/// A connection under a limit that no attempt has, until it is dropped.
#[derive(Debug)]
pub(crate) struct KeptConnection {
    paces: Arc<Paces>,
    limit: Arc<Limit>,
}

impl KeptConnection {
    /// The limit.
    pub(crate) const fn limit(&self) -> &Arc<Limit> {
        &self.limit
    }
}

impl Drop for KeptConnection {
    fn drop(&mut self) {
        let key = PaceKey::Limit(Arc::clone(&self.limit.name));
        self.paces.ended(&key, |share| share.kept = share.kept.saturating_sub(1));
    }
}
