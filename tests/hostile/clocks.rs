//! Clocks that leap: whoever sets the relay's wall clock takes no policy away, has no mail returned,
//! and puts no mail off.
//!
//! The policy hosts' certificates are good for ninety days to either side of the start, as those of
//! public authorities are, so that no policy can be fetched while the clock is far off.

use std::time::{Duration, SystemTime};

use clock::Clock as _;
use testbed::{Certificate, MxBehaviour, MxHost, PolicyBehaviour, PolicyText, Validity};

use crate::metrics::ask;
use crate::world::{PATIENCE, RelayInWorld};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The longest wait between two attempts: four hours and a tenth.
const LONGEST_WAIT: Duration = Duration::from_secs(4 * 60 * 60 + 24 * 60 + 1);

/// A policy that is enforced for a week.
fn policy(relay: &RelayInWorld, mx: &MxHost) -> PolicyBehaviour {
    let now = relay.clock.now();
    let validity = Validity { not_before: now - 90 * DAY, not_after: now + 90 * DAY };
    let policy = PolicyText::enforce([mx.name()]).max_age(7 * DAY.as_secs());
    PolicyBehaviour::from(policy).with_certificate(Certificate::Within(validity))
}

/// A domain with such a policy, whose host talks in clear alone.
async fn stripped(relay: &RelayInWorld, domain: &str) -> MxHost {
    let mx = relay.domain(domain, MxBehaviour::stripped()).await;
    relay.world.domain(domain).sts("1").policy(policy(relay, &mx)).await;
    mx
}

