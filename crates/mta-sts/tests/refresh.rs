//! Refreshing, and the last look before mail is returned (RFC 8461 §3.3, §5.1 and §10.2).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use mta_sts::{
    CachedPolicy, FetchSettings, Fetcher, NamesError, Policies, Policy, PolicyDomain, PolicyId,
    PolicySettings, PolicyStore as _, Recheck, Refreshed,
};

use crate::log::Log;
use crate::policy_host::Behaviour;
use crate::scene::{DAY, DOMAIN, HOUR, MINUTE, Scene, domain, file};
use crate::zone::SERVER;

const WEEK: Duration = Duration::from_secs(604_800);

impl Scene {
    async fn refresh(&self) -> Refreshed {
        self.policies.refresh(&domain(DOMAIN), self.now()).await.unwrap()
    }

    async fn is_due(&self) -> bool {
        let (due, unreadable) = all_due(&self.policies, self.now(), 10).await;
        assert_eq!(unreadable, 0);
        due == [DOMAIN]
    }

    async fn recheck(&self, required: &mta_sts::RequiredTls) -> Recheck {
        self.policies.recheck(required, self.now()).await.unwrap()
    }
}

/// The domains that are due, asked for in pages, and how many cannot be read.
async fn all_due(policies: &Policies, now: SystemTime, limit: usize) -> (Vec<String>, usize) {
    let (mut due, mut unreadable) = (Vec::new(), 0);
    loop {
        let page = policies.refresh_due(limit, now).await.unwrap();
        due.extend(page.due.iter().map(ToString::to_string));
        unreadable += page.unreadable.len();
        if !page.more {
            return (due, unreadable);
        }
    }
}

#[tokio::test]
async fn a_refresh_moves_the_end_of_a_policy() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.advance(DAY);
    assert!(matches!(scene.refresh().await, Refreshed::Renewed(_)));
    let cached = scene.cached().await.unwrap();
    assert_eq!(cached.valid_until(), scene.now() + WEEK);
    assert_eq!(cached.used_at(), scene.now() - DAY, "a refresh is not a use");
}

/// RFC 8461 §10.2: regardless of the state of the TXT record.
#[tokio::test]
async fn a_refresh_fetches_whatever_the_record_says() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.advance(DAY);
    scene.zone.no_sts(DOMAIN);
    assert!(matches!(scene.refresh().await, Refreshed::Renewed(_)));
    assert_eq!(scene.cached().await.unwrap().fetched_at(), scene.now());
    scene.advance(DAY);
    scene.zone.sts_fails(DOMAIN, NamesError::TimedOut);
    assert!(matches!(scene.refresh().await, Refreshed::Renewed(_)));
    assert_eq!(scene.cached().await.unwrap().id().as_str(), "1");
    assert_eq!(scene.cached().await.unwrap().fetched_at(), scene.now());
}

#[tokio::test]
async fn a_refresh_takes_up_a_new_id_and_a_new_policy() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.publish("2", &file("testing"));
    let Refreshed::Renewed(policy) = scene.refresh().await else { panic!() };
    assert_eq!(policy.id().as_str(), "2");
    assert_eq!(scene.cached().await, Some(policy));
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_policy_and_is_told() {
    let scene = Scene::enforce().await;
    scene.required().await;
    let until = scene.cached().await.unwrap().valid_until();
    scene.fetch_fails();
    scene.advance(DAY);
    let since = scene.now();
    let log = Log::collect();
    assert!(matches!(scene.refresh().await, Refreshed::Failed { .. }));
    let [warning] = &log.lines("WARN")[..] else { panic!("{log:?}") };
    for word in ["domain=example.test", "policy=enforce", "404"] {
        assert!(warning.contains(word), "{warning}");
    }
    scene.advance(HOUR);
    scene.refresh().await;
    let cached = scene.cached().await.unwrap();
    assert_eq!(cached.valid_until(), until);
    let trouble = cached.trouble().unwrap();
    assert_eq!((trouble.since, trouble.last, trouble.failures), (since, scene.now(), 2));
    assert!(trouble.error.contains("404"), "{}", trouble.error);
    scene.required().await;

    scene.host.behave(Behaviour::policy(&file("enforce")));
    scene.advance(HOUR);
    scene.refresh().await;
    assert_eq!(scene.cached().await.unwrap().trouble(), None);
}

