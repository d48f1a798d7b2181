//! `sts-relay domains`, `domain`, as they are typed: what protects mail, and since when.

use std::time::Duration;

use serde_json::Value;
use testbed::{Certificate, MxBehaviour, PolicyText};
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json, refused};
use crate::metrics::counted;
use crate::process_in_world::ProcessInWorld;
use crate::world::{PATIENCE, RelayInWorld};

/// How often a relay is killed.
const ROUNDS: u64 = 12;

/// Waits until the ledger knows so many domains that meet these filters.
async fn known(there: &ProcessInWorld, filters: &[&str], count: usize) -> Vec<Value> {
    let arguments = [&["domains"], filters, &["--json"]].concat();
    let found = timeout(PATIENCE, async {
        loop {
            let output = crate::process::run(&there.config, &arguments);
            let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if found.len() >= count {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.expect("the ledger does not know them")
}

/// A relay that has delivered a message to an enforcing domain and to one whose host has no TLS.
async fn delivered() -> ProcessInWorld {
    let mut there = ProcessInWorld::start("").await;
    let mx = there.world.mx("mx.strict.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([mx.name()]);
    there.world.domain("strict.test").mx(10, &mx).sts("a1").policy(policy).await;
    there.domain("open.test", MxBehaviour::starttls_not_offered()).await;
    there.submit(&["<bob@strict.test>", "<eve@open.test>"]).await;
    there
}

#[tokio::test]
async fn domains_are_listed_with_what_protects_them_while_the_relay_runs_and_afterwards() {
    let mut there = delivered().await;
    known(&there, &[], 2).await;
    let running = known(&there, &["--protection", "verified"], 1).await;
    assert_eq!(running[0]["domain"], "strict.test");
    assert_eq!(running[0]["policy"]["mode"], "enforce");
    assert_eq!(running[0]["policy"]["id"], "a1");
    assert_eq!(running[0]["waiting"], 0);
    assert!(running[0]["since"].as_u64().is_some());
    assert!(there.relay.terminate().await.success());
    let at_rest = known(&there, &["--protection", "verified"], 1).await;
    assert_eq!(at_rest, running);
    let text = asked(&there.config, &["domains"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("plaintext") && text.contains("enforce"), "{text}");
    let csv = asked(&there.config, &["domains", "--csv"]);
    assert!(csv.lines().nth(1).unwrap().starts_with("open.test,plaintext,"), "{csv}");
    assert_eq!(
        asked_json(&there.config, &["domains", "--changed", "2100-01-01"]),
        Value::Array(vec![])
    );
}

#[tokio::test]
async fn a_domain_is_found_as_people_write_it_and_one_that_is_not_known_is_said_so() {
    let there = delivered().await;
    known(&there, &[], 2).await;
    let shown = asked_json(&there.config, &["domain", "Strict.TEST."]);
    assert_eq!(shown["last_proof"]["host"], "mx.strict.test");
    assert_eq!(shown["days"][0]["worst"], "verified");
    assert_eq!(shown["policy"]["hosts"], serde_json::json!(["mx.strict.test"]));
    assert_eq!(shown["events"][0]["event"], "policy-appeared");
    let text = asked(&there.config, &["domain", "strict.test"]);
    assert!(text.contains("enforce since ") && text.contains("policy a1 appeared"), "{text}");
    for (arguments, status) in [
        (&["domain", "nobody.test"][..], 1),
        (&["domain", "b\u{fc}cher.test"], 1),
        (&["domain", "not a domain"], 2),
        (&["domains", "--protection", "much"], 2),
        (&["domains", "--changed", "yesterday"], 2),
        (&["domains", "--csv", "--json"], 2),
    ] {
        let output = crate::process::run(&there.config, arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

#[tokio::test]
async fn without_history_no_ledger_is_kept_and_that_is_said() {
    let there = ProcessInWorld::start("history.enabled = false\n").await;
    assert!(refused(&there.config, &["domains"]).contains("history.enabled"));
}

#[tokio::test]
async fn every_act_of_an_operator_is_listed_with_who_did_it() {
    let mut there = ProcessInWorld::start("").await;
    there.domain("slow.test", MxBehaviour::starttls_not_offered()).await;
    let id = there.submit(&["<bob@nobody.invalid>"]).await;
    let acts: [&[&str]; 8] = [
        &["queue", "hold", &id],
        &["queue", "show", &id, "--body"],
        &["queue", "release", &id],
        &["queue", "retry", "--all"],
        &["exception", "add", "strict.test", "--reason", "they mend it", "--for", "1h"],
        &["exception", "remove", "strict.test"],
        &["queue", "hold", &id],
        &["queue", "delete", &id],
    ];
    for act in acts {
        asked(&there.config, act);
    }
    there.relay.hang_up();
    let listed = timeout(PATIENCE, async {
        loop {
            let listed = asked_json(&there.config, &["activity"]);
            if listed[0]["act"] == "reload" {
                return listed;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    let listed = listed.await.expect("the reload is not listed");
    let words: Vec<_> = listed.as_array().unwrap().iter().rev().map(|one| &one["act"]).collect();
    let expected = [
        "hold",
        "body-read",
        "release",
        "retry",
        "exception-add",
        "exception-remove",
        "hold",
        "delete",
        "reload",
    ];
    assert_eq!(words, expected);
    let who = format!("uid {}", rustix::process::getuid().as_raw());
    assert!(
        listed.as_array().unwrap().iter().all(|one| one["by"].as_str().unwrap().contains(&who))
    );
    assert_eq!(listed[8]["queue_id"], id.as_str());
    assert_eq!(listed[4]["reason"], "they mend it");
    assert!(asked(&there.config, &["activity", "--csv"]).lines().count() == 10);
    asked(&there.config, &["history", "verify"]);
}

/// What the status says, and its exit status.
fn status(there: &ProcessInWorld) -> (Value, Option<i32>) {
    let output = crate::process::run(&there.config, &["status", "--json"]);
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

#[tokio::test]
async fn the_status_says_what_flowed_and_who_needs_a_person() {
    let mut there = delivered().await;
    let mx = there.world.mx("mx.late.test", MxBehaviour::presenting(Certificate::Expired)).await;
    let policy = PolicyText::enforce([mx.name()]);
    there.world.domain("late.test").mx(10, &mx).sts("b1").policy(policy).await;
    known(&there, &[], 2).await;
    let (calm, code) = status(&there);
    // The resolver of this world does not answer everything that readiness asks.
    let ready = calm["not_ready"].as_array().unwrap().is_empty();
    assert_eq!(code, Some(i32::from(!ready)), "{calm}");
    assert_eq!((&calm["running"], &calm["needs"]), (&Value::Bool(true), &Value::Array(vec![])));
    assert_eq!(calm["hour"]["delivered"]["verified"], 1);
    assert_eq!(calm["hour"]["delivered"]["plaintext"], 1);
    assert_eq!(calm["hour"]["accepted"], 1);
    assert_eq!(
        (&calm["domains"]["verified"], &calm["domains"]["plaintext"]),
        (&1.into(), &1.into())
    );
    let id = there.submit(&["<bob@late.test>"]).await;
    known(&there, &[], 3).await;
    let (held, code) = status(&there);
    assert_eq!((code, &held["queue"]["messages"]), (Some(1), &1.into()));
    assert_eq!(held["needs"][0]["domain"], "late.test", "{held}");
    assert_eq!(
        (&held["needs"][0]["need"], &held["needs"][0]["cause"]),
        (&"held".into(), &"policy".into())
    );
    let text = crate::process::run(&there.config, &["status"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("late.test: mail is not delivered for "), "{text}");
    // Mail that is gone is held no more.
    asked(&there.config, &["queue", "delete", &id]);
    assert_eq!(status(&there).0["needs"], Value::Array(vec![]));
    assert!(there.relay.terminate().await.success());
    let (stopped, code) = status(&there);
    assert_eq!((code, &stopped["running"]), (Some(1), &Value::Bool(false)));
    assert_eq!(stopped["day"]["delivered"]["verified"], 1);
}

#[tokio::test]
async fn a_postmaster_is_told_what_is_published_what_was_shown_and_what_to_change() {
    let mut there = delivered().await;
    let mx = there.world.mx("mx.late.test", MxBehaviour::presenting(Certificate::Expired)).await;
    let policy = PolicyText::enforce([mx.name()]);
    there.world.domain("late.test").mx(10, &mx).sts("b1").policy(policy).await;
    let id = there.submit(&["<bob@late.test>"]).await;
    known(&there, &[], 3).await;
    let by_domain = asked(&there.config, &["explain", "late.test"]);
    assert_eq!(asked(&there.config, &["explain", &id]), by_domain);
    for text in [
        "To the postmaster of late.test\n",
        "to late.test is not delivered since 20",
        "MTA-STS policy b1, mode enforce",
        "Host mx.late.test",
        "expired",
        "in date",
        "publish mode testing",
        "policy first seen in mode enforce",
    ] {
        assert!(by_domain.contains(text), "{text}: {by_domain}");
    }
    assert!(!by_domain.contains("bob@"), "{by_domain}");
    let fine = asked(&there.config, &["explain", "strict.test"]);
    assert!(fine.contains("Nothing has to be changed"), "{fine}");
    let json = asked_json(&there.config, &["explain", "open.test"]);
    assert_eq!(json[0]["domain"], "open.test");
    for (subject, code) in [("nobody.test", 1), ("not a domain", 2)] {
        let output = crate::process::run(&there.config, &["explain", subject]);
        assert_eq!(output.status.code(), Some(code), "{subject}");
    }
}

/// What the ledger and the figures say was delivered to a domain, and what the records say.
fn delivered_to(there: &ProcessInWorld, domain: &str) -> (u64, u64, u64) {
    let listed = asked_json(&there.config, &["domain", domain]);
    let of_days: u64 = listed["days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| day["delivered"].as_u64().unwrap())
        .sum();
    assert_eq!(listed["delivered"].as_u64(), Some(of_days));
    let day = status(there).0["day"]["delivered"].clone();
    let of_figures: u64 =
        day.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let exported = asked(&there.config, &["history", "export", "--outcome", "delivered"]);
    let count = |line: &str| -> u64 {
        let record: Value = serde_json::from_str(line).unwrap();
        record["recipient_count"].as_u64().unwrap()
    };
    (of_days, of_figures, exported.lines().map(count).sum())
}

#[tokio::test]
async fn each_delivery_is_in_the_ledger_once_though_the_relay_is_killed_again_and_again() {
    let mut there = ProcessInWorld::start("").await;
    there.domain("open.test", MxBehaviour::valid()).await;
    for round in 0..ROUNDS {
        for _ in 0..4 {
            there.submit(&["<bob@open.test>", "<eve@open.test>"]).await;
        }
        if round % 3 == 2 {
            // Some of it is in the ledger by now, and some is not.
            known(&there, &[], 1).await;
        }
        there.restart_after_kill().await;
    }
    let settled = timeout(PATIENCE, async {
        loop {
            let queue = asked_json(&there.config, &["queue", "stats"])["messages"].clone();
            let (ledger, figures, records) = delivered_to(&there, "open.test");
            if queue == 0 && ledger == records && ledger >= ROUNDS * 8 {
                return (ledger, figures);
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    known(&there, &[], 1).await;
    let (ledger, figures) = settled.await.expect("the ledger does not have what was delivered");
    assert_eq!(figures, ledger);
    assert!(there.relay.terminate().await.success());
    let (after, figures, records) = delivered_to(&there, "open.test");
    assert_eq!((after, figures, records), (ledger, ledger, ledger));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_see_how_much_history_there_is_and_that_nothing_is_behind() {
    let relay = RelayInWorld::start_with("admin.address = \"127.0.0.1:0\"").await;
    relay.domain("open.test", MxBehaviour::valid()).await;
    relay.submit(&["<bob@open.test>"]).await;
    // A file is there before it says when it was begun.
    let begun = timeout(PATIENCE, async {
        loop {
            let scrape = counted(&relay, "history_segments", 1.0).await;
            if scrape.of("history_since_seconds") > 0.0 && scrape.of("history_size_bytes") > 0.0 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    begun.await.expect("the history has no beginning");
    counted(&relay, "history_waiting_records", 0.0).await;
    counted(&relay, "ledger_waiting_records", 0.0).await;
    counted(&relay, "history_gaps_total", 0.0).await;
}
