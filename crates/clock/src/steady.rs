//! One time made of two clocks, that no leap of the wall clock moves.
//!
//! * While both clocks agree, it is the wall clock's time.
//! * When the wall clock leaps, it goes on by the boot clock, and the wall clock is in doubt. It may
//!   be right now and have been wrong before; nobody can tell at once.
//! * The doubt ends when the wall clock is back, and otherwise when it is believed: it has not leapt
//!   again for an hour and a certificate of a policy host was found valid by it, or it has not leapt
//!   for a day and no certificate was found out of date by it. Then this time approaches the wall
//!   clock by a tenth of the time that passes, so that whatever is stored ages about as fast as ever.
//! * Over a restart of the program it goes on by the boot clock as well, and over a restart of the
//!   machine by the wall clock, unless that is behind what was seen before, or so far ahead that the
//!   machine would have been off for more than a week: then it is in doubt, too.
//!
//! The reasons: `docs/decisions/0013-time.md`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::reading::{Boot, Clock, Doubt};

/// How far the clocks may drift apart at any rate: steps of a time service are smaller.
const STEP: Duration = Duration::from_secs(5 * 60);

/// How far they may drift apart besides, as a part of the time that passes. A worse clock is broken;
/// and whoever moves the wall clock in small steps gains no more than this.
const DRIFT_PART: u32 = 1000;

/// How long the wall clock must not have leapt before a valid certificate makes it believed.
const CONFIRMED_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long it must not have leapt before it is believed without one.
const BELIEVED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long a machine may have been off and its wall clock be believed without more. Policies of
/// a week or less expire meanwhile, so it must not be much longer.
const PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The part of the time that passes by which the wall clock is approached.
const APPROACH_PART: u32 = 10;

/// The clock that a relay goes by.
#[derive(Debug)]
pub struct SteadyClock {
    clocks: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// What is to be kept of the time over a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// The time that things age by.
    time: SystemTime,
    /// The wall clock.
    wall: SystemTime,
    since_boot: Duration,
    boot: Boot,
    is_doubtful: bool,
}

/// What both clocks show at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: SystemTime,
    since_boot: Duration,
}

/// How the time is made. All of it is measured from a line that begins at `time` and goes on with the
/// boot clock.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The time that was made at `base`.
    time: SystemTime,
    base: Reading,
    /// How far the time is from the line while the wall clock is in doubt.
    lead: Offset,
    /// How far the wall clock was from the line when it was read last, or when it leapt last.
    last: Offset,
    /// When that was, by the boot clock.
    read_at: Duration,
    course: Course,
}

/// How the time goes on from its base.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// With the wall clock.
    Agreeing,
    /// With the boot clock, towards the wall clock, which is believed.
    Approaching(Proof),
    /// With the boot clock; the wall clock leapt at `read_at`.
    Doubting(Evidence),
}

/// What certificates have said about the wall clock since it leapt.
#[derive(Clone, Copy, Debug)]
enum Evidence {
    /// None was looked at.
    Missing,
    /// One was out of date by it, and none was valid.
    OutOfDate,
    /// One was valid by it.
    Valid,
}

/// Whether a certificate speaks for the wall clock that is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    Missing,
    Given,
}

/// What the wall clock was before a restart.
#[derive(Clone, Copy, Debug)]
enum Was {
    Believed,
    Doubted,
}

/// How far one time is from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Offset {
    Ahead(Duration),
    Behind(Duration),
}

