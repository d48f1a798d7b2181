//! Deciding: cache, DNS and HTTPS together (RFC 8461 §3.3, §3.4 and §5).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mta_sts::danger::TlsRequiredNo;
use mta_sts::{
    CachedPolicy, Decision, Exception, FetchReport, FetchResultType, Mode, MxHost, NamesError,
    NextHop, OpenHost, Policy, PolicyId, PolicySettings, Purpose, TxtAnswer, Undecided,
    WhyFallback,
};
use tokio::sync::Semaphore;

use crate::log::Log;
use crate::policy_host::{Behaviour, reply};
use crate::scene::{DAY, DOMAIN, HOUR, MINUTE, Scene, domain, file};
use crate::zone::SERVER;

const WEEK: Duration = Duration::from_secs(604_800);

#[tokio::test]
async fn a_domain_without_a_record_has_no_policy_and_is_not_fetched_from() {
    let scene = Scene::enforce().await;
    scene.zone.no_sts(DOMAIN);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
    assert_eq!(scene.zone.asked(), ["txt _mta-sts.example.test"]);
    assert_eq!(scene.host.connections(), 0);
}

#[tokio::test]
async fn an_enforced_policy_is_required_from_the_first_message_on() {
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    assert_eq!(required.domain().as_str(), DOMAIN);
    assert_eq!(required.id().as_str(), "1");
    assert_eq!(required.policy().mode(), Mode::Enforce);
    assert!(matches!(required.evidence().fetch, Some(FetchReport::Fetched(_))));
    assert_eq!(scene.cached().await.unwrap().fetched_at(), scene.now());

    let required = scene.required().await;
    assert!(required.evidence().fetch.is_none(), "the second time it is cached");
    assert_eq!(scene.host.connections(), 1);
}

#[tokio::test]
async fn an_enforced_policy_admits_only_the_hosts_it_names() {
    let required = Scene::enforce().await.required().await;
    let mx = MxHost::parse("MX.Example.Test.").unwrap();
    let route = required.admit(mx.clone()).unwrap();
    assert_eq!((route.mx(), route.domain().as_str()), (&mx, DOMAIN));
    for host in ["mx2.example.test", "a.mx.example.test", "example.test", "mx.example.org"] {
        let mismatch = required.admit(MxHost::parse(host).unwrap()).unwrap_err();
        assert_eq!(mismatch.mx.as_str(), host);
    }
}

#[tokio::test]
async fn testing_and_none_permit_and_say_so() {
    let scene = Scene::publishing(&file("testing")).await;
    let WhyFallback::ModeTesting(policy) = scene.why().await else { panic!() };
    assert!(policy.admits(&MxHost::parse("mx.example.test").unwrap()));
    scene.publish("2", &file("none"));
    assert_eq!(scene.why().await, WhyFallback::ModeNone);
    let Decision::Permit(fallback) = scene.decide().await.unwrap() else { panic!() };
    let route = fallback.via(OpenHost::Name(MxHost::parse("any.example.org").unwrap()));
    assert_eq!(route.why(), &WhyFallback::ModeNone);
    assert_eq!(route.domain(), Some(&domain(DOMAIN)));
}

/// RFC 8461 §3.1: the absence of a usable record does not remove a cached policy.
#[tokio::test]
async fn a_cached_policy_applies_whatever_becomes_of_the_record() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.fetch_fails();
    for records in [
        &[][..],
        &["v=spf1 -all"],
        &["v=STSv1; id=1;", "v=STSv1; id=2;"],
        &["v=STSv1; id=bad-id;"],
        &["v=STSv2; id=1;"],
    ] {
        scene.zone.sts(DOMAIN, records);
        assert_eq!(scene.required().await.id().as_str(), "1", "{records:?}");
    }
    scene.zone.no_sts(DOMAIN);
    scene.required().await;
    for error in [
        NamesError::ServFail { server: SERVER },
        NamesError::TimedOut,
        NamesError::Refused { server: SERVER },
        NamesError::Bogus,
        NamesError::other("broken"),
    ] {
        scene.zone.sts_fails(DOMAIN, error);
        let required = scene.required().await;
        assert!(matches!(required.evidence().txt, Some(TxtAnswer::Failed(_))));
    }
    assert_eq!(scene.host.connections(), 1);
}

