//! A wall clock that is in doubt takes no policy away: what is known goes on, nothing is forgotten, and
//! what is not known is undecided.

use mta_sts::{
    CachedPolicy, Decision, NamesError, Policy, PolicyId, PolicyStore as _, Purpose, Refreshed,
    Trust, Undecided, WhyFallback,
};

use crate::authority::Kind;
use crate::scene::{DAY, DOMAIN, HOUR, Scene, domain, file};

/// A domain whose policy, good for a week, is cached, and whose policy host has such a certificate.
async fn cached(kind: Kind, mode: &str) -> Scene {
    let scene = Scene::publishing_by(kind, &file(mode)).await;
    let policy = Policy::parse(file(mode).as_bytes()).unwrap().value;
    let id = PolicyId::parse("1").unwrap();
    let cached = CachedPolicy::new(domain(DOMAIN), id, policy, scene.now());
    scene.store.keep(&cached).await.unwrap();
    scene
}

#[tokio::test]
async fn an_expired_policy_goes_on_to_apply_while_the_clock_is_in_doubt() {
    for kind in [Kind::Expired, Kind::NotYetValid] {
        let scene = cached(kind, "enforce").await;
        scene.trust(Trust::Doubted);
        scene.advance(700 * DAY);
        scene.required().await;
        scene.zone.no_sts(DOMAIN);
        scene.required().await;
        scene.zone.sts_fails(DOMAIN, NamesError::Bogus);
        scene.required().await;
    }
}

#[tokio::test]
async fn an_expired_policy_goes_on_to_apply_while_the_clock_is_unproved_if_that_keeps_it_from_being_fetched()
 {
    let scene = cached(Kind::Expired, "enforce").await;
    scene.trust(Trust::Unproved);
    scene.advance(8 * DAY);
    scene.required().await;
    let scene = cached(Kind::Valid, "enforce").await;
    scene.trust(Trust::Unproved);
    scene.advance(8 * DAY);
    scene.fetch_fails();
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
}

#[tokio::test]
async fn with_a_clock_that_is_believed_an_expired_policy_is_none_whatever_the_certificate() {
    let scene = cached(Kind::Expired, "enforce").await;
    scene.advance(8 * DAY);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
}

#[tokio::test]
async fn a_policy_that_can_be_fetched_takes_the_place_of_the_expired_one_doubt_or_not() {
    let scene = cached(Kind::Valid, "enforce").await;
    scene.trust(Trust::Doubted);
    scene.advance(8 * DAY);
    scene.publish("2", &file("none"));
    assert_eq!(scene.why().await, WhyFallback::ModeNone);
}

#[tokio::test]
async fn a_certificate_that_is_out_of_date_by_a_doubtful_clock_does_not_mean_no_policy() {
    let scene = Scene::publishing_by(Kind::Expired, &file("enforce")).await;
    for trust in [Trust::Doubted, Trust::Unproved] {
        scene.trust(trust);
        // The second time it is the back-off that says why.
        for _ in 0..2 {
            let undecided = scene.decide_after(30 * DAY).await.unwrap_err();
            assert!(matches!(undecided, Undecided::ClockDoubted { .. }), "{undecided:?}");
            assert_eq!(undecided.label(), "clock-doubted");
        }
    }
    scene.trust(Trust::Believed);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
}

#[tokio::test]
async fn other_failures_to_fetch_mean_what_they_always_mean() {
    let scene = Scene::enforce().await;
    scene.trust(Trust::Doubted);
    scene.fetch_fails();
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
    scene.zone.no_sts(DOMAIN);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
}

#[tokio::test]
async fn the_grace_for_a_silent_dns_does_not_end_while_the_clock_is_in_doubt() {
    let scene = Scene::enforce().await;
    scene.zone.sts_fails(DOMAIN, NamesError::Bogus);
    scene.trust(Trust::Doubted);
    assert!(matches!(scene.decide_after(30 * DAY).await, Err(Undecided::NamesFailed { .. })));
    scene.trust(Trust::Believed);
    assert!(matches!(scene.decide_after(HOUR).await, Ok(Decision::Permit(_))));
}

#[tokio::test]
async fn no_policy_is_forgotten_while_the_clock_is_in_doubt() {
    for mode in ["enforce", "none"] {
        let scene = cached(Kind::Expired, mode).await;
        scene.zone.no_sts(DOMAIN);
        scene.trust(Trust::Doubted);
        scene.advance(700 * DAY);
        let name = domain(DOMAIN);
        let refresh = || scene.policies.refresh(&name, scene.judged_at());
        let refreshed = refresh().await.unwrap();
        assert!(matches!(refreshed, Refreshed::Failed { .. }), "{refreshed:?}");
        assert!(scene.cached().await.is_some());
        scene.trust(Trust::Believed);
        assert!(matches!(refresh().await.unwrap(), Refreshed::Forgotten));
    }
}

#[tokio::test]
async fn mail_that_a_policy_held_is_not_let_go_by_the_last_look_while_the_clock_is_in_doubt() {
    let scene = cached(Kind::Expired, "enforce").await;
    let required = scene.required().await;
    scene.trust(Trust::Doubted);
    scene.advance(700 * DAY);
    let looked = scene.policies.recheck(&required, scene.judged_at()).await.unwrap();
    assert!(matches!(looked, mta_sts::Recheck::Confirmed(_)), "{looked:?}");
    let purpose = Purpose::Delivery { queued_for: 700 * DAY };
    let next_hop = mta_sts::NextHop::Domain(domain(DOMAIN));
    assert!(matches!(scene.decide_for(&next_hop, purpose).await, Ok(Decision::Require(_))));
}