#[tokio::test]
async fn a_withdrawn_policy_is_no_trouble_and_is_forgotten_when_it_expires() {
    let scene = Scene::publishing(&file("none")).await;
    scene.why().await;
    scene.zone.no_sts(DOMAIN);
    scene.fetch_fails();
    scene.advance(DAY);
    let log = Log::collect();
    assert!(matches!(scene.refresh().await, Refreshed::Failed { .. }));
    assert_eq!(log.lines("WARN"), Vec::<String>::new());
    assert_eq!(scene.cached().await.unwrap().trouble(), None);
    scene.advance(WEEK);
    scene.zone.sts(DOMAIN, &["v=STSv1; id=1;"]);
    assert!(scene.is_due().await);
    assert!(matches!(scene.refresh().await, Refreshed::Forgotten));
    assert!(scene.cached().await.is_none());
}

#[tokio::test]
async fn an_expired_policy_that_is_not_published_is_forgotten() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.zone.no_sts(DOMAIN);
    scene.advance(WEEK);
    assert!(matches!(scene.refresh().await, Refreshed::Renewed(_)), "it has not expired");
    scene.advance(WEEK + DAY);
    assert!(matches!(scene.refresh().await, Refreshed::Forgotten));
    assert!(scene.cached().await.is_none());
}

#[tokio::test]
async fn an_expired_policy_is_kept_and_tried_as_long_as_the_dns_does_not_say() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.zone.sts_fails(DOMAIN, NamesError::ServFail { server: SERVER });
    scene.advance(WEEK + DAY);
    assert!(scene.is_due().await);
    assert!(matches!(scene.refresh().await, Refreshed::Renewed(_)));
}

#[tokio::test]
async fn an_unused_policy_is_left_alone_and_forgotten_when_it_expires() {
    let mut scene = Scene::enforce().await;
    scene.restart(PolicySettings { unused_after: 3 * DAY, ..PolicySettings::default() });
    scene.required().await;
    scene.advance(2 * DAY);
    assert!(scene.is_due().await);
    scene.advance(2 * DAY);
    assert!(!scene.is_due().await);
    scene.advance(4 * DAY);
    assert!(scene.is_due().await);
    assert!(matches!(scene.refresh().await, Refreshed::Forgotten));
    assert_eq!(scene.host.connections(), 1);
    assert!(matches!(scene.refresh().await, Refreshed::NotCached));
}

#[tokio::test]
async fn a_policy_is_due_once_a_day_with_jitter() {
    let scene = Scene::enforce().await;
    scene.required().await;
    scene.advance(18 * HOUR - Duration::from_secs(1));
    assert!(!scene.is_due().await, "never earlier than three quarters of the interval");
    scene.advance(6 * HOUR + Duration::from_secs(1));
    assert!(scene.is_due().await, "never later than the interval");

    let mut ages = BTreeSet::new();
    for _ in 0..8 {
        scene.refresh().await;
        let fetched = scene.now();
        scene.advance(18 * HOUR);
        while !scene.is_due().await {
            scene.advance(MINUTE);
        }
        ages.insert(scene.now().duration_since(fetched).unwrap());
    }
    assert!(ages.len() > 1, "never at the same age each time: {ages:?}");
}

#[tokio::test]
async fn a_short_lived_policy_is_due_before_it_expires() {
    let text = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 7200\n";
    let scene = Scene::publishing(text).await;
    scene.required().await;
    scene.advance(HOUR);
    assert!(scene.is_due().await);
    scene.fetch_fails();
    scene.refresh().await;
    assert!(!scene.is_due().await, "not again at once");
    scene.advance(15 * MINUTE);
    assert!(scene.is_due().await, "but again before it expires");
}

#[tokio::test]
async fn a_policy_too_short_lived_to_refresh_is_fetched_when_it_is_needed() {
    let text = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 60\n";
    let scene = Scene::publishing(text).await;
    scene.required().await;
    for _ in 0..10 {
        scene.advance(MINUTE);
        assert!(!scene.is_due().await);
    }
}

