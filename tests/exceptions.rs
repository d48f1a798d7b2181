//! Exceptions without a restart: granted, in force with the next decision, kept, and withdrawn.

use serde_json::json;
use testbed::{Certificate, MxBehaviour, MxHost, PolicyText};

use crate::cli::asked_json;
use crate::process::{self, Process};
use crate::process_in_world::ProcessInWorld;
use crate::world::write_settings;

/// A domain whose policy is enforced and whose host does not prove its name.
pub(crate) async fn broken(running: &ProcessInWorld, domain: &str) -> MxHost {
    let host = running.domain(domain, MxBehaviour::presenting(Certificate::SelfSigned)).await;
    let policy = PolicyText::enforce([host.name()]);
    running.world.domain(domain).sts("1").policy(policy).await;
    host
}

/// Does what is typed behind `exception`; what it says, and its status.
pub(crate) fn typed(running: &ProcessInWorld, arguments: &[&str]) -> (String, i32) {
    let arguments = [&["exception"][..], arguments].concat();
    let output = process::run(&running.config, &arguments);
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

pub(crate) fn retry(running: &ProcessInWorld) {
    assert!(process::run(&running.config, &["queue", "retry", "--all"]).status.success());
}

#[tokio::test]
async fn an_exception_counts_from_the_next_decision_on_and_not_any_more_once_it_is_removed() {
    let mut running = ProcessInWorld::start("").await;
    let host = broken(&running, "bad.test").await;
    let other = broken(&running, "other.test").await;
    let held = running.submit(&["<a@bad.test>"]).await;
    drop(running.line("deferred", &held).await);
    let add = ["add", "bad.test", "--reason", "ticket 4711", "--for", "2h"];
    let (said, status) = typed(&running, &add);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("bad.test: not enforced (mta-sts) until "), "{said}");
    let line = running.relay.logged(" exception added domain=bad.test ", 1).await;
    assert!(line.contains("ticket 4711") && line.contains(" by="), "{line}");
    retry(&running);
    let line = running.line("delivered", &held).await;
    assert!(line.contains(" why=\"exception\" "), "{line}");
    drop(running.relay.logged(" exception used domain=bad.test ", 1).await);
    // It is for its domain alone.
    let elsewhere = running.submit(&["<a@other.test>"]).await;
    drop(running.line("deferred", &elsewhere).await);
    assert_eq!(other.messages(), []);
    let listed = asked_json(&running.config, &["exception", "list"]);
    let [one] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&one["domain"], &one["what"]), (&json!("bad.test"), &json!(["mta-sts"])));
    assert_eq!((&one["from"], &one["reason"]), (&json!("command"), &json!("ticket 4711")));
    let stats = asked_json(&running.config, &["queue", "stats"]);
    assert_eq!(stats["exceptions"], listed, "{stats}");
    let policies = asked_json(&running.config, &["policy", "show", "bad.test"]);
    assert_eq!(policies["exception"]["reason"], "ticket 4711", "{policies}");
    let (said, status) = typed(&running, &["remove", "BAD.test."]);
    assert_eq!(status, 0, "{said}");
    drop(running.relay.logged(" exception removed domain=bad.test ", 1).await);
    let again = running.submit(&["<b@bad.test>"]).await;
    drop(running.line("deferred", &again).await);
    assert_eq!(host.messages().len(), 1);
    let (said, status) = typed(&running, &["remove", "bad.test"]);
    assert_eq!((status, said.contains("no exception for bad.test")), (1, true), "{said}");
    assert_eq!(asked_json(&running.config, &["exception", "list"]), json!([]));
}

#[tokio::test]
async fn an_exception_that_was_granted_counts_after_kill_9_and_is_listed_while_no_relay_runs() {
    let mut running = ProcessInWorld::start("").await;
    let host = broken(&running, "bad.test").await;
    let (said, status) = typed(&running, &["add", "bad.test", "--reason", "ticket 4711"]);
    assert_eq!(status, 0, "{said}");
    drop(running.relay.kill());
    let (said, status) = {
        let output = process::run(&running.config, &["exception", "list"]);
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    };
    assert_eq!((status, said.contains("ticket 4711")), (0, true), "{said}");
    let output = process::run(&running.config, &["exception", "remove", "bad.test"]);
    assert_eq!(output.status.code(), Some(1), "only a running relay can do this");
    running.relay = Process::start(&running.config, running.world.directory().join("log"));
    let id = running.submit(&["<a@bad.test>"]).await;
    let line = running.line("delivered", &id).await;
    assert!(line.contains(" why=\"exception\" "), "{line}");
    assert_eq!(host.messages().len(), 1);
}

