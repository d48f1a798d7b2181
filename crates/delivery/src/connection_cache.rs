//! Sessions between two messages, and sessions that only have to be closed.
//!
//! Sessions that proved their host's name and sessions that did not stand on two caches of
//! different types, so that neither can be taken for the other. A cache is ordered by next hop, and
//! what is taken from it was made for the very licence that is shown (see [`tls_policy`]).
//!
//! No address is looked up for a session that goes on: that its host still is one of the
//! destination's has to be said by who takes it, and how long it may go on is a setting.
//!
//! The reasons: `docs/decisions/0011-reuse-and-pacing.md`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mta_sts::NextHop;
use tls_policy::{Demanded, Encrypted, Excepted, Matched, Trust, Unverified, Verified};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::limit::Limit;
use crate::session::established::{ClosingSession, Session};
use crate::settings::{CLOSING_SESSIONS, DeliverySettings};
use crate::target::Target;

/// All sessions that nobody sends over at the moment.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCaches {
    pub(crate) verified: ConnectionCache<Verified>,
    pub(crate) demanded: ConnectionCache<Demanded>,
    pub(crate) matched: ConnectionCache<Matched>,
    pub(crate) encrypted: ConnectionCache<Encrypted>,
    pub(crate) excepted: ConnectionCache<Excepted>,
    pub(crate) open: ConnectionCache<Unverified>,
    closing_sessions: Mutex<Vec<ClosingSession<TcpStream>>>,
    news: Notify,
}

/// Idle sessions of one kind of trust.
#[derive(Debug)]
pub(crate) struct ConnectionCache<T: Trust> {
    places: Mutex<Cached<T>>,
}

#[derive(Debug)]
struct Cached<T: Trust> {
    by_next_hop: HashMap<NextHop, Vec<CachedConnection<T>>>,
    /// How many sessions there are in all.
    count: usize,
}

#[derive(Debug)]
struct CachedConnection<T: Trust> {
    session: Session<T>,
    target: Target,
    rank: Rank,
    since: Instant,
    /// The same by the relay's clock, which goes on while the machine sleeps.
    since_time: SystemTime,
}

/// Where a session stands until it is taken.
#[derive(Debug)]
pub(crate) struct CachePosition<'a> {
    /// Where the mail goes that the session is for.
    pub(crate) next_hop: NextHop,
    /// The host at the other end.
    pub(crate) target: &'a Target,
    /// How the host stands among those of the next hop.
    pub(crate) rank: Rank,
    /// What time it is.
    pub(crate) now: SystemTime,
}

/// Whether `since` is no longer ago than `limit`, by a clock that may have been set back.
fn is_within(since: SystemTime, now: SystemTime, limit: Duration) -> bool {
    now.duration_since(since).is_ok_and(|idle| idle <= limit)
}

/// How a session's host stood among those of the destination when it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rank {
    /// No other host would talk to us before it: as long as the session lasts, it is as good as the
    /// best one.
    First,
    /// A host before it was asked, and did not take the message. The next message asks that one
    /// first again (RFC 5321 §5.1).
    Later,
}

/// What was taken from a cache.
struct Taken<T: Trust> {
    /// What was looked for.
    session: Option<(Target, Session<T>)>,
    /// What had stood there for too long, or for another version of the policy.
    stale: Vec<Session<T>>,
}

impl<T: Trust> Default for Taken<T> {
    fn default() -> Self {
        Self { session: None, stale: Vec::new() }
    }
}

impl<T: Trust> Default for ConnectionCache<T> {
    fn default() -> Self {
        Self { places: Mutex::new(Cached { by_next_hop: HashMap::new(), count: 0 }) }
    }
}

impl<T: Trust> Cached<T> {
    /// Makes room for another session, by one of which that `is_it`. Each next hop's sessions stand in
    /// the order in which they became idle.
    fn remove_the_longest_idle(
        &mut self,
        is_it: impl Fn(&Session<T>) -> bool,
    ) -> Option<Session<T>> {
        let all = self.by_next_hop.iter().filter_map(|(next_hop, idle)| {
            let place = idle.iter().position(|idle| is_it(&idle.session))?;
            Some((idle.get(place)?.since, next_hop, place))
        });
        let (_, next_hop, place) = all.min_by_key(|(since, ..)| *since)?;
        let next_hop = next_hop.clone();
        let idle = self.by_next_hop.get_mut(&next_hop)?;
        let removed = idle.remove(place);
        if idle.is_empty() {
            self.by_next_hop.remove(&next_hop);
        }
        self.count = self.count.saturating_sub(1);
        Some(removed.session)
    }
}