impl SteadyClock {
    /// A time that begins with what the wall clock of `clocks` shows.
    #[must_use]
    pub fn new(clocks: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State::agreeing(Reading::of(&*clocks)));
        Self { clocks, state }
    }

    /// Goes on from what was seen before a restart.
    pub fn resume(&self, seen: &Seen) {
        let reading = Reading::of(&*self.clocks);
        let state = if seen.boot.is_same(&self.clocks.boot()) {
            State::after_pause(seen, reading)
        } else {
            State::after_reboot(seen, reading)
        };
        self.set(state);
    }

    /// Goes on in a store whose newest time is `newest` and that does not say what was seen.
    pub fn resume_after(&self, newest: SystemTime) {
        let reading = Reading::of(&*self.clocks);
        if Offset::of(reading.wall, newest).is_behind_by(STEP) {
            self.set(State::doubting(newest, reading));
        }
    }

    /// What is to be kept over a restart.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let (time, reading, state) = self.read();
        let is_doubtful = state.is_doubting();
        let (wall, since_boot, boot) = (reading.wall, reading.since_boot, self.clocks.boot());
        Seen { time, wall, since_boot, boot, is_doubtful }
    }

    /// A certificate was found valid by the wall clock.
    pub fn confirm(&self) {
        self.note(Evidence::Valid);
    }

    /// A certificate was found out of date by the wall clock.
    pub fn contradict(&self) {
        self.note(Evidence::OutOfDate);
    }

    fn note(&self, found: Evidence) {
        let (_, reading, state) = self.read();
        let course = match (state.course, found) {
            (Course::Doubting(Evidence::Missing | Evidence::OutOfDate), found) => {
                Course::Doubting(found)
            }
            (Course::Approaching(Proof::Missing), Evidence::Valid) => {
                Course::Approaching(Proof::Given)
            }
            (Course::Approaching(Proof::Missing), Evidence::OutOfDate) => {
                let (time, _) = state.at(reading);
                let doubting = State::doubting(time, reading);
                return self.set(State { course: Course::Doubting(found), ..doubting });
            }
            (
                course @ (Course::Agreeing
                | Course::Approaching(Proof::Given)
                | Course::Doubting(Evidence::Valid)),
                _,
            )
            | (course @ Course::Approaching(Proof::Missing), Evidence::Missing) => course,
        };
        self.set(State { course, ..state });
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The time now, what it is made of, and how.
    fn read(&self) -> (SystemTime, Reading, State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that readings come in their order.
        let reading = Reading::of(&*self.clocks);
        let time;
        (time, *state) = state.at(reading);
        (time, reading, *state)
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> SystemTime {
        self.read().0
    }

    fn wall(&self) -> SystemTime {
        self.clocks.wall()
    }

    fn since_boot(&self) -> Duration {
        self.clocks.since_boot()
    }

    fn boot(&self) -> Boot {
        self.clocks.boot()
    }

    fn doubt(&self) -> Option<Doubt> {
        let (time, reading, state) = self.read();
        state.is_doubting().then(|| match Offset::of(reading.wall, time) {
            Offset::Ahead(by) => Doubt::Ahead(by),
            Offset::Behind(by) => Doubt::Behind(by),
        })
    }

    fn is_unproved(&self) -> bool {
        match self.read().2.course {
            Course::Approaching(proof) => proof == Proof::Missing,
            Course::Agreeing | Course::Doubting(_) => false,
        }
    }

    fn on_wall(&self, time: SystemTime) -> SystemTime {
        let (now, reading, state) = self.read();
        match state.course {
            Course::Agreeing => time,
            Course::Approaching(_) | Course::Doubting(_) => {
                Offset::of(reading.wall, now).applied_to(time)
            }
        }
    }
}

impl Reading {
    fn of(clocks: &dyn Clock) -> Self {
        Self { wall: clocks.wall(), since_boot: clocks.since_boot() }
    }
}

impl State {
    /// Both clocks agree from now on.
    fn agreeing(reading: Reading) -> Self {
        Self::on(Course::Agreeing, reading.wall, reading)
    }

    /// The wall clock is not to be believed from now on.
    fn doubting(time: SystemTime, reading: Reading) -> Self {
        Self::on(Course::Doubting(Evidence::Missing), time, reading)
    }

    fn on(course: Course, time: SystemTime, reading: Reading) -> Self {
        let (lead, last) = (Offset::NONE, Offset::of(reading.wall, time));
        Self { time, base: reading, lead, last, read_at: reading.since_boot, course }
    }

    /// The program was started again, and the machine was not: the boot clock tells how long that
    /// took.
    fn after_pause(seen: &Seen, reading: Reading) -> Self {
        let passed = reading.since_boot.saturating_sub(seen.since_boot);
        let (time, expected) = (later(seen.time, passed), later(seen.wall, passed));
        let leapt = Offset::of(reading.wall, expected).exceeds(bound(passed));
        let was = if seen.is_doubtful || leapt { Was::Doubted } else { Was::Believed };
        Self::resumed(time, reading, was)
    }

    /// The machine was started again: the wall clock tells how long that took, unless that cannot be.
    fn after_reboot(seen: &Seen, reading: Reading) -> Self {
        let since_seen = Offset::of(reading.wall, seen.wall);
        let is_behind = Offset::of(reading.wall, seen.time).is_behind_by(STEP);
        let is_as_far_ahead = seen.wall > seen.time && !since_seen.is_behind_by(STEP);
        match (seen.is_doubtful, since_seen) {
            (false, Offset::Ahead(by)) if by <= PAUSE => {
                Self::resumed(later(seen.time, by), reading, Was::Believed)
            }
            (false, Offset::Behind(by)) if by <= STEP => {
                Self::resumed(seen.time, reading, Was::Believed)
            }
            // What was in doubt has been set right.
            (true, _) if !is_behind && !is_as_far_ahead => {
                Self::resumed(reading.wall.max(seen.time), reading, Was::Believed)
            }
            (false | true, _) => Self::doubting(seen.time, reading),
        }
    }

    /// Goes on at `time`.
    fn resumed(time: SystemTime, reading: Reading, was: Was) -> Self {
        let is_apart = Offset::of(reading.wall, time).exceeds(STEP);
        match was {
            Was::Believed | Was::Doubted if !is_apart => Self::agreeing(reading),
            Was::Believed => Self::on(Course::Approaching(Proof::Missing), time, reading),
            Was::Doubted => Self::doubting(time, reading),
        }
    }

    const fn is_doubting(&self) -> bool {
        match self.course {
            Course::Agreeing | Course::Approaching(_) => false,
            Course::Doubting(_) => true,
        }
    }

    /// The time at `reading`, and how it goes on from there.
    fn at(self, reading: Reading) -> (SystemTime, Self) {
        let passed = reading.since_boot.saturating_sub(self.base.since_boot);
        let line = later(self.time, passed);
        let offset = Offset::of(reading.wall, line);
        let steady_for = reading.since_boot.saturating_sub(self.read_at);
        let leapt = offset.differs(self.last, bound(steady_for));
        let read = Self { last: offset, read_at: reading.since_boot, ..self };
        let doubting = |lead: Offset| {
            let course = Course::Doubting(Evidence::Missing);
            (lead.applied_to(line), Self { lead, course, ..read })
        };
        match self.course {
            Course::Agreeing if leapt || offset.exceeds(bound(passed)) => doubting(self.last),
            Course::Agreeing => (reading.wall, read),
            Course::Approaching(_) => {
                let reach = passed / APPROACH_PART;
                if leapt {
                    doubting(self.last.at_most(reach))
                } else if offset.exceeds(reach) {
                    (offset.at_most(reach).applied_to(line), self)
                } else {
                    (reading.wall, Self::agreeing(reading))
                }
            }
            Course::Doubting(evidence) => {
                let time = self.lead.applied_to(line);
                let is_back = !offset.exceeds(bound(passed)) && !offset.differs(self.lead, STEP);
                if is_back {
                    (reading.wall, Self { course: Course::Agreeing, ..read })
                } else if leapt {
                    doubting(self.lead)
                } else if let Some(proof) = evidence.suffices_after(steady_for) {
                    (time, Self::on(Course::Approaching(proof), time, reading))
                } else {
                    (time, self)
                }
            }
        }
    }
}

impl Evidence {
    /// Whether a wall clock is to be believed that has not leapt for so long, and on what proof.
    fn suffices_after(self, steady_for: Duration) -> Option<Proof> {
        match self {
            Self::Missing => (steady_for >= BELIEVED_AFTER).then_some(Proof::Missing),
            Self::OutOfDate => None,
            Self::Valid => (steady_for >= CONFIRMED_AFTER).then_some(Proof::Given),
        }
    }
}

impl Offset {
    const NONE: Self = Self::Ahead(Duration::ZERO);

    /// How far `time` is from `other`.
    fn of(time: SystemTime, other: SystemTime) -> Self {
        match time.duration_since(other) {
            Ok(by) => Self::Ahead(by),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    const fn size(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }

    fn exceeds(self, bound: Duration) -> bool {
        self.size() > bound
    }

    fn is_behind_by(self, more_than: Duration) -> bool {
        matches!(self, Self::Behind(by) if by > more_than)
    }

    /// Whether both are further apart than `bound`.
    fn differs(self, other: Self, bound: Duration) -> bool {
        let apart = match (self, other) {
            (Self::Ahead(one), Self::Ahead(two)) | (Self::Behind(one), Self::Behind(two)) => {
                one.abs_diff(two)
            }
            (Self::Ahead(one), Self::Behind(two)) | (Self::Behind(one), Self::Ahead(two)) => {
                one.saturating_add(two)
            }
        };
        apart > bound
    }

    fn at_most(self, most: Duration) -> Self {
        match self {
            Self::Ahead(by) => Self::Ahead(by.min(most)),
            Self::Behind(by) => Self::Behind(by.min(most)),
        }
    }

    fn applied_to(self, time: SystemTime) -> SystemTime {
        match self {
            Self::Ahead(by) => later(time, by),
            Self::Behind(by) => time.checked_sub(by).unwrap_or(time),
        }
    }
}

/// How far the clocks may have drifted apart after so long.
fn bound(passed: Duration) -> Duration {
    STEP.saturating_add(passed / DRIFT_PART)
}

/// `time` and `by`, or the end of time.
fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests;