#[tokio::test]
async fn a_new_id_is_fetched_before_the_next_delivery() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.publish("2", &file("testing"));
    assert!(matches!(scene.why().await, WhyFallback::ModeTesting(_)));
    scene.publish("3", "version: STSv1\nmode: enforce\nmx: new.example.test\nmax_age: 86400\n");
    let required = scene.required().await;
    assert!(required.admit(MxHost::parse("new.example.test").unwrap()).is_ok());
    assert_eq!(scene.cached().await.unwrap().id().as_str(), "3");
}

#[tokio::test]
async fn a_new_id_whose_policy_cannot_be_fetched_weakens_nothing() {
    for behaviour in [
        Behaviour::status("404 Not Found", ""),
        Behaviour::policy("<html>"),
        Behaviour::NotTls,
        Behaviour::Close,
    ] {
        let scene = Scene::enforce().await;
        scene.required().await;
        let until = scene.cached().await.unwrap().valid_until();
        scene.zone.sts(DOMAIN, &["v=STSv1; id=2;"]);
        scene.host.behave(behaviour);
        let required = scene.required().await;
        assert_eq!(required.id().as_str(), "1");
        assert!(required.evidence().fetch_error().is_some());
        let cached = scene.cached().await.unwrap();
        assert_eq!(cached.valid_until(), until);
        assert_eq!(cached.trouble().unwrap().since, scene.now());
    }
}

#[tokio::test]
async fn an_equal_id_does_not_prolong_a_policy() {
    let scene = Scene::enforce().await;
    scene.required().await;
    let until = scene.cached().await.unwrap().valid_until();
    assert_eq!(until, scene.now() + WEEK);
    scene.fetch_fails();
    scene.advance(WEEK);
    scene.required().await;
    assert_eq!(scene.cached().await.unwrap().valid_until(), until);
    scene.advance(Duration::from_secs(1));
    let decision = scene.decide().await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!("it has expired") };
    assert_eq!(fallback.why(), &WhyFallback::NoPolicy);
    assert!(fallback.evidence().expired.is_some());
    assert_eq!(fallback.evidence().result_type(), Some(FetchResultType::StsPolicyFetchError));
}

#[tokio::test]
async fn an_expired_policy_is_fetched_again_although_its_id_is_the_same() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.advance(2 * WEEK);
    let required = scene.required().await;
    assert_eq!(required.id().as_str(), "1");
    assert_eq!(scene.cached().await.unwrap().valid_until(), scene.now() + WEEK);
    assert_eq!(scene.host.connections(), 2);
}

#[tokio::test]
async fn a_policy_of_no_age_applies_to_the_delivery_it_was_fetched_for() {
    let text = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 0\n";
    let scene = Scene::publishing(text).await;
    scene.required().await;
    scene.advance(Duration::from_secs(1));
    scene.required().await;
    assert_eq!(scene.host.connections(), 2);
}

/// RFC 8461 §3.3: as though the domain has not implemented MTA-STS.
#[tokio::test]
async fn a_policy_that_cannot_be_fetched_and_is_not_cached_is_none() {
    let scene = Scene::enforce().await;
    scene.fetch_fails();
    let Decision::Permit(fallback) = scene.decide().await.unwrap() else { panic!() };
    assert_eq!(fallback.why(), &WhyFallback::NoPolicy);
    assert!(matches!(fallback.evidence().fetch, Some(FetchReport::Failed(_))));
    assert!(scene.cached().await.is_none());

    scene.zone.policy_host_fails(DOMAIN, NamesError::TimedOut);
    scene.advance(5 * MINUTE);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy);
}

