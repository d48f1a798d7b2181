//! Which notices there are, and who is to be told what: the rules, without any I/O.
//!
//! * What lasts is told once it has lasted for the event's grace, and is over once it has been over for as
//!   long: what comes and goes is one notice.
//! * Over [`MANY`] of one event with one cause are one notice; what joins them later is part of it.
//! * A destination is told when a notice fires, when it becomes more urgent, each `repeat` while it lasts,
//!   and when it is over, if it was told before.
//! * What a destination is to be told waits until it has been: for a day at most, each time longer.
//!
//! Times are milliseconds since 1970.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::condition::Condition;
use crate::destination::Destination;
use crate::event::{Event, Lasting};
use crate::notice::{About, Notice, NoticeKey, Pending, Place, Status, Told};
use crate::severity::Severity;

/// More of one event with one cause than this are one notice.
const MANY: usize = 10;

/// So many conditions are looked at; more than that are no more telling.
const CONDITIONS_MOST: usize = 10_000;

/// So many notices are kept. While they are this many, nothing new is told.
const NOTICES_MOST: usize = 1_000;

/// For how long it is tried to tell something.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// How long the first two tries are apart; each next ones twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// No two tries are further apart.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// All notices that have not come to their end.
#[derive(Debug, Default)]
pub(crate) struct Board {
    notices: BTreeMap<NoticeKey, Notice>,
    /// What is so, and since when it has been seen.
    seen: BTreeMap<(Event, String), u64>,
    /// When each notice was last found to hold.
    held: BTreeMap<NoticeKey, u64>,
}

/// Whether a notice that could not be sent is tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effort {
    /// It is.
    Again,
    /// It has been tried for a day.
    GivenUp,
}

/// Conditions of one event with one cause, each with whom it is about.
type Group<'a> = Vec<(String, &'a Condition)>;

/// What is to be told of one notice, once what is seen has been put together.
struct Wanted {
    severity: Severity,
    summary: String,
}

impl Board {
    /// Goes on with what was kept, at `now`: what was so when the last relay ended is taken to be so until
    /// it has not been seen for its grace.
    pub(crate) fn resume(kept: Vec<Notice>, now: u64) -> Self {
        let held = kept.iter().map(|notice| (notice.key.clone(), now)).collect();
        let notices = kept.into_iter().map(|notice| (notice.key.clone(), notice)).collect();
        Self { notices, seen: BTreeMap::new(), held }
    }

