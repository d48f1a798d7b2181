//! How fast messages follow each other where a limit or a host says so: rules alone, with the time as an
//! argument.
//!
//! A host that replies that we send too fast has the pace halved, at most once in a minute, so that
//! the replies to what was under way count as one. After ten minutes without such a reply it doubles
//! again, until it is what it was.
//!
//! The reasons: `docs/decisions/0027-limits.md`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Replies within this time of a halving count as the same one.
const HALVED_ONCE_IN: Duration = Duration::from_secs(60);

/// After so long without a reply that names a rate the pace doubles.
const RECOVERS_IN: Duration = Duration::from_secs(10 * 60);

/// The least pace that replies can bring about, unless it was not twice that before: a message a minute.
const LONGEST: u64 = MINUTE;

/// A minute in microseconds.
const MINUTE: u64 = 60_000_000;

/// How much of a delay is made up for where messages follow each other faster than this: a timer is not
/// as exact as such a rate.
const CATCH_UP: u64 = 100_000;

/// The pace of messages that share one. Times are in microseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// When the next message may begin.
    next: u64,
    slowed: Option<Slowed>,
    recent: Recent,
}

/// The pace that hosts have brought about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Slowed {
    /// The distance between messages since then, in microseconds.
    interval: u64,
    /// The distance before, with which this ends.
    before: u64,
    since: u64,
    /// The reply that named a rate.
    pub(crate) reply: Arc<str>,
}

/// What a reply that names a rate has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Halved {
    /// The pace is half of what it was.
    Now,
    /// It was halved for one like it.
    Before,
}

/// A message may not begin before this time, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooEarly(pub(crate) u64);

/// How many messages were begun of late: in this minute and in the one before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Recent {
    minute: u64,
    count: u32,
    before: u32,
}

/// The microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The time that is so long after the beginning of 1970, rounded up to whole milliseconds: who waits
/// until then does not come too early.
pub(crate) fn time_of(micros: u64) -> SystemTime {
    clock::time(micros.div_ceil(1000))
}

impl Recent {
    /// One more has begun.
    pub(crate) fn begin(&mut self, now: u64) {
        self.turn(now);
        self.count = self.count.saturating_add(1);
    }

    /// The more of this minute's and the last one's.
    pub(crate) fn in_a_minute(mut self, now: u64) -> u32 {
        self.turn(now);
        self.count.max(self.before)
    }

    fn turn(&mut self, now: u64) {
        let minute = now / MINUTE;
        if minute == self.minute {
            return;
        }
        let before = if minute == self.minute.saturating_add(1) { self.count } else { 0 };
        *self = Self { minute, count: 0, before };
    }
}

impl Pace {
    /// The pace of messages of which so many were begun of late.
    pub(crate) fn after(recent: Recent) -> Self {
        Self { recent, ..Self::default() }
    }

    /// Begins a message at `now`, where they are `own` apart if nothing has slowed them.
    ///
    /// # Errors
    ///
    /// [`TooEarly`] where the last one was begun too short a time ago.
    pub(crate) fn begin(&mut self, own: Option<u64>, now: u64) -> Result<(), TooEarly> {
        if let Some(interval) = self.interval(own, now) {
            // Further away than one distance is no time that was given with this pace or this clock.
            self.next = self.next.min(now.saturating_add(interval));
            if self.next > now {
                return Err(TooEarly(self.next));
            }
            let made_up = if interval < CATCH_UP { CATCH_UP } else { 0 };
            self.next = self.next.max(now.saturating_sub(made_up)).saturating_add(interval);
        }
        self.recent.begin(now);
        Ok(())
    }

    /// The message that was begun last is not sent: another may begin in its place, if none has begun
    /// since.
    pub(crate) fn take_back(&mut self, next: u64, own: Option<u64>, now: u64) {
        if self.next == next
            && let Some(interval) = self.interval(own, now)
        {
            self.next = next.saturating_sub(interval);
        }
    }

    /// When the next message may begin, as it is now.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// A host has replied that we send too fast.
    pub(crate) fn slow(&mut self, own: Option<u64>, now: u64, reply: &str) -> Halved {
        let once_in = u64::try_from(HALVED_ONCE_IN.as_micros()).unwrap_or(u64::MAX);
        if let Some(slowed) = &self.slowed
            && (slowed.since..slowed.since.saturating_add(once_in)).contains(&now)
        {
            return Halved::Before;
        }
        let measured = MINUTE / u64::from(self.recent.in_a_minute(now).max(1));
        let interval = self.interval(own, now).unwrap_or(measured);
        let before = self.slowed.take().map_or(interval, |slowed| slowed.before);
        let longest = LONGEST.max(before.saturating_mul(2));
        let interval = interval.saturating_mul(2).min(longest);
        self.slowed = Some(Slowed { interval, before, since: now, reply: reply.into() });
        Halved::Now
    }

    /// The distance between messages; none where they may follow each other as they come.
    pub(crate) fn interval(&mut self, own: Option<u64>, now: u64) -> Option<u64> {
        let slowed = self.slowed.as_ref().and_then(|slowed| slowed.interval_at(now));
        let slowed = slowed.filter(|interval| own.is_none_or(|own| own < *interval));
        if slowed.is_none() {
            self.slowed = None;
        }
        slowed.or(own)
    }