impl<T: Trust> ConnectionCache<T> {
    fn places(&self) -> MutexGuard<'_, Cached<T>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the session that was used last of those that `licence` covers and `fits` agrees to.
    /// Those that were made under another version of the policy, or are too old, are given back to
    /// be closed.
    fn take(
        &self,
        licence: &T::Licence,
        fits: &impl Fn(&Target, &Session<T>) -> bool,
        now: SystemTime,
        settings: &Arc<DeliverySettings>,
    ) -> Taken<T> {
        let mut places = self.places();
        let next_hop = T::next_hop(licence);
        let Some(idle) = places.by_next_hop.get_mut(&next_hop) else { return Taken::default() };
        let before = idle.len();
        let limit = settings.connection_idle;
        let stale = |CachedConnection { session, since_time, .. }: &mut CachedConnection<T>| {
            !session.covers(licence)
                || !session.was_made_with(settings)
                || !is_within(*since_time, now, limit)
        };
        let stale: Vec<_> = idle.extract_if(.., stale).collect();
        let fitting = idle.iter().rposition(|idle| fits(&idle.target, &idle.session));
        let taken = fitting.map(|place| idle.remove(place));
        let left = idle.len();
        if left == 0 {
            places.by_next_hop.remove(&next_hop);
        }
        places.count = places.count.saturating_sub(before.saturating_sub(left));
        Taken {
            session: taken.map(|idle| (idle.target, idle.session)),
            stale: stale.into_iter().map(|idle| idle.session).collect(),
        }
    }

    /// Puts a session where the next message finds it. Where there is no room for it, the one that
    /// has been idle for the longest makes some: a domain with much mail must not lose its session
    /// to many that have little. What has no place any more is given back to be closed.
    fn put(
        &self,
        session: Session<T>,
        place: CachePosition<'_>,
        settings: &DeliverySettings,
    ) -> Option<Session<T>> {
        let mut places = self.places();
        let idle = places.by_next_hop.get(&place.next_hop);
        if idle.is_some_and(|idle| idle.len() >= settings.per_domain) {
            return Some(session);
        }
        let removed = if places.count < settings.workers {
            None
        } else {
            places.remove_the_longest_idle(|_any| true)
        };
        let CachePosition { next_hop, target, rank, now: since_time } = place;
        let idle = CachedConnection {
            session,
            target: target.clone(),
            rank,
            since: Instant::now(),
            since_time,
        };
        places.by_next_hop.entry(next_hop).or_default().push(idle);
        places.count = places.count.saturating_add(1);
        removed
    }

    /// The hosts of a next hop that would be asked first, with whom there is a session, and since when.
    fn first_of(&self, next_hop: &NextHop) -> Vec<(Instant, Target)> {
        let places = self.places();
        let idle = places.by_next_hop.get(next_hop).into_iter().flatten();
        let first = idle.filter(|idle| idle.rank == Rank::First);
        first.map(|idle| (idle.since, idle.target.clone())).collect()
    }

    /// How many sessions stand here.
    fn count(&self) -> usize {
        self.places().count
    }

    /// Removes the sessions that have been idle since `since`, or before.
    fn remove_idle_since(&self, since: Instant) -> Vec<Session<T>> {
        let mut places = self.places();
        let mut removed = Vec::new();
        places.by_next_hop.retain(|_, idle| {
            removed.extend(idle.extract_if(.., |idle| idle.since <= since));
            !idle.is_empty()
        });
        places.count = places.count.saturating_sub(removed.len());
        removed.into_iter().map(|idle| idle.session).collect()
    }

    /// Takes the session that has been idle for the longest of those under a limit, to be closed.
    fn give_up_one(&self, limit: &Limit) -> Option<ClosingSession<TcpStream>> {
        let is_under =
            |session: &Session<T>| session.kept_under().is_some_and(|one| one.name == limit.name);
        self.places().remove_the_longest_idle(is_under).map(Session::close)
    }

    /// When the first session was left idle.
    fn first(&self) -> Option<Instant> {
        let places = self.places();
        places.by_next_hop.values().flatten().map(|idle| idle.since).min()
    }
}

impl ConnectionCaches {
    /// The hosts of a next hop that would be asked first and with whom there is a session, the one
    /// that was used last before all others.
    pub(crate) fn first(&self, next_hop: &NextHop) -> Vec<Target> {
        let mut found = self.verified.first_of(next_hop);
        found.extend(self.demanded.first_of(next_hop));
        found.extend(self.matched.first_of(next_hop));
        found.extend(self.encrypted.first_of(next_hop));
        found.extend(self.excepted.first_of(next_hop));
        found.extend(self.open.first_of(next_hop));
        found.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        found.into_iter().map(|(_, target)| target).collect()
    }

