//! `sts-relay trace` and `history`, as they are typed: what became of mail.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{MxBehaviour, PolicyText};
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json, refused};
use crate::process_in_world::ProcessInWorld;
use crate::world::PATIENCE;

/// Waits until the history has so many records that meet these filters.
async fn recorded(there: &ProcessInWorld, filters: &[&str], count: usize) -> Vec<Value> {
    let arguments = [&["trace"], filters].concat();
    let found = timeout(PATIENCE, async {
        loop {
            let output =
                crate::process::run(&there.config, &[&arguments[..], &["--json"]].concat());
            let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let records = found["records"].as_array().cloned().unwrap_or_default();
            if records.len() >= count {
                return records;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.expect("there is no record")
}

/// A relay that has delivered a message to an enforcing domain and to one whose host has no TLS.
async fn delivered() -> (ProcessInWorld, String) {
    let mut there = ProcessInWorld::start("").await;
    let mx = there.world.mx("mx.strict.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([mx.name()]);
    there.world.domain("strict.test").mx(10, &mx).sts("a1").policy(policy).await;
    there.domain("open.test", MxBehaviour::starttls_not_offered()).await;
    let id = there.submit(&["<bob@strict.test>", "<eve@open.test>"]).await;
    (there, id)
}

#[tokio::test]
async fn a_message_is_traced_with_what_was_proved_while_the_relay_runs_and_afterwards() {
    let (mut there, id) = delivered().await;
    recorded(&there, &[&id], 2).await;
    assert!(there.relay.terminate().await.success());
    let strict = recorded(&there, &["--domain", "strict.test"], 1).await.remove(0);
    assert_eq!(
        (strict["protection"].as_str(), strict["outcome"].as_str()),
        (Some("verified"), Some("delivered"))
    );
    assert_eq!(strict["policy"]["policy_id"], "a1");
    assert_eq!(strict["session"]["tls"]["pkix"]["verdict"], "valid");
    let certificate = strict["session"]["tls"]["certificate"]["sha256"].as_str().unwrap();
    assert_eq!(recorded(&there, &["--certificate", certificate], 1).await.len(), 1);
    let open = recorded(&there, &["--recipient", "EVE@open.test"], 1).await.remove(0);
    assert_eq!(open["protection"], "plaintext");
    assert_eq!(open["session"]["why_clear"], "not-offered");
    let told = asked(&there.config, &["trace", &id]);
    assert!(
        told.contains("protection  verified") && told.contains("protection  plaintext"),
        "{told}"
    );
    assert!(!told.contains("bob@"), "an address is kept hashed: {told}");
    let csv = asked(&there.config, &["history", "export", "--csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let traced = asked(&there.config, &["trace", &id, "--csv"]);
    let (traced, exported): (BTreeSet<&str>, BTreeSet<&str>) =
        (traced.lines().collect(), csv.lines().collect());
    assert_eq!(traced, exported, "the same rows, if in another order");
    assert_eq!(asked_json(&there.config, &["history", "stats"])["records"], 2);
    assert_eq!(asked_json(&there.config, &["history", "verify"])["records"], 2);
}

#[tokio::test]
async fn what_became_of_a_message_is_proved_in_one_file_that_is_verified_without_the_relay() {
    let (mut there, id) = delivered().await;
    recorded(&there, &[&id], 2).await;
    assert!(there.relay.terminate().await.success());
    let proof = asked(&there.config, &["history", "proof", &id]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proof.json");
    let nowhere = dir.path().join("nowhere.toml");
    for (text, status) in [
        (proof.clone(), 0),
        (proof.replace("verified", "verifies"), 1),
        (proof.replace("\"proof\":1", "\"proof\":2"), 1),
    ] {
        fs::write(&path, text).unwrap();
        let verify = ["history", "verify", path.to_str().unwrap(), "--json"];
        let output = crate::process::run(&nowhere, &verify);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{found}");
        assert_eq!((&found["records"], found["faults"] == json!([])), (&json!(2), status == 0));
    }
    let proof: Value = serde_json::from_str(&proof).unwrap();
    let kinds: Vec<_> =
        proof["blobs"].as_array().unwrap().iter().map(|blob| &blob["kind"]).collect();
    assert!(
        kinds.contains(&&json!("policy")) && kinds.contains(&&json!("certificate")),
        "{kinds:?}"
    );
    let history = there.config.with_file_name("data").join("history");
    let verify = ["history", "verify", history.to_str().unwrap()];
    assert!(crate::process::run(&nowhere, &verify).status.success());
    let unknown = crate::process::run(&there.config, &["history", "proof", "1mcc5rm000003"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn an_address_that_is_kept_in_clear_is_shown_and_forgotten_while_the_relay_runs() {
    let mut there = ProcessInWorld::start("history = { addresses = \"clear\" }\n").await;
    there.domain("open.test", MxBehaviour::valid()).await;
    let id = there.submit(&["<bob@open.test>"]).await;
    let record = recorded(&there, &[&id], 1).await.remove(0);
    assert_eq!(record["recipients"], json!(["bob@open.test"]));
    let forget = ["history", "forget", "bob@open.test"];
    assert_eq!(asked(&there.config, &forget), "removed from 1 files\n");
    let record = recorded(&there, &["--recipient", "bob@open.test"], 1).await.remove(0);
    assert_ne!(record["recipients"], json!(["bob@open.test"]));
    let next = there.submit(&["<bob@open.test>"]).await;
    recorded(&there, &[&next], 1).await;
    assert_eq!(asked_json(&there.config, &["history", "verify"])["faults"], json!([]));
}

#[tokio::test]
async fn what_is_not_in_the_history_is_said_so() {
    let (there, id) = delivered().await;
    recorded(&there, &[&id], 2).await;
    for (arguments, status) in [
        (&["trace", "1mcc5rm000003"][..], 1),
        (&["trace", "--domain", "nobody.test"], 1),
        (&["trace", "nonsense"], 2),
        (&["trace", "--certificate", "abc"], 2),
        (&["trace", "--verdict", "fine"], 2),
        (&["trace", "--protection", "much"], 2),
        (&["trace", "--since", "yesterday"], 2),
    ] {
        let output = crate::process::run(&there.config, arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

#[tokio::test]
async fn nothing_is_kept_where_history_is_switched_off_and_later_there_is_a_gap() {
    let mut there = ProcessInWorld::start("history = { enabled = false }\n").await;
    there.domain("open.test", MxBehaviour::valid()).await;
    let id = there.submit(&["<bob@open.test>"]).await;
    there.line("delivered", &id).await;
    assert!(there.relay.terminate().await.success());
    assert!(refused(&there.config, &["trace", &id]).is_empty());
    there.restart("").await;
    let gap = recorded(&there, &["--limit", "5"], 1).await.remove(0);
    assert_eq!((gap["kind"].as_str(), gap["why"].as_str()), (Some("gap"), Some("disabled")));
}
