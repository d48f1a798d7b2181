//! How often a domain can have its policy fetched (RFC 8461 §5.1 and §10.3).

use std::time::Duration;

use mta_sts::{FETCHES_MAX, FetchReport, Recheck, WhyFallback};

use crate::scene::{HOUR, Scene, file};

const MESSAGES: usize = 100;

#[tokio::test]
async fn an_id_that_changes_with_each_message_is_fetched_for_twelve_times_an_hour() {
    let scene = Scene::enforce().await;
    for id in 1..=MESSAGES {
        scene.publish(&id.to_string(), &file("enforce"));
        scene.advance(Duration::from_secs(10));
        let required = scene.required().await;
        assert_eq!(required.id().as_str(), id.min(FETCHES_MAX).to_string());
        let rationed = matches!(required.evidence().fetch, Some(FetchReport::Rationed { .. }));
        assert_eq!(rationed, id > FETCHES_MAX, "{id}");
    }
    assert_eq!(scene.host.connections(), FETCHES_MAX);
    scene.advance(HOUR);
    assert_eq!(scene.required().await.id().as_str(), MESSAGES.to_string());
    assert_eq!(scene.host.connections(), FETCHES_MAX + 1);
}

/// RFC 8461 §5.1 has it fetched for every message; what was fetched last protects the others.
#[tokio::test]
async fn a_policy_that_expires_at_once_is_fetched_for_twelve_times_an_hour_and_protects_all_mail() {
    let scene = Scene::publishing(&file("enforce").replace("604800", "0")).await;
    for _ in 0..MESSAGES {
        scene.advance(Duration::from_secs(10));
        scene.required().await;
    }
    assert_eq!(scene.host.connections(), FETCHES_MAX);
    scene.publish("2", &file("none"));
    scene.advance(HOUR);
    assert_eq!(scene.why().await, WhyFallback::ModeNone);
}

#[tokio::test]
async fn last_looks_are_fetched_for_twelve_times_an_hour() {
    let scene = Scene::enforce().await;
    for _ in 0..MESSAGES {
        let required = scene.required().await;
        let recheck = scene.policies.recheck(&required, scene.now()).await.unwrap();
        assert!(matches!(recheck, Recheck::Confirmed(_)), "{recheck:?}");
    }
    assert_eq!(scene.host.connections(), FETCHES_MAX);
}

/// An operator who asks for a policy gets it; the daily refresh is no answer to a message.
#[tokio::test]
async fn a_refresh_is_made_however_often_mail_has_had_the_policy_fetched() {
    let scene = Scene::enforce().await;
    for id in 1..=MESSAGES {
        scene.publish(&id.to_string(), &file("enforce"));
        scene.required().await;
    }
    scene.policies.refresh(&crate::scene::domain(crate::scene::DOMAIN), scene.now()).await.unwrap();
    assert_eq!(scene.cached().await.unwrap().id().as_str(), MESSAGES.to_string());
}

#[tokio::test]
async fn where_nothing_can_be_kept_every_message_is_protected_by_a_fetch_of_its_own() {
    let scene = Scene::enforce().await;
    scene.store.fail_writes();
    for _ in 0..2 * FETCHES_MAX {
        scene.required().await;
    }
    assert_eq!(scene.host.connections(), 2 * FETCHES_MAX);
}