    /// Takes a session that was made for this mail and with these settings, was not idle for too
    /// long, and whose host has not taken its leave.
    pub(crate) fn take<T: Trust>(
        &self,
        cache: &ConnectionCache<T>,
        licence: &T::Licence,
        fits: &impl Fn(&Target, &Session<T>) -> bool,
        now: SystemTime,
        settings: &Arc<DeliverySettings>,
    ) -> Option<(Target, Session<T>)> {
        loop {
            let Taken { session, stale } = cache.take(licence, fits, now, settings);
            for session in stale {
                self.close(session);
            }
            let (target, mut session) = session?;
            if session.is_quiet() {
                return Some((target, session));
            }
            tracing::debug!(mx = session.host(), "idle connection closed by the host");
        }
    }

    /// Keeps a session for the next message, or has it closed.
    pub(crate) fn keep<T: Trust>(
        &self,
        cache: &ConnectionCache<T>,
        mut session: Session<T>,
        place: CachePosition<'_>,
        settings: &DeliverySettings,
    ) {
        if settings.connection_idle.is_zero() || !session.may_go_on() || !session.is_quiet() {
            return self.close(session);
        }
        session.rest();
        match cache.put(session, place, settings) {
            Some(session) => self.close(session),
            // With more of them, whoever tends the caches knows when to look at them next.
            None if cache.count() <= 1 => self.news.notify_one(),
            None => {}
        }
    }

    /// Has a session closed; nobody waits for it.
    pub(crate) fn close<T: Trust>(&self, session: Session<T>) {
        let mut closing_sessions = self.closing_sessions();
        if closing_sessions.len() < CLOSING_SESSIONS {
            closing_sessions.push(session.close());
        }
        drop(closing_sessions);
        self.news.notify_one();
    }

    /// Takes a session under a limit out, whose connection is needed for other mail.
    pub(crate) fn give_up_one(&self, limit: &Limit) -> Option<ClosingSession<TcpStream>> {
        self.open
            .give_up_one(limit)
            .or_else(|| self.verified.give_up_one(limit))
            .or_else(|| self.demanded.give_up_one(limit))
            .or_else(|| self.matched.give_up_one(limit))
            .or_else(|| self.encrypted.give_up_one(limit))
            .or_else(|| self.excepted.give_up_one(limit))
    }

    fn closing_sessions(&self) -> MutexGuard<'_, Vec<ClosingSession<TcpStream>>> {
        self.closing_sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what was idle for too long or is not wanted any more, until `done`; then all.
    pub(crate) async fn tend(&self, limit: impl Fn() -> Duration, done: &CancellationToken) {
        let mut closing = JoinSet::new();
        while !done.is_cancelled() {
            let limit = limit();
            self.close_idle_since(Instant::now().checked_sub(limit));
            self.quit_closing_sessions(&mut closing);
            let first = [
                self.verified.first(),
                self.demanded.first(),
                self.matched.first(),
                self.encrypted.first(),
                self.excepted.first(),
                self.open.first(),
            ]
            .into_iter()
            .flatten()
            .min();
            let next = first.and_then(|first| first.checked_add(limit));
            tokio::select! {
                () = done.cancelled() => {}
                () = self.news.notified() => {}
                Some(closed) = closing.join_next() => drop(closed),
                () = wait_until(next) => {}
            }
        }
        self.close_idle_since(Some(Instant::now()));
        self.quit_closing_sessions(&mut closing);
        while closing.join_next().await.is_some() {}
    }

    fn close_idle_since(&self, since: Option<Instant>) {
        let Some(since) = since else { return };
        for session in self.verified.remove_idle_since(since) {
            self.close(session);
        }
        for session in self.demanded.remove_idle_since(since) {
            self.close(session);
        }
        for session in self.matched.remove_idle_since(since) {
            self.close(session);
        }
        for session in self.encrypted.remove_idle_since(since) {
            self.close(session);
        }
        for session in self.excepted.remove_idle_since(since) {
            self.close(session);
        }
        for session in self.open.remove_idle_since(since) {
            self.close(session);
        }
    }

    fn quit_closing_sessions(&self, closing: &mut JoinSet<()>) {
        for closing_session in std::mem::take(&mut *self.closing_sessions()) {
            // Those that do not answer QUIT are closed all the same, some time later.
            if closing.len() < CLOSING_SESSIONS {
                closing.spawn(closing_session.quit());
            }
        }
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