#[tokio::test]
async fn due_policies_come_in_pages_and_an_unreadable_one_hides_no_other() {
    let scene = Scene::enforce().await;
    scene.required().await;
    let entry = String::from_utf8(scene.cached().await.unwrap().to_bytes()).unwrap();
    for name in ["a.test", "b.test", "c.test", "d.test"] {
        scene.store.put(name, entry.replace(DOMAIN, name).as_bytes());
    }
    scene.store.put("b.test", b"garbage");
    scene.advance(DAY);
    let (due, unreadable) = all_due(&scene.policies, scene.now(), 2).await;
    assert_eq!(due, ["a.test", "c.test", "d.test", DOMAIN]);
    assert_eq!(unreadable, 1);
    scene.advance(MINUTE);
    let again = all_due(&scene.policies, scene.now(), 2).await;
    assert_eq!(again, (due, unreadable), "until they are mended");
    assert!(scene.policies.refresh(&domain("b.test"), scene.now()).await.is_err());
}

/// A policy of `domain` that was fetched at `now`.
fn fetched(domain: PolicyDomain, mode: &str, max_age: u64, now: SystemTime) -> CachedPolicy {
    let text = format!("version: STSv1\nmode: {mode}\nmx: mx.example.test\nmax_age: {max_age}\n");
    let policy = Policy::parse(text.as_bytes()).unwrap().value;
    CachedPolicy::new(domain, PolicyId::parse("1").unwrap(), policy, now)
}

#[tokio::test]
async fn those_alone_are_read_that_may_be_due() {
    let scene = Scene::enforce().await;
    for number in 0..1000 {
        let name = domain(&format!("d{number}.test"));
        scene.store.keep(&fetched(name, "enforce", 604_800, scene.now())).await.unwrap();
    }
    let due = async || all_due(&scene.policies, scene.now(), 100).await.0.len();
    assert_eq!(due().await, 0);
    let reads = scene.store.reads();
    for _ in 0..17 * 60 {
        scene.advance(MINUTE);
        assert_eq!(due().await, 0);
    }
    assert_eq!(scene.store.reads(), reads, "nothing is due for three quarters of a day");
    let mut seen = 0;
    while seen < 100 {
        scene.advance(MINUTE);
        seen += due().await;
    }
    let read = scene.store.reads() - reads;
    assert!(read < 4 * seen, "{read} reads for {seen} that were due");
}

#[tokio::test]
async fn all_are_read_once_a_day_and_after_a_reload_and_when_the_clock_went_back() {
    let scene = Scene::enforce().await;
    all_due(&scene.policies, scene.now(), 10).await;
    // Another program writes to the store.
    let other = || async {
        scene.store.put(DOMAIN, b"garbage");
        scene.advance(MINUTE);
        let unseen = all_due(&scene.policies, scene.now(), 10).await;
        assert_eq!(unseen, (Vec::new(), 0));
    };
    let forgotten = || async {
        scene.store.remove(&domain(DOMAIN)).await.unwrap();
        scene.advance(MINUTE);
        all_due(&scene.policies, scene.now(), 10).await;
    };
    other().await;
    scene.advance(DAY);
    assert_eq!(all_due(&scene.policies, scene.now(), 10).await.1, 1);
    forgotten().await;
    other().await;
    scene.turn_back(HOUR);
    assert_eq!(all_due(&scene.policies, scene.now(), 10).await.1, 1);
    forgotten().await;
    other().await;
    let fetcher = Fetcher::new(FetchSettings::new(scene.authority.roots())).unwrap();
    scene.policies.reload(PolicySettings::default(), fetcher);
    assert_eq!(all_due(&scene.policies, scene.now(), 10).await.1, 1);
}