/// Whatever has happened, nothing was said in clear of a message.
fn nothing_in_clear(relay: &RelayInWorld, mx: &MxHost) {
    assert_eq!(relay.world.tap().envelope_in_clear(), [], "{}", relay.story());
    assert_eq!(mx.messages(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leap_of_the_clock_takes_no_enforced_policy_away() {
    for leap in [91 * DAY, 2 * YEAR] {
        let relay = RelayInWorld::start_with("delivery.lifetime = \"30d\"").await;
        let mx = stripped(&relay, "example.test").await;
        let id = relay.submit(&["<bob@example.test>"]).await;
        relay.deferred(id, 1).await;
        relay.clock.leap(leap);
        let later = relay.submit(&["<eve@example.test>"]).await;
        relay.deferred(later, 1).await;
        for attempt in 2..=10 {
            relay.pass(DAY).await;
            let reasons = relay.deferred(id, attempt).await;
            assert!(reasons[0].policy.is_some(), "{reasons:?}");
        }
        nothing_in_clear(&relay, &mx);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leap_while_no_relay_runs_takes_no_enforced_policy_away() {
    let mut relay = RelayInWorld::start_with("delivery.lifetime = \"30d\"").await;
    let mx = stripped(&relay, "example.test").await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.stop().await;
    relay.clock.leap(2 * YEAR);
    for attempt in 2..=4 {
        relay.restart().await;
        relay.policies_refreshed().await;
        relay.pass(DAY).await;
        let reasons = relay.deferred(id, attempt).await;
        assert!(reasons[0].policy.is_some(), "{reasons:?}");
    }
    nothing_in_clear(&relay, &mx);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_starts_with_a_clock_that_was_never_set_keeps_its_policies() {
    let mut relay = RelayInWorld::start().await;
    let mx = stripped(&relay, "example.test").await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.stop().await;
    relay.clock.reboot();
    relay.clock.set(SystemTime::UNIX_EPOCH);
    relay.restart().await;
    relay.pass(DAY).await;
    let reasons = relay.deferred(id, 2).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    nothing_in_clear(&relay, &mx);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leap_of_a_minute_has_no_policy_forgotten() {
    let mut relay = RelayInWorld::start().await;
    let mx = stripped(&relay, "example.test").await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    // From here on only what was kept can tell that there is a policy.
    let gone = PolicyBehaviour::status(404);
    relay.world.domain("example.test").without_sts_record().policy(gone).await;
    let right = relay.clock.now();
    relay.clock.leap(2 * YEAR);
    relay.restart().await;
    relay.policies_refreshed().await;
    relay.pass(MINUTE).await;
    relay.deferred(id, 2).await;
    relay.clock.set(right + MINUTE);
    relay.restart().await;
    relay.policies_refreshed().await;
    relay.retry().await;
    let reasons = relay.deferred(id, 3).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    nothing_in_clear(&relay, &mx);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_lets_no_policy_last_longer() {
    let relay = RelayInWorld::start_with("delivery.lifetime = \"30d\"").await;
    let mx = stripped(&relay, "example.test").await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.world.domain("example.test").policy(PolicyBehaviour::status(404)).await;
    relay.clock.set(relay.clock.now() - 80 * DAY);
    // Nothing speaks against the clock, so it is believed after a day.
    for attempt in 2..=7 {
        relay.pass(DAY + MINUTE).await;
        relay.deferred(id, attempt).await;
    }
    nothing_in_clear(&relay, &mx);
    relay.pass(2 * DAY).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_can_be_fetched_is_followed_though_the_clock_leapt() {
    let relay = RelayInWorld::start().await;
    let mx = stripped(&relay, "example.test").await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.clock.leap(10 * DAY);
    relay.world.domain("example.test").sts("2").policy(PolicyText::none()).await;
    relay.retry().await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_undecided_while_the_clock_is_in_doubt() {
    let relay = RelayInWorld::start().await;
    let mx = stripped(&relay, "example.test").await;
    let right = relay.clock.now();
    relay.clock.leap(2 * YEAR);
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].text.contains("while the clock is in doubt"), "{reasons:?}");
    relay.pass(2 * HOUR).await;
    relay.deferred(id, 2).await;
    nothing_in_clear(&relay, &mx);

    relay.clock.set(right + 2 * HOUR);
    mx.behave(MxBehaviour::valid());
    relay.pass(10 * MINUTE).await;
    relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
    assert_eq!(relay.world.tap().envelope_in_clear(), []);
}

/// A host that takes no mail yet.
async fn busy(relay: &RelayInWorld) -> MxHost {
    let busy = MxBehaviour::greylisting();
    relay.domain("example.test", busy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_deferred_while_the_clock_was_ahead_is_tried_within_the_longest_wait() {
    for restarts in [false, true] {
        let mut relay = RelayInWorld::start().await;
        let mx = busy(&relay).await;
        let right = relay.clock.now();
        relay.clock.leap(YEAR);
        let id = relay.submit(&["<bob@example.test>"]).await;
        relay.deferred(id, 1).await;
        relay.clock.set(right);
        if restarts {
            relay.restart().await;
        }
        relay.clock.advance(LONGEST_WAIT);
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_a_store_that_was_begun_a_year_ahead_is_tried_within_the_longest_wait() {
    for reboots in [false, true] {
        let mut relay = RelayInWorld::start().await;
        relay.stop().await;
        let right = relay.clock.now();
        relay.clock.advance(YEAR);
        relay.restart().await;
        let mx = busy(&relay).await;
        let id = relay.submit(&["<bob@example.test>"]).await;
        relay.deferred(id, 1).await;
        relay.stop().await;
        if reboots {
            relay.clock.reboot();
        }
        relay.clock.set(right);
        relay.restart().await;
        relay.clock.advance(LONGEST_WAIT);
        mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_is_returned_because_the_clock_leapt() {
    let relay = RelayInWorld::start().await;
    let mx = stripped(&relay, "example.test").await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let right = relay.clock.now();
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    relay.clock.leap(YEAR);
    relay.pass(HOUR).await;
    relay.deferred(id, 2).await;
    // What comes in while the clock is ahead is not returned either when it is right again.
    let ahead = relay.submit(&["<eve@example.test>"]).await;
    relay.deferred(ahead, 1).await;
    relay.clock.set(right + HOUR);
    mx.behave(MxBehaviour::valid());
    relay.pass(HOUR).await;
    mx.wait_for_messages(2, PATIENCE).await.unwrap();
    relay.empty().await;
    assert_eq!(sender.messages(), [], "nobody was told of anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_are_told_that_the_clock_is_in_doubt() {
    let relay = RelayInWorld::start_with("admin.address = \"127.0.0.1:0\"").await;
    let right = relay.clock.now();
    assert_eq!(ask(relay.monitors(), "GET", "/readyz").await.status, 200);
    relay.clock.leap(2 * YEAR);
    // An answer may be given again for a second.
    let seen = async {
        loop {
            let answer = ask(relay.monitors(), "GET", "/readyz").await;
            if answer.status == 503 {
                return answer.body;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let body = tokio::time::timeout(PATIENCE, seen).await.expect("not ready in time");
    let words = "in doubt: 730 days ahead of the time that has passed";
    assert!(body.contains(words), "{body}");
    let metrics = ask(relay.monitors(), "GET", "/metrics").await.body;
    assert!(metrics.contains("\nsts_relay_clock_doubt_seconds 63072000\n"), "{metrics}");
    relay.clock.set(right);
    let metrics = ask(relay.monitors(), "GET", "/metrics").await.body;
    assert!(metrics.contains("\nsts_relay_clock_doubt_seconds 0\n"), "{metrics}");
}
