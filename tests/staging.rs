//! Staging that is switched on while the relay runs is said as loudly as at its start.

use serde_json::Value;
use testbed::MxBehaviour;

use crate::cli::{asked, asked_json};
use crate::process_in_world::ProcessInWorld;
use crate::world::PATIENCE;

/// What is said of it, wherever it is.
const SAID: &str = "staging is on: all mail is held";

/// What `queue stats` has of it, as scripts and as people read it.
fn in_stats(relay: &ProcessInWorld) -> (Value, String) {
    let read = asked_json(&relay.config, &["queue", "stats"]);
    (read["staging"].clone(), asked(&relay.config, &["queue", "stats"]))
}

#[tokio::test]
async fn a_reload_that_switches_staging_on_warns_and_one_that_does_not_says_nothing() {
    let mut relay = ProcessInWorld::start("").await;
    let warnings = |relay: &ProcessInWorld| {
        let lines = relay.relay.log_lines();
        lines.iter().filter(|line| line.contains("staging is on")).count()
    };
    assert_eq!((warnings(&relay), in_stats(&relay).0), (0, Value::Null));
    relay.reload("staging.hold_all = true").await;
    let line = relay.relay.logged(" settings warning ", 1).await;
    assert!(line.contains(" WARN ") && line.contains(SAID), "{line}");
    let (read, shown) = in_stats(&relay);
    assert!(read.as_str().is_some_and(|said| said.contains(SAID)), "{read}");
    assert!(shown.contains(SAID), "{shown}");
    let checked = asked(&relay.config, &["check-config"]);
    assert!(checked.contains(SAID), "{checked}");
    relay.reload("").await;
    assert_eq!((warnings(&relay), in_stats(&relay).0), (1, Value::Null));
}

#[tokio::test]
async fn what_staging_holds_is_listed_as_such_over_a_kill_and_leaves_when_it_is_released() {
    let settings = "staging.allow = [\"@own.test\"]";
    let mut relay = ProcessInWorld::start(settings).await;
    let far = relay.domain("far.test", MxBehaviour::valid()).await;
    let held = relay.submit(&["bob@far.test"]).await;
    relay.restart_after_kill().await;
    let listed = |state: &str| {
        let list = asked_json(&relay.config, &["queue", "list", "--state", state]);
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| (one["id"].clone(), one["state"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("held-by-staging"), [(held.clone().into(), "held by staging".into())]);
    assert_eq!((listed("on-hold"), listed("queued")), (Vec::new(), Vec::new()));
    assert!(asked(&relay.config, &["queue", "list"]).contains("held by staging"));
    let release = ["queue", "release", "--state", "held-by-staging", "--yes"];
    assert_eq!(asked(&relay.config, &release), "1 message released\n");
    assert_eq!(far.wait_for_messages(1, PATIENCE).await.unwrap().len(), 1);
}