#[tokio::test]
async fn a_failed_fetch_is_not_repeated_for_five_minutes_with_the_same_id() {
    let scene = Scene::enforce().await;
    scene.fetch_fails();
    scene.why().await;
    scene.advance(5 * MINUTE - Duration::from_secs(1));
    let decision = scene.decide().await.unwrap();
    let Some(FetchReport::BackedOff { until, .. }) = decision.evidence().fetch else { panic!() };
    assert_eq!(until, scene.now() + Duration::from_secs(1));
    assert_eq!(decision.evidence().result_type(), Some(FetchResultType::StsPolicyFetchError));
    assert_eq!(scene.host.connections(), 1);

    scene.publish("2", &file("enforce"));
    scene.required().await;
    assert_eq!(scene.host.connections(), 2, "a new id is not held up");
}

#[tokio::test]
async fn a_failed_fetch_is_repeated_after_five_minutes() {
    let scene = Scene::enforce().await;
    scene.fetch_fails();
    scene.why().await;
    scene.advance(5 * MINUTE);
    scene.host.behave(Behaviour::policy(&file("enforce")));
    scene.required().await;
}

#[tokio::test]
async fn the_back_off_holds_also_where_a_policy_is_cached() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.fetch_fails();
    scene.zone.sts(DOMAIN, &["v=STSv1; id=2;"]);
    for _ in 0..3 {
        assert_eq!(scene.required().await.id().as_str(), "1");
        scene.advance(MINUTE);
    }
    assert_eq!(scene.host.connections(), 2);
    scene.advance(5 * MINUTE);
    scene.required().await;
    assert_eq!(scene.host.connections(), 3);
}

#[tokio::test]
async fn without_a_word_from_the_dns_nothing_is_decided_until_the_grace_is_over() {
    let mut scene = Scene::enforce().await;
    for error in [NamesError::ServFail { server: SERVER }, NamesError::TimedOut, NamesError::Bogus]
    {
        scene.zone.sts_fails(DOMAIN, error);
        let undecided = scene.decide_after(30 * MINUTE).await.unwrap_err();
        assert!(matches!(undecided, Undecided::NamesFailed { .. }), "{undecided:?}");
    }
    let after = 30 * MINUTE + Duration::from_secs(1);
    let Decision::Permit(fallback) = scene.decide_after(after).await.unwrap() else { panic!() };
    assert_eq!(fallback.why(), &WhyFallback::UndecidedTooLong);
    assert!(matches!(fallback.evidence().txt, Some(TxtAnswer::Failed(_))));

    scene.restart(PolicySettings { undecided_grace: DAY, ..PolicySettings::default() });
    assert!(scene.decide_after(23 * HOUR).await.is_err());
    scene.zone.sts(DOMAIN, &["v=STSv1; id=1;"]);
    scene.required().await;
}

#[tokio::test]
async fn an_expired_policy_without_a_word_from_the_dns_decides_nothing() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.advance(2 * WEEK);
    scene.zone.sts_fails(DOMAIN, NamesError::ServFail { server: SERVER });
    assert!(matches!(scene.decide().await, Err(Undecided::NamesFailed { .. })));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_decides_nothing_however_long_it_takes() {
    let scene = Scene::enforce().await;
    let entry = scene.required().await.evidence().policy.clone().unwrap().to_bytes();
    let later = String::from_utf8(entry.clone()).unwrap().replace("\"version\":1", "\"version\":9");
    for bytes in [b"garbage".as_slice(), &entry[..entry.len() - 1], later.as_bytes(), b""] {
        scene.store.put(DOMAIN, bytes);
        for queued_for in [Duration::ZERO, 30 * DAY] {
            let undecided = scene.decide_after(queued_for).await.unwrap_err();
            assert!(matches!(undecided, Undecided::CacheUnreadable { .. }), "{undecided:?}");
        }
    }
    let policy = Policy::parse(file("none").as_bytes()).unwrap().value;
    let id = PolicyId::parse("1").unwrap();
    let other = CachedPolicy::new(domain("other.test"), id, policy, scene.now());
    scene.store.put(DOMAIN, &other.to_bytes());
    assert!(matches!(scene.decide().await, Err(Undecided::CacheUnreadable { .. })));
}