#[tokio::test]
async fn what_is_no_exception_is_refused_and_what_would_be_taken_is_said() {
    let running = ProcessInWorld::start("").await;
    let reason = "--reason=#7";
    for (arguments, part) in [
        (&["add", "bad.test"][..], "--reason"),
        (&["add", "bad.test", "--reason", " "], "must say its reason"),
        (&["add", "*", reason], "one domain, such as example.org, and not for a pattern"),
        (&["add", "*.bad.test", reason], "not for a pattern"),
        (&["add", ".bad.test", reason], "not for a pattern"),
        (&["add", "[192.0.2.1]", reason], "not for an address"),
        (&["add", "192.0.2.1", reason], "not for an address"),
        (&["add", "bad..test", reason], "one domain, such as example.org"),
        (&["add", "bad.test", reason, "--for", "31d"], "30d at most"),
        (&["add", "bad.test", reason, "--for", "0s"], "30d at most"),
        (&["add", "bad.test", reason, "--for", "7"], "a number and a unit"),
        (&["add", "bad.test", reason, "--until", "2020-01-01"], "in the future, at most 30 days"),
        (&["add", "bad.test", reason, "--until", "2999-01-01"], "in the future, at most 30 days"),
        (&["add", "bad.test", reason, "--what", "all"], "mta-sts, dane, or mta-sts,dane"),
        (&["add", "bad.test", reason, "--accept-certificate", "abcd"], "64 hexadecimal digits"),
        (
            &["add", "bad.test", reason, "--accept-host", "*.test"],
            "one host, such as mx1.example.org",
        ),
        (&["add", "bad.test", reason, "--accept-host", "192.0.2.1"], "can prove no name"),
        (
            &["add", "bad.test", reason, "--accept-host", "mx.test", "--what", "dane"],
            "cannot be used with",
        ),
    ] {
        let (said, status) = typed(&running, arguments);
        assert_eq!((status, said.contains(part)), (2, true), "{arguments:?}: {said}");
    }
    assert_eq!(asked_json(&running.config, &["exception", "list"]), json!([]));
}

#[tokio::test]
async fn what_the_settings_say_of_exceptions_is_not_overruled_by_a_command() {
    let exception =
        "[[exception]]\ndomain = \"bad.test\"\nuntil = \"2020-01-10\"\nreason = \"#7\"\n";
    let exception = exception.replace("2020-01-10", &in_ten_days());
    let mut running = ProcessInWorld::start(&exception).await;
    for arguments in [&["add", "bad.test", "--reason", "#8"][..], &["remove", "bad.test"]] {
        let (said, status) = typed(&running, arguments);
        assert_eq!((status, said.contains("the settings have an exception")), (1, true), "{said}");
    }
    let listed = asked_json(&running.config, &["exception", "list"]);
    assert_eq!((&listed[0]["from"], &listed[0]["reason"]), (&json!("settings"), &json!("#7")));
    assert_eq!(typed(&running, &["add", "other.test", "--reason", "#8"]).1, 0);
    let host = broken(&running, "other.test").await;
    drop(running.reload("[admin]\nexceptions = \"settings\"\n").await);
    let (said, status) = typed(&running, &["add", "bad.test", "--reason", "#8"]);
    assert_eq!((status, said.contains("made there alone")), (1, true), "{said}");
    // What was granted before counts no more, and again once the settings allow it.
    assert_eq!(asked_json(&running.config, &["exception", "list"]), json!([]));
    let id = running.submit(&["<a@other.test>"]).await;
    drop(running.line("deferred", &id).await);
    drop(running.reload("").await);
    retry(&running);
    drop(running.line("delivered", &id).await);
    assert_eq!(host.messages().len(), 1);
    write_settings(&running.world, running.listener, "");
}

/// A day, as settings have it.
fn in_ten_days() -> String {
    let until = clock::Clock::now(&clock::SystemClock) + std::time::Duration::from_secs(864_000);
    jiff::Timestamp::try_from(until).unwrap().strftime("%Y-%m-%d").to_string()
}
