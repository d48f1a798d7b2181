use proptest::prelude::*;

use super::*;
use crate::pattern::MxPattern;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(seconds: u64) -> SystemTime {
    NOW + Duration::from_secs(seconds)
}

fn cached(max_age: u64, fetched_at: SystemTime) -> CachedPolicy {
    let mx = vec![MxPattern::parse("*.example.org").unwrap()];
    let policy = Policy::new(Mode::Enforce, Duration::from_secs(max_age), mx).unwrap();
    let domain = PolicyDomain::parse("example.org").unwrap();
    CachedPolicy::new(domain, PolicyId::parse("a1").unwrap(), policy, fetched_at)
}

#[test]
fn a_policy_applies_as_long_as_max_age_is_not_exceeded() {
    let policy = cached(60, at(1000));
    assert!(policy.applies_at(at(1000)));
    assert!(policy.applies_at(at(1060)));
    assert!(!policy.applies_at(at(1060) + Duration::from_nanos(1)));
    assert!(cached(0, at(1000)).applies_at(at(1000)));
}

#[test]
fn a_policy_from_the_future_applies_for_max_age_from_the_first_doubt() {
    let policy = cached(7200, at(1_000_000));
    let doubted = policy.used(at(10)).unwrap();
    assert!(doubted.applies_at(at(10 + 7200)));
    assert!(!doubted.applies_at(at(10 + 7201)));
    assert_eq!(doubted.used(at(20)), None, "a doubt is noted once");
    let earlier = doubted.used(at(5)).unwrap();
    assert!(!earlier.applies_at(at(5 + 7201)), "the earliest counts");
    assert!(doubted.applies_at(at(1_000_000)), "the clock has caught up");
    assert!(!doubted.applies_at(at(1_000_000 + 7201)));
}

#[test]
fn a_small_step_back_is_no_doubt() {
    assert_eq!(cached(60, at(5000)).used(at(4000)), None);
}

#[test]
fn a_version_that_came_later_is_an_error() {
    let bytes = cached(60, NOW).to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let later = text.replace("\"version\":1", "\"version\":2");
    let read = |text: &str| CachedPolicy::from_bytes(text.as_bytes());
    assert!(matches!(read(&later), Err(DecodeError::Version(2))));
    assert!(matches!(read("{\"version\":7,\"form\":\"new\"}"), Err(DecodeError::Version(7))));
    assert!(matches!(read("{\"version\":1}"), Err(DecodeError::Form(_))));
}

#[test]
fn values_that_make_no_policy_are_an_error() {
    let text = String::from_utf8(cached(60, NOW).to_bytes()).unwrap();
    for (from, to) in [
        ("\"max_age\":60", "\"max_age\":99999999999"),
        ("[\"*.example.org\"]", "[]"),
        ("[\"*.example.org\"]", "[\"*\"]"),
        ("\"a1\"", "\"a-1\""),
        ("\"example.org\"", "\"192.0.2.1\""),
        ("enforce", "force"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        assert!(CachedPolicy::from_bytes(changed.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn a_policy_that_was_kept_without_its_text_is_read() {
    let policy = cached(86_400, at(0));
    let bytes = policy.to_bytes();
    assert!(!String::from_utf8_lossy(&bytes).contains("text"));
    assert_eq!(CachedPolicy::from_bytes(&bytes).unwrap().text(), None);
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_it_back(
        max_age in 0u64..=31_557_600,
        fetched in 0u64..10_000_000_000,
        used in 0u64..10_000_000_000,
        trouble in prop::option::of("\\PC{0,40}"),
        text in prop::option::of("(?s).{0,40}"),
    ) {
        let mut policy = cached(max_age, at(fetched));
        if let Some(text) = text {
            policy = policy.with_text(text.into());
        }
        if let Some(changed) = policy.used(at(used)) {
            policy = changed;
        }
        if let Some(error) = trouble {
            policy = policy.troubled(at(used), error);
        }
        prop_assert_eq!(CachedPolicy::from_bytes(&policy.to_bytes()).unwrap(), policy);
    }

    #[test]
    fn reading_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(CachedPolicy::from_bytes(&bytes));
    }

    /// Whatever the clock does, only a fetch moves the end.
    #[test]
    fn use_and_trouble_never_prolong_a_policy(
        max_age in 0u64..=31_557_600,
        fetched in 0u64..100_000_000,
        steps in prop::collection::vec(0u64..200_000_000, 1..20),
        probe in 0u64..300_000_000,
    ) {
        let fresh = cached(max_age, at(fetched));
        let mut policy = fresh.clone();
        for step in steps {
            policy = policy.used(at(step)).unwrap_or(policy).troubled(at(step), String::new());
            prop_assert!(fresh.applies_at(at(probe)) || !policy.applies_at(at(probe)));
            prop_assert_eq!(policy.valid_until(), fresh.valid_until());
        }
    }
}

#[test]
fn a_use_is_noted_once_a_day() {
    let policy = cached(60, NOW);
    assert_eq!(policy.used(NOW + DAY - Duration::from_secs(1)), None);
    assert_eq!(policy.used(NOW + DAY).unwrap().used_at(), NOW + DAY);
}