#[tokio::test]
async fn a_policy_that_cannot_be_kept_applies_all_the_same() {
    let scene = Scene::enforce().await;
    scene.store.fail_writes();
    let required = scene.required().await;
    assert!(required.evidence().store.is_some());
}

#[tokio::test]
async fn an_address_literal_has_no_policy_and_nothing_is_looked_up() {
    let scene = Scene::enforce().await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let decision = scene.decide_for(&NextHop::Literal(address), purpose).await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!() };
    assert_eq!(fallback.why(), &WhyFallback::AddressLiteral);
    assert_eq!(fallback.domain(), None);
    assert!(scene.zone.asked().is_empty());
}

#[tokio::test]
async fn a_tls_report_is_held_up_by_no_policy() {
    let scene = Scene::enforce().await;
    scene.required().await;
    let next_hop = NextHop::Domain(domain(DOMAIN));
    let decision = scene.decide_for(&next_hop, Purpose::TlsReport).await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!() };
    assert_eq!(fallback.why(), &WhyFallback::TlsReport);
    assert_eq!(fallback.domain(), Some(&domain(DOMAIN)));
}

/// RFC 8689 §3: a policy in testing or none is what it is; one that is enforced comes along, for what it
/// would have said.
#[tokio::test]
async fn a_message_with_licence_is_held_up_by_no_policy_and_the_policy_is_looked_up() {
    let scene = Scene::enforce().await;
    let next_hop = NextHop::Domain(domain(DOMAIN));
    let licence = &TlsRequiredNo::assertion();
    let purpose = Purpose::TlsRequiredNo { queued_for: Duration::ZERO, licence };
    let decision = scene.decide_for(&next_hop, purpose).await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!() };
    let WhyFallback::TlsRequiredNo(policy) = fallback.why() else { panic!() };
    assert_eq!(policy.mode(), Mode::Enforce);
    assert!(fallback.evidence().policy.is_some());
    // Other mail to the domain is held to it as before.
    scene.required().await;
}

/// RFC 8461 §3.4.
#[tokio::test]
async fn the_policy_of_a_parent_domain_is_never_asked_for() {
    let scene = Scene::enforce().await;
    scene.required().await;
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let sub = NextHop::Domain(domain("sub.example.test"));
    let decision = scene.decide_for(&sub, purpose).await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!() };
    assert_eq!(fallback.why(), &WhyFallback::NoPolicy);
    assert_eq!(scene.zone.asked().last().unwrap(), "txt _mta-sts.sub.example.test");
}

/// A name of more than 253 octets cannot be asked for; that is no failure of the DNS.
#[tokio::test]
async fn a_domain_too_long_for_a_record_has_no_policy() {
    let scene = Scene::enforce().await;
    let labels = ["a", "b", "c"].map(|letter| letter.repeat(60));
    let long = NextHop::Domain(domain(&format!("{}.{}", labels.join("."), "d".repeat(63))));
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let decision = scene.decide_for(&long, purpose).await.unwrap();
    assert!(matches!(decision, Decision::Permit(_)));
    assert!(scene.zone.asked().is_empty());
}

#[tokio::test]
async fn an_exception_lifts_an_enforced_policy_until_it_ends() {
    let mut scene = Scene::enforce().await;
    let until = scene.now() + DAY;
    let reason = "agreed with their postmaster";
    let exception = Exception::new(domain(DOMAIN), until, reason, scene.now()).unwrap();
    let exceptions = [exception.clone()].into_iter().collect();
    scene.restart(PolicySettings { exceptions, ..PolicySettings::default() });

    let log = Log::collect();
    let WhyFallback::Exception { exception: used, policy } = scene.why().await else { panic!() };
    assert_eq!((&*used, policy.mode()), (&exception, Mode::Enforce));
    scene.why().await;
    let warnings = log.lines("WARN");
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("domain=example.test") && warning.contains(reason), "{warning}");
    scene.publish("2", &file("none"));
    assert_eq!(scene.why().await, WhyFallback::ModeNone, "nothing is enforced, nothing lifted");
    assert_eq!(log.lines("WARN").len(), 1, "and nothing is said of it");
    scene.publish("3", &file("enforce"));
    scene.why().await;
    assert_eq!(log.lines("WARN").len(), 2);
    scene.advance(DAY);
    scene.required().await;
}

