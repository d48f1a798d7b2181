//! Several who want the policy of one domain at once, and fetches that fail one after another.

use std::sync::Arc;

use mta_sts::{Decision, FetchResultType, WhyFallback};
use tokio::sync::Semaphore;

use crate::policy_host::{Behaviour, reply};
use crate::scene::{Scene, file};

#[tokio::test]
async fn one_fetch_serves_all_who_wait_for_it() {
    let scene = Scene::enforce().await;
    // The result is shared as it is, and not by way of the store.
    scene.store.fail_writes();
    let leave = Arc::new(Semaphore::new(0));
    let whole = reply("200 OK", "Content-Type: text/plain\r\n", &file("enforce"));
    scene.host.behave(Behaviour::Held(Arc::clone(&leave), whole));
    let decisions = async { tokio::join!(scene.decide(), scene.decide(), scene.decide()) };
    let release = async {
        while scene.zone.asked().iter().filter(|asked| asked.starts_with("txt")).count() < 3
            || scene.host.heard().is_empty()
        {
            tokio::task::yield_now().await;
        }
        leave.add_permits(1);
    };
    let ((one, two, three), ()) = tokio::join!(decisions, release);
    for decision in [one, two, three] {
        assert!(matches!(decision.unwrap(), Decision::Require(_)));
    }
    assert_eq!(scene.host.connections(), 1);
}

#[tokio::test]
async fn a_fetch_for_one_id_is_no_answer_to_those_who_want_another() {
    let scene = Scene::enforce().await;
    let leave = Arc::new(Semaphore::new(0));
    let whole = reply("200 OK", "Content-Type: text/plain\r\n", &file("enforce"));
    scene.host.behave(Behaviour::Held(Arc::clone(&leave), whole));
    let later = async {
        while scene.host.heard().is_empty() {
            tokio::task::yield_now().await;
        }
        scene.publish("2", &file("none"));
        scene.decide().await
    };
    let release = async {
        while scene.zone.asked().iter().filter(|asked| asked.starts_with("txt")).count() < 2 {
            tokio::task::yield_now().await;
        }
        leave.add_permits(1);
    };
    let (one, two, ()) = tokio::join!(scene.decide(), later, release);
    assert!(matches!(one.unwrap(), Decision::Require(required) if required.id().as_str() == "1"));
    let Decision::Permit(fallback) = two.unwrap() else { panic!("it is the policy of the first") };
    assert_eq!(fallback.why(), &WhyFallback::ModeNone);
    assert_eq!(scene.host.connections(), 2);
}

#[tokio::test]
async fn a_fetch_that_succeeds_ends_the_back_off() {
    let scene = Scene::enforce().await;
    scene.required().await;
    for (id, fails) in [("2", true), ("3", true), ("4", true), ("5", false), ("6", true)] {
        scene.publish(id, &file("enforce"));
        if fails {
            scene.fetch_fails();
        }
        scene.required().await;
    }
    // Four have failed within five minutes, and three of them before one that did not.
    scene.publish("7", &file("enforce"));
    assert_eq!(scene.required().await.id().as_str(), "7");
}

#[tokio::test]
async fn one_failed_fetch_is_the_answer_for_all_who_wait_for_it() {
    let scene = Scene::enforce().await;
    scene.fetch_fails();
    let (one, two) = tokio::join!(scene.decide(), scene.decide());
    for decision in [one, two] {
        assert_eq!(
            decision.unwrap().evidence().result_type(),
            Some(FetchResultType::StsPolicyFetchError)
        );
    }
    assert_eq!(scene.host.connections(), 1);
}