/// The index of what is due is a shortcut: at every moment it finds what a look at all policies finds.
#[tokio::test]
async fn what_may_be_due_is_looked_at_in_time() {
    let settings = PolicySettings { unused_after: 9 * DAY, ..PolicySettings::default() };
    let mut scene = Scene::enforce().await;
    scene.restart(settings.clone());
    scene.required().await;
    let lives = [60, 3000, 7200, 86_400, 250_000, 604_800, 31_557_600];
    for (number, max_age) in lives.into_iter().enumerate() {
        for mode in ["enforce", "none"] {
            let name = domain(&format!("{mode}{number}.test"));
            scene.store.keep(&fetched(name, mode, max_age, scene.now())).await.unwrap();
        }
    }
    let (mut refreshed, mut forgotten) = (0, 0);
    for step in 0..3000_u32 {
        scene.advance(MINUTE * (1 + step * step % 41));
        match step % 500 {
            100 => drop(scene.decide().await),
            200 => scene.fetch_fails(),
            300 => scene.turn_back(HOUR),
            400 => scene.publish("1", &file("enforce")),
            _ => {}
        }
        let due: BTreeSet<_> =
            all_due(&scene.policies, scene.now(), 3).await.0.into_iter().collect();
        let newcomer = scene.another_sender(settings.clone());
        let all = all_due(&newcomer, scene.now(), 100).await.0;
        assert_eq!(due, all.into_iter().collect(), "step {step}");
        for name in due {
            match scene.policies.refresh(&domain(&name), scene.now()).await.unwrap() {
                Refreshed::Forgotten => forgotten += 1,
                Refreshed::Failed { .. } | Refreshed::NotCached | Refreshed::Renewed(_) => {
                    refreshed += 1;
                }
            }
        }
    }
    assert!(refreshed > 100 && forgotten > 10, "{refreshed} {forgotten}");
}

/// RFC 8461 §5.1: not before the presence of a new policy has been checked for.
#[tokio::test]
async fn the_last_look_asks_past_the_cache_and_fetches() {
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    let Recheck::Confirmed(rechecked) = scene.recheck(&required).await else { panic!() };
    assert_eq!(rechecked.domain(), required.domain());
    assert!(rechecked.evidence().fetch.is_some());
    assert!(scene.zone.asked().contains(&"txt-fresh _mta-sts.example.test".to_owned()));
    assert_eq!(scene.host.connections(), 2);
}

#[tokio::test]
async fn the_last_look_finds_a_policy_that_has_changed() {
    for text in
        [file("testing"), file("none"), file("enforce").replace("mx.example", "mx2.example")]
    {
        let scene = Scene::enforce().await;
        let required = scene.required().await;
        scene.publish("2", &text);
        assert!(matches!(scene.recheck(&required).await, Recheck::Changed(_)), "{text}");
        assert_eq!(scene.cached().await.unwrap().id().as_str(), "2");
    }
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    scene.publish("2", &file("enforce").replace("604800", "86400"));
    assert!(matches!(scene.recheck(&required).await, Recheck::Confirmed(_)));
}

#[tokio::test]
async fn the_last_look_finds_what_another_task_has_found_since() {
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    scene.publish("2", &file("none"));
    scene.why().await;
    assert!(matches!(scene.recheck(&required).await, Recheck::Changed(_)));
}

#[tokio::test]
async fn the_last_look_finds_that_nothing_is_published_or_cached_any_more() {
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    scene.advance(WEEK + DAY);
    scene.zone.no_sts(DOMAIN);
    assert!(matches!(scene.recheck(&required).await, Recheck::Changed(_)));
    assert_eq!(scene.host.connections(), 1, "what is not published is not fetched");
}

#[tokio::test]
async fn the_last_look_without_an_answer_confirms_what_is_cached_and_applies() {
    let scene = Scene::enforce().await;
    let required = scene.required().await;
    scene.zone.sts_fails(DOMAIN, NamesError::TimedOut);
    scene.fetch_fails();
    assert!(matches!(scene.recheck(&required).await, Recheck::Confirmed(_)));
    scene.advance(WEEK + DAY);
    assert!(matches!(scene.recheck(&required).await, Recheck::Changed(_)), "it has expired");
    scene.store.put(DOMAIN, b"garbage");
    assert!(scene.policies.recheck(&required, scene.now()).await.is_err());
}