#[tokio::test]
async fn an_exception_does_not_make_up_for_an_unreadable_cache() {
    let mut scene = Scene::enforce().await;
    let until = scene.now() + DAY;
    let exception = Exception::new(domain(DOMAIN), until, "agreed", scene.now()).unwrap();
    let exceptions = [exception].into_iter().collect();
    scene.restart(PolicySettings { exceptions, ..PolicySettings::default() });
    scene.store.put(DOMAIN, b"garbage");
    assert!(scene.decide().await.is_err());
}

#[tokio::test]
async fn a_policy_survives_a_restart() {
    let mut scene = Scene::enforce().await;
    scene.required().await;
    scene.restart(PolicySettings::default());
    scene.zone.no_sts(DOMAIN);
    scene.required().await;
    assert_eq!(scene.host.connections(), 1);
}

#[tokio::test]
async fn a_fetch_that_is_given_up_is_taken_over() {
    let scene = Scene::enforce().await;
    let leave = Arc::new(Semaphore::new(0));
    let whole = reply("200 OK", "Content-Type: text/plain\r\n", &file("enforce"));
    scene.host.behave(Behaviour::Held(Arc::clone(&leave), whole));
    {
        let mut given_up = Box::pin(scene.decide());
        tokio::select! {
            _ = &mut given_up => panic!("nobody has replied"),
            () = async { while scene.host.heard().is_empty() { tokio::task::yield_now().await } } => {}
        }
    }
    scene.host.behave(Behaviour::policy(&file("enforce")));
    scene.required().await;
}

#[tokio::test]
async fn a_domain_whose_fetch_hangs_does_not_hold_up_another() {
    let scene = Scene::enforce().await;
    scene.host.behave(Behaviour::Silent);
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let other = NextHop::Domain(domain("other.test"));
    tokio::select! {
        _ = scene.decide() => panic!("nobody has replied"),
        decision = async {
            while scene.host.connections() == 0 { tokio::task::yield_now().await }
            scene.decide_for(&other, purpose).await
        } => assert!(matches!(decision, Ok(Decision::Permit(_)))),
    }
}

#[tokio::test]
async fn what_was_overlooked_is_told() {
    let scene = Scene::publishing(&format!("{}\n", file("enforce"))).await;
    scene.zone.sts(DOMAIN, &["v=STSv1; id=1 "]);
    let required = scene.required().await;
    let labels: Vec<_> = required.evidence().warnings().map(mta_sts::Warning::label).collect();
    assert_eq!(labels, ["trailing whitespace", "blank line"]);
}

#[tokio::test]
async fn a_policy_in_use_is_not_written_again_and_again() {
    let scene = Scene::enforce().await;
    for _ in 0..10 {
        scene.required().await;
        scene.advance(HOUR);
    }
    assert_eq!(scene.store.writes(), 1);
    scene.advance(DAY);
    scene.required().await;
    scene.required().await;
    assert_eq!(scene.store.writes(), 2);
    assert_eq!(scene.cached().await.unwrap().used_at(), scene.now());
}

#[tokio::test]
async fn a_clock_that_goes_back_neither_drops_a_policy_nor_makes_it_immortal() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.fetch_fails();
    scene.turn_back(3650 * DAY);
    scene.required().await;
    scene.advance(WEEK);
    scene.required().await;
    scene.advance(Duration::from_secs(1));
    assert_eq!(scene.why().await, WhyFallback::NoPolicy, "max_age has passed since the doubt");
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_moment_costs_no_policy() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.fetch_fails();
    scene.turn_back(3650 * DAY);
    scene.required().await;
    scene.advance(3650 * DAY + DAY);
    scene.required().await;
    scene.advance(WEEK);
    assert_eq!(scene.why().await, WhyFallback::NoPolicy, "nor does it prolong one");
}