    /// All notices.
    pub(crate) fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values()
    }

    /// Takes in what is so at `now`: all that there is of the events in `looked`, and nothing is known of
    /// others.
    pub(crate) fn see(&mut self, looked: &[Event], conditions: &[Condition], now: u64) {
        let ripe = self.ripe(looked, conditions, now);
        for (key, Wanted { severity, summary }) in self.together(ripe) {
            self.held.insert(key.clone(), now);
            let is_new = self.notices.get(&key).is_none_or(|notice| notice.ended.is_some());
            if is_new && self.notices.len() >= NOTICES_MOST && !self.notices.contains_key(&key) {
                continue;
            }
            let new = || Notice {
                key: key.clone(),
                severity,
                summary: summary.clone(),
                since: now,
                ended: None,
                places: BTreeMap::new(),
            };
            let notice = self.notices.entry(key.clone()).or_insert_with(new);
            if is_new {
                (notice.since, notice.ended) = (now, None);
            }
            (notice.severity, notice.summary) = (severity, summary);
        }
        self.end(looked, now);
    }

    /// What has lasted for its grace, or is told already.
    fn ripe<'a>(
        &mut self,
        looked: &[Event],
        conditions: &'a [Condition],
        now: u64,
    ) -> Vec<(String, &'a Condition)> {
        let conditions = conditions.iter().take(CONDITIONS_MOST);
        let named: Vec<_> = conditions.map(|one| (one.subject(), one)).collect();
        let current: BTreeSet<_> =
            named.iter().map(|(subject, one)| (one.event(), subject.clone())).collect();
        self.seen.retain(|key, _| !looked.contains(&key.0) || current.contains(key));
        for key in current {
            self.seen.entry(key).or_insert(now);
        }
        let is_ripe = |(subject, one): &(String, &Condition)| {
            let event = one.event();
            let since = self.seen.get(&(event, subject.clone())).copied().unwrap_or(now);
            // What is told already need not last again before it counts.
            now.saturating_sub(since) >= millis(event.grace()) || self.is_told(event, subject, one)
        };
        named.into_iter().filter(is_ripe).collect()
    }

    /// The notices that these are: one for each, or one for many.
    fn together(&self, ripe: Vec<(String, &Condition)>) -> Vec<(NoticeKey, Wanted)> {
        let mut groups: BTreeMap<(Event, Option<String>), Group<'_>> = BTreeMap::new();
        for (subject, one) in ripe {
            groups.entry((one.event(), one.cause())).or_default().push((subject, one));
        }
        let mut wanted = Vec::new();
        for ((event, cause), ones) in groups {
            let many = cause.map(|cause| NoticeKey { event, about: About::Many(cause) });
            let many = many.filter(|key| self.is_firing(key) || ones.len() > MANY);
            let severity = ones.iter().map(|(_, one)| one.severity()).max().unwrap_or_default();
            if let Some(key) = many {
                let summary = of_many(&ones);
                wanted.push((key, Wanted { severity, summary }));
                // Those that were told alone go on alone.
                let alone = ones.into_iter().filter_map(|(subject, one)| {
                    let key = NoticeKey { event, about: About::One(subject) };
                    self.is_firing(&key).then(|| (key, alone(one)))
                });
                wanted.extend(alone);
            } else {
                wanted.extend(ones.into_iter().map(|(subject, one)| {
                    (NoticeKey { event, about: About::One(subject) }, alone(one))
                }));
            }
        }
        wanted
    }

    /// Whether this is in a notice that is firing, alone or with others.
    fn is_told(&self, event: Event, subject: &str, one: &Condition) -> bool {
        let alone = NoticeKey { event, about: About::One(subject.to_owned()) };
        let many = one.cause().map(|cause| NoticeKey { event, about: About::Many(cause) });
        self.is_firing(&alone) || many.is_some_and(|many| self.is_firing(&many))
    }

    fn is_firing(&self, key: &NoticeKey) -> bool {
        self.notices.get(key).is_some_and(|notice| notice.ended.is_none())
    }

    /// Ends what has not been so for its grace.
    fn end(&mut self, looked: &[Event], now: u64) {
        for (key, notice) in &mut self.notices {
            let held = self.held.get(key).copied().unwrap_or(notice.since);
            let is_over = now.saturating_sub(held) >= millis(key.event.grace()) && held < now;
            if notice.ended.is_none() && looked.contains(&key.event) && is_over {
                notice.ended = Some(now);
            }
        }
    }

    /// Notes who is to be told what by now, and forgets what everybody knows who is to.
    pub(crate) fn plan(&mut self, destinations: &[Destination], now: u64) {
        for notice in self.notices.values_mut() {
            notice.places.retain(|name, _| destinations.iter().any(|one| one.name == *name));
            for destination in destinations {
                plan_for(notice, destination, now);
            }
        }
        self.notices.retain(|_, notice| notice.ended.is_none() || !notice.places.is_empty());
        self.held.retain(|key, _| self.notices.contains_key(key));
    }

    /// What `destination` is to be told by now: what has waited longest.
    pub(crate) fn due(&self, destination: &str, now: u64) -> Option<(&Notice, Pending)> {
        let pending = self.pending(destination).filter(|(_, pending)| pending.due <= now);
        pending.min_by_key(|(_, pending)| pending.due)
    }

    /// When something is to be told to anybody of these next.
    pub(crate) fn next_due(&self, destinations: &[Destination]) -> Option<u64> {
        let all = destinations.iter().flat_map(|one| self.pending(&one.name));
        all.map(|(_, pending)| pending.due).min()
    }

    fn pending(&self, destination: &str) -> impl Iterator<Item = (&Notice, Pending)> {
        self.notices
            .values()
            .filter_map(move |notice| Some((notice, notice.places.get(destination)?.pending?)))
    }

    /// A destination has been told what it was to be told.
    pub(crate) fn told(&mut self, key: &NoticeKey, destination: &str, what: Pending, now: u64) {
        let Some(notice) = self.notices.get_mut(key) else { return };
        let severity = notice.severity;
        let Some(place) = notice.places.get_mut(destination) else { return };
        // It may have become something else meanwhile.
        if place.pending.is_some_and(|pending| pending.begun == what.begun) {
            place.pending = None;
        }
        place.told = match what.status {
            Status::Firing | Status::Reminder | Status::Test => Some(Told { at: now, severity }),
            Status::Resolved => None,
        };
        if *place == Place::default() {
            notice.places.remove(destination);
        }
    }

    /// It could not be told.
    pub(crate) fn failed(
        &mut self,
        key: &NoticeKey,
        destination: &str,
        what: Pending,
        now: u64,
    ) -> Effort {
        let place = self.notices.get_mut(key).and_then(|notice| notice.places.get_mut(destination));
        let pending = place.and_then(|place| place.pending.as_mut());
        let Some(pending) = pending.filter(|pending| pending.begun == what.begun) else {
            return Effort::Again;
        };
        if now.saturating_sub(pending.begun) >= millis(GIVE_UP_AFTER) {
            // As if it had been told: it is told again when that is due.
            self.told(key, destination, what, now);
            return Effort::GivenUp;
        }
        pending.tries = pending.tries.saturating_add(1);
        pending.due = now.saturating_add(millis(wait_after(pending.tries)));
        Effort::Again
    }
}

