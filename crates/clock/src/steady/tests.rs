use proptest::prelude::*;

use super::*;
use crate::set::SetClock;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const START: SystemTime = SystemTime::UNIX_EPOCH;

/// Clocks that are moved by hand, and the time made of them; it begins 50 years after 1970.
fn clocks() -> (Arc<SetClock>, SteadyClock) {
    let clock = Arc::new(SetClock::new(START + 50 * YEAR));
    let steady = steady(&clock);
    (clock, steady)
}

fn steady(clock: &Arc<SetClock>) -> SteadyClock {
    let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    SteadyClock::new(shared)
}

/// The same clocks, as the program sees them once it was started again.
fn restarted(clock: &Arc<SetClock>, before: &SteadyClock) -> SteadyClock {
    let after = steady(clock);
    after.resume(&before.seen());
    after
}

/// Lets time pass and has it read now and then, as a relay does.
fn pass(clock: &SetClock, steady: &SteadyClock, time: Duration) {
    for _ in 0..100 {
        clock.advance(time / 100);
        steady.now();
    }
}

fn since_start(steady: &SteadyClock) -> Duration {
    steady.now().duration_since(START + 50 * YEAR).unwrap()
}

#[test]
fn clocks_that_agree_are_followed_and_not_doubted() {
    let (clock, steady) = clocks();
    pass(&clock, &steady, 3 * YEAR);
    assert_eq!(steady.now(), clock.now());
    for seconds in [200, 300] {
        clock.leap(Duration::from_secs(seconds));
        assert_eq!((steady.now(), steady.doubt()), (clock.now(), None), "a step of {seconds} s");
        pass(&clock, &steady, 10 * DAY);
    }
}

#[test]
fn a_leap_in_either_direction_moves_nothing_and_is_doubted_until_it_is_undone() {
    for leap in [10 * MINUTE, HOUR, 2 * YEAR] {
        let (clock, steady) = clocks();
        pass(&clock, &steady, DAY);
        let before = clock.now();
        clock.leap(leap);
        assert_eq!((steady.now(), steady.doubt()), (before, Some(Doubt::Ahead(leap))));
        assert_eq!(steady.wall(), before + leap);
        clock.set(before - leap);
        assert_eq!((steady.now(), steady.doubt()), (before, Some(Doubt::Behind(leap))));
        clock.advance(MINUTE);
        assert_eq!(steady.now(), before + MINUTE);
        clock.set(before + MINUTE);
        assert_eq!((steady.now(), steady.doubt()), (before + MINUTE, None));
    }
}

#[test]
fn small_steps_gain_no_more_than_a_drifting_clock() {
    let (clock, steady) = clocks();
    for _ in 0..10_000 {
        clock.advance(MINUTE);
        clock.leap(2 * MINUTE);
        steady.now();
    }
    assert!(steady.doubt().is_some());
    let passed = 10_000 * MINUTE;
    assert!(since_start(&steady) <= passed + STEP + passed / DRIFT_PART);
}

#[test]
fn a_wall_clock_that_a_certificate_confirms_is_believed_after_an_hour() {
    let (clock, steady) = clocks();
    clock.leap(10 * DAY);
    steady.contradict();
    pass(&clock, &steady, 2 * DAY);
    assert!(steady.doubt().is_some(), "a certificate was out of date");
    steady.confirm();
    assert_eq!(steady.doubt(), None);
    let before = since_start(&steady);
    pass(&clock, &steady, 10 * DAY);
    assert_eq!(since_start(&steady), before + 11 * DAY, "it is approached by a tenth");
    pass(&clock, &steady, 100 * DAY);
    assert_eq!(steady.now(), clock.now());
}

#[test]
fn a_certificate_does_not_confirm_a_clock_that_leapt_less_than_an_hour_ago() {
    let (clock, steady) = clocks();
    clock.leap(10 * DAY);
    steady.confirm();
    steady.confirm();
    pass(&clock, &steady, 59 * MINUTE);
    assert!(steady.doubt().is_some());
    clock.leap(DAY);
    pass(&clock, &steady, 2 * HOUR);
    assert!(steady.doubt().is_some(), "it leapt again, and what confirmed it did not count");
    steady.confirm();
    assert_eq!(steady.doubt(), None);
}

#[test]
fn a_wall_clock_that_nothing_speaks_against_is_believed_after_a_day() {
    let (clock, steady) = clocks();
    clock.set(START + 40 * YEAR);
    pass(&clock, &steady, 23 * HOUR);
    assert!(steady.doubt().is_some());
    pass(&clock, &steady, 2 * HOUR);
    assert_eq!(steady.doubt(), None);
    assert!(steady.is_unproved());
    let (before, shown) = (steady.now(), clock.now());
    assert_eq!(steady.on_wall(before + MINUTE), shown + MINUTE);
    pass(&clock, &steady, 10 * DAY);
    assert_eq!(steady.now(), before + 9 * DAY, "it goes on, and more slowly");
    steady.contradict();
    assert!(steady.doubt().is_some(), "nothing had spoken for it");
}

