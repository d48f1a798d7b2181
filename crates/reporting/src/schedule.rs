//! When a report leaves (RFC 8460 §4.1, §5.5).
//!
//! A domain's moment depends on the domain and the sender alone: reports of many senders about one
//! day do not come all at once, and those of one sender come a day apart.

use std::time::{Duration, SystemTime};

use queue::RetrySchedule;
use tls_rpt::{Day, DomainName, Instance};

use crate::digest::digest;

/// How long after the end of a day its first report leaves: what was counted late has been written.
pub(crate) const BEGIN: Duration = Duration::from_secs(10 * 60);

/// How much of the spread a report has to itself at least.
const SHARE: Duration = Duration::from_secs(2);

/// The longest that the spread is stretched to.
const STRETCHED_MAX: Duration = Duration::from_secs(20 * 60 * 60);

/// How long there is between two tries (RFC 8460 §5.5: with exponential backoff).
const RETRY: RetrySchedule =
    RetrySchedule { first: Duration::from_secs(5 * 60), most: Duration::from_secs(4 * 60 * 60) };

/// The longest that a server may ask us to wait.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// When the report about `day` to `domain` is due, as one of `reports`.
pub(crate) fn due(
    day: Day,
    domain: &DomainName,
    instance: &Instance,
    spread: Duration,
    reports: usize,
) -> SystemTime {
    let share = SHARE.saturating_mul(u32::try_from(reports).unwrap_or(u32::MAX));
    let spread = spread.max(share.min(STRETCHED_MAX));
    let millis = millis_of(spread);
    // 32 bits of fraction, so that the product fits whatever the spread.
    let part = spread_out(domain, instance) >> 32;
    let wait = u128::from(millis).saturating_mul(u128::from(part)) >> 32;
    let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX));
    let begins = day.after().begins();
    begins.checked_add(BEGIN.saturating_add(wait)).unwrap_or(begins)
}

/// How long to wait after as many tries have failed.
pub(crate) fn retry_after(attempts: u32) -> Duration {
    RETRY.step(attempts)
}

/// A span in milliseconds.
pub(crate) fn millis_of(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A number that is the same for the same names and spread over all numbers otherwise (with the finish
/// of `SplitMix64`, because the high bits of FNV are poor).
fn spread_out(domain: &DomainName, instance: &Instance) -> u64 {
    let bytes = domain.as_str().bytes().chain([b'!']).chain(instance.as_str().bytes());
    let mut hash = digest(bytes);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn due_of(number: usize, reports: usize) -> Duration {
        let day = Day::parse("2026-11-30").unwrap();
        let domain = DomainName::parse(&format!("d{number}.example")).unwrap();
        let instance = Instance::parse("a1").unwrap();
        let due = due(day, &domain, &instance, 4 * HOUR, reports);
        due.duration_since(Day::parse("2026-12-01").unwrap().begins()).unwrap()
    }

    #[test]
    fn reports_leave_from_ten_past_midnight_evenly_within_the_spread() {
        let mut by_hour = [0; 4];
        for number in 0..1000 {
            let after = due_of(number, 1) - BEGIN;
            assert_eq!(due_of(number, 1), due_of(number, 1000), "few reports are not stretched");
            by_hour[usize::try_from(after.as_secs() / 3600).unwrap()] += 1;
        }
        assert!(by_hour.iter().all(|count| (200..300).contains(count)), "{by_hour:?}");
    }

    #[test]
    fn many_reports_are_stretched_up_to_20_hours() {
        let latest = |reports| (0..1000).map(|number| due_of(number, reports)).max().unwrap();
        let expected = Duration::from_secs(2 * 10_000);
        assert!(latest(10_000) > 5 * HOUR && latest(10_000) < expected + BEGIN);
        assert!(latest(100_000) > 19 * HOUR && latest(100_000) < 20 * HOUR + BEGIN);
        assert_eq!(latest(100_000), latest(usize::MAX));
    }

    #[test]
    fn tries_are_five_minutes_apart_and_then_up_to_four_hours() {
        let minutes: Vec<_> =
            (1..=8).map(|attempts| retry_after(attempts).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240]);
        assert_eq!(retry_after(u32::MAX), 4 * HOUR);
        assert_eq!(retry_after(0), Duration::from_secs(300));
    }
}