    /// What hosts have brought about, as it is now.
    pub(crate) const fn slowed(&self) -> Option<&Slowed> {
        self.slowed.as_ref()
    }
}

impl Slowed {
    /// The distance between messages at `now`; none where it is what it was before.
    fn interval_at(&self, now: u64) -> Option<u64> {
        let recovers_in = u64::try_from(RECOVERS_IN.as_micros()).unwrap_or(u64::MAX);
        let doublings = now.saturating_sub(self.since).checked_div(recovers_in).unwrap_or_default();
        let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
        let interval = self.interval.checked_shr(doublings).unwrap_or_default();
        Some(interval).filter(|interval| *interval > self.before)
    }

    /// When the pace was halved last.
    pub(crate) fn since(&self) -> SystemTime {
        time_of(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// A time at which a minute begins.
    const START: u64 = 1_000_000 * MINUTE;

    /// How many messages begin in `seconds`, if one is asked for each millisecond.
    fn begun(pace: &mut Pace, own: Option<u64>, from: u64, seconds: u64) -> usize {
        let times = (from..from + seconds * SECOND).step_by(1000);
        times.filter(|now| pace.begin(own, *now).is_ok()).count()
    }

    #[test]
    fn messages_follow_each_other_at_the_rate_that_is_set() {
        for (own, in_a_minute) in
            [(SECOND, 60), (7 * SECOND, 9), (100_000, 600), (10_000, 6010), (142, 60_000)]
        {
            let found = begun(&mut Pace::default(), Some(own), START, 60);
            assert_eq!(found, in_a_minute, "{own} µs apart");
        }
        assert_eq!(begun(&mut Pace::default(), None, START, 1), 1000);
    }

    #[test]
    fn who_comes_too_early_learns_when_to_come_again() {
        let mut pace = Pace::default();
        pace.begin(Some(SECOND), START).unwrap();
        assert_eq!(pace.begin(Some(SECOND), START + 1), Err(TooEarly(START + SECOND)));
        // A pause is no credit.
        pace.begin(Some(SECOND), START + 50 * SECOND).unwrap();
        assert!(pace.begin(Some(SECOND), START + 50 * SECOND + 1).is_err());
    }

    #[test]
    fn a_message_that_is_not_sent_makes_room_for_one() {
        let mut pace = Pace::default();
        pace.begin(Some(SECOND), START).unwrap();
        let next = pace.next();
        pace.take_back(next, Some(SECOND), START);
        pace.begin(Some(SECOND), START + 1).unwrap();
        // By now another was begun.
        pace.take_back(next, Some(SECOND), START + 2);
        assert!(pace.begin(Some(SECOND), START + 3).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_or_a_rate_that_is_raised_holds_nothing_up() {
        let mut pace = Pace::default();
        pace.begin(Some(MINUTE), START).unwrap();
        assert_eq!(pace.begin(Some(SECOND), START), Err(TooEarly(START + SECOND)));
        pace.begin(Some(SECOND), START + SECOND).unwrap();
        let mut pace = Pace::default();
        pace.begin(Some(SECOND), START + 60 * MINUTE).unwrap();
        assert_eq!(pace.begin(Some(SECOND), START), Err(TooEarly(START + SECOND)));
        let mut pace = Pace::default();
        pace.slow(None, START + 60 * MINUTE, "slow down");
        assert_eq!(pace.slow(None, START, "slow down"), Halved::Now);
    }

    #[test]
    fn a_reply_that_names_a_rate_halves_it_once_and_silence_brings_it_back() {
        let (mut pace, own) = (Pace::default(), Some(SECOND));
        assert_eq!(pace.slow(own, START, "421 slow down"), Halved::Now);
        assert_eq!(pace.slow(own, START + 59 * SECOND, "421 slow down"), Halved::Before);
        assert_eq!(pace.interval(own, START + MINUTE), Some(2 * SECOND));
        assert_eq!(pace.slow(own, START + MINUTE, "421 slower"), Halved::Now);
        assert_eq!(pace.interval(own, START + MINUTE), Some(4 * SECOND));
        assert_eq!(&*pace.slowed().unwrap().reply, "421 slower");
        assert_eq!(pace.interval(own, START + 11 * MINUTE), Some(2 * SECOND));
        assert_eq!(pace.interval(own, START + 21 * MINUTE), Some(SECOND));
        assert_eq!(pace.slowed(), None);
    }

    #[test]
    fn a_pace_that_nobody_has_set_is_halved_from_what_it_was() {
        let mut pace = Pace::default();
        for second in 0..120 {
            pace.begin(None, START + second * SECOND).unwrap();
        }
        pace.slow(None, START + 120 * SECOND, "421 slow down");
        assert_eq!(pace.interval(None, START + 120 * SECOND), Some(2 * SECOND));
        assert_eq!(pace.interval(None, START + 30 * MINUTE), None);
    }

    #[test]
    fn no_reply_stops_mail() {
        for own in [None, Some(SECOND), Some(5 * MINUTE)] {
            let mut pace = Pace::default();
            for minute in 0..100 {
                pace.slow(own, START + minute * MINUTE, "421 slow down");
            }
            let longest = LONGEST.max(2 * own.unwrap_or(MINUTE));
            assert_eq!(pace.interval(own, START + 99 * MINUTE), Some(longest), "{own:?}");
        }
    }
}