#[test]
fn a_restart_of_the_program_changes_nothing() {
    let (clock, first) = clocks();
    let begun = clock.now();
    clock.advance(HOUR);
    let second = restarted(&clock, &first);
    assert_eq!((second.now(), second.doubt()), (begun + HOUR, None));
    // The clock leaps while no relay runs.
    let seen = second.seen();
    clock.advance(HOUR);
    clock.leap(2 * YEAR);
    let third = steady(&clock);
    third.resume(&seen);
    assert_eq!(third.now(), begun + 2 * HOUR);
    assert!(third.doubt().is_some());
    clock.advance(HOUR);
    let fourth = restarted(&clock, &third);
    assert_eq!((fourth.now(), fourth.doubt()), (begun + 3 * HOUR, Some(Doubt::Ahead(2 * YEAR))));
    clock.set(begun + 3 * HOUR);
    assert_eq!(restarted(&clock, &fourth).doubt(), None);
}

#[test]
fn after_a_reboot_a_clock_that_is_behind_or_far_ahead_is_doubted() {
    for (wall, time, doubtful) in [
        (50 * YEAR + 3 * DAY, 50 * YEAR + 3 * DAY, false),
        (50 * YEAR - MINUTE, 50 * YEAR - MINUTE, false),
        (Duration::ZERO, 50 * YEAR, true),
        (50 * YEAR - DAY, 50 * YEAR, true),
        (52 * YEAR, 50 * YEAR, true),
    ] {
        let (clock, first) = clocks();
        let seen = first.seen();
        clock.reboot();
        clock.set(START + wall);
        let second = steady(&clock);
        second.resume(&seen);
        let shown = (second.now(), second.doubt().is_some());
        assert_eq!(shown, (START + time, doubtful), "{wall:?}");
    }
}

#[test]
fn a_doubt_outlives_a_reboot_unless_the_clock_is_set_right() {
    for (leapt_to, wall, doubtful) in [
        (52 * YEAR, 52 * YEAR + DAY, true),
        (52 * YEAR, 54 * YEAR, true),
        (52 * YEAR, 50 * YEAR + DAY, false),
        (52 * YEAR, 40 * YEAR, true),
        (40 * YEAR, 40 * YEAR + DAY, true),
        (40 * YEAR, 50 * YEAR + DAY, false),
    ] {
        let (clock, first) = clocks();
        clock.set(START + leapt_to);
        let seen = first.seen();
        clock.reboot();
        clock.set(START + wall);
        let second = steady(&clock);
        second.resume(&seen);
        assert_eq!(second.doubt().is_some(), doubtful, "{leapt_to:?} {wall:?}");
        let time = if doubtful { 50 * YEAR } else { wall };
        assert_eq!(second.now(), START + time, "{leapt_to:?} {wall:?}");
    }
}

#[test]
fn a_store_that_is_newer_than_the_clock_makes_it_doubtful() {
    let (clock, steady) = clocks();
    steady.resume_after(clock.now() + MINUTE);
    assert_eq!((steady.now(), steady.doubt()), (clock.now(), None));
    steady.resume_after(clock.now() + DAY);
    assert_eq!(steady.now(), clock.now() + DAY);
    assert_eq!(steady.doubt(), Some(Doubt::Behind(DAY)));
}

proptest! {
    /// Whatever the wall clock does, the time goes on like the boot clock, but for drift, a tenth
    /// while a believed clock is approached, and a small step.
    #[test]
    fn no_leap_moves_the_time(
        events in prop::collection::vec((0_u64..40_000, prop::option::of(0_u64..10_000_000_000), any::<bool>()), 1..60),
    ) {
        let (clock, steady) = clocks();
        let mut before = steady.now();
        let mut passed_in_all = Duration::ZERO;
        for (seconds, leap, confirmed) in events {
            let passed = Duration::from_secs(seconds);
            clock.advance(passed);
            passed_in_all += passed;
            if let Some(wall) = leap {
                clock.set(START + Duration::from_secs(wall));
            }
            if confirmed {
                steady.confirm();
            }
            let now = steady.now();
            let slack = 2 * STEP + passed / 5 + passed_in_all / DRIFT_PART;
            prop_assert!(now <= before + passed + slack && now + slack >= before + passed);
            before = now;
        }
    }
}