/// Notes what one destination is to be told of a notice by now.
fn plan_for(notice: &mut Notice, destination: &Destination, now: u64) {
    let (event, severity) = (notice.key.event, notice.severity);
    let place = notice.places.get(&destination.name).cloned().unwrap_or_default();
    let is_wanted = destination.wants(event, severity);
    let status = match (notice.ended, place.told) {
        (None, None) if is_wanted => Some(Status::Firing),
        (None, None) => None,
        (None, Some(told)) if severity > told.severity => Some(Status::Firing),
        (None, Some(told)) => {
            let repeat =
                destination.repeat.filter(|_| event.lasting() == Lasting::Lasts && is_wanted);
            let due = repeat.map(|repeat| told.at.saturating_add(millis(repeat)));
            due.filter(|due| *due <= now).map(|_due| Status::Reminder)
        }
        (Some(_), told) => match event.lasting() {
            // Who could not be told in time is told what there was.
            Lasting::Lasts => {
                (told.is_some() || place.pending.is_some()).then_some(Status::Resolved)
            }
            Lasting::Happens => place.pending.map(|pending| pending.status),
        },
    };
    let pending = match (place.pending, status) {
        (Some(pending), Some(status))
            if pending.status != Status::Resolved || status == Status::Resolved =>
        {
            Some(Pending { status, ..pending })
        }
        (Some(_) | None, Some(status)) => Some(Pending { status, begun: now, due: now, tries: 0 }),
        // What is so again is not over.
        (Some(pending), None) if notice.ended.is_none() => {
            Some(pending).filter(|pending| pending.status != Status::Resolved)
        }
        (Some(_) | None, None) => None,
    };
    let told = place.told.filter(|_| notice.ended.is_none() || pending.is_some());
    let place = Place { told, pending };
    if place == Place::default() {
        notice.places.remove(&destination.name);
    } else {
        notice.places.insert(destination.name.clone(), place);
    }
}

/// What is to be told of one alone.
fn alone(condition: &Condition) -> Wanted {
    Wanted { severity: condition.severity(), summary: condition.summary() }
}

/// One line for many: what they have in common, and some of them.
fn of_many(ones: &[(String, &Condition)]) -> String {
    const NAMED: usize = 5;
    let cause = ones.first().and_then(|(_, one)| one.cause()).unwrap_or_default();
    let names: Vec<_> = ones.iter().take(NAMED).map(|(subject, _)| subject.as_str()).collect();
    let names = names.join(", ");
    let more = ones.len().saturating_sub(NAMED);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} domains: {cause}: {names}{and_more}", ones.len())
}

/// How long it waits after so many tries.
fn wait_after(tries: u32) -> Duration {
    let factor = 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
