//! Exceptions for one certificate and for one host: these pass, and nothing else does.

use serde_json::{Value, json};
use sha2_of::sha256;
use testbed::{Certificate, MxBehaviour, MxHost, PolicyText};

use crate::cli::asked_json;
use crate::exceptions::{broken, retry, typed};
use crate::process_in_world::ProcessInWorld;

/// Digests of certificates, as `openssl x509 -fingerprint` prints them.
mod sha2_of {
    /// The SHA-256 of a certificate.
    pub(super) fn sha256(certificate: &[u8]) -> String {
        let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let digest = digest.tls13().unwrap().common.hash_provider.hash(certificate);
        digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    }
}

/// What a host shows at the moment.
pub(crate) fn shown(host: &MxHost) -> String {
    sha256(&host.certificate_chain()[0])
}

/// Sends a message, and waits for what becomes of it.
async fn sent(running: &mut ProcessInWorld, to: &str, event: &str) -> String {
    let id = running.submit(&[to]).await;
    running.line(event, &id).await
}

/// Does what is typed behind `exception add`, which has to be taken.
fn add(running: &ProcessInWorld, arguments: &[&str]) -> String {
    let (said, status) = typed(running, &[&["add"], arguments, &["--reason", "#4711"]].concat());
    assert_eq!(status, 0, "{said}");
    said
}

/// The one record of a message that was delivered.
async fn record(running: &ProcessInWorld, id: &str) -> Value {
    let found = tokio::time::timeout(crate::world::PATIENCE, async {
        loop {
            let arguments = ["trace", id, "--outcome", "delivered", "--json"];
            let output = crate::process::run(&running.config, &arguments);
            let traced: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            match traced["records"].as_array().and_then(|records| records.first()) {
                Some(record) => return record.clone(),
                None => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    });
    found.await.expect("there is a record")
}

#[tokio::test]
async fn a_certificate_that_is_accepted_passes_and_no_other_does() {
    let mut running = ProcessInWorld::start("").await;
    let host = broken(&running, "bad.test").await;
    let held = running.submit(&["<a@bad.test>"]).await;
    drop(running.line("deferred", &held).await);
    // One that nobody shows opens nothing.
    let other = "ab".repeat(32);
    add(&running, &["bad.test", "--accept-certificate", &other]);
    drop(sent(&mut running, "<b@bad.test>", "deferred").await);
    assert_eq!(host.messages(), []);
    let said = add(&running, &["bad.test", "--accept-certificate", &shown(&host)]);
    assert!(said.contains("bad.test: certificate ") && said.contains(" passes until "), "{said}");
    assert!(said.contains("once the host has passed"), "{said}");
    retry(&running);
    let line = running.line("delivered", &held).await;
    let id = format!("bad.test certificate {}", shown(&host).replace(':', "").to_lowercase());
    for part in [
        " policy=\"enforce\" why=\"exception\" ",
        " protection=\"tls\" ",
        &format!(" exception=\"{id}\" "),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    drop(running.relay.logged(" exception used domain=bad.test ", 1).await);
    let record = record(&running, &held).await;
    let session = &record["session"];
    assert_eq!(session["proof"], "excepted", "{record}");
    assert_eq!(session["mta_sts"]["verdict"], "not-met", "what it is worth: {record}");
    // It has the key of its own certificate alone.
    let listed = asked_json(&running.config, &["exception", "list"]);
    let used = listed.as_array().unwrap().iter().find(|one| one["uses"].as_u64() > Some(0));
    let used = used.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(used["kind"], "certificate");
    assert_eq!((&used["what"], &used["ends_once_passed"]), (&json!([]), &json!(true)));
    // Another certificate fails as before, over a new connection.
    let before = host.messages().len();
    host.behave(MxBehaviour::presenting(Certificate::OtherAuthority));
    drop(running.reload("delivery.connection_idle = \"0s\"\n").await);
    let line = sent(&mut running, "<c@bad.test>", "deferred").await;
    assert!(line.contains("policy=\"enforce\" why=\"\""), "{line}");
    assert_eq!(host.messages().len(), before);
}

#[tokio::test]
async fn of_what_an_exception_accepts_nothing_is_lost_by_kill_9() {
    let mut running = ProcessInWorld::start("").await;
    let host = broken(&running, "bad.test").await;
    add(&running, &["bad.test", "--accept-certificate", &shown(&host), "--keep"]);
    add(&running, &["bad.test", "--accept-host", "mx.elsewhere.test"]);
    running.restart_after_kill().await;
    drop(sent(&mut running, "<a@bad.test>", "delivered").await);
    let listed = asked_json(&running.config, &["exception", "list"]);
    let kinds: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["certificate", "host"], "{listed}");
    assert_eq!(listed[0]["ends_once_passed"], false, "--keep: {listed}");
    // One is withdrawn, and then the rest.
    let remove = ["remove", "bad.test", "--accept-host", "mx.elsewhere.test"];
    assert_eq!(typed(&running, &remove).1, 0);
    assert_eq!(asked_json(&running.config, &["exception", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(typed(&running, &["remove", "bad.test"]).1, 0);
    drop(running.reload("delivery.connection_idle = \"0s\"\n").await);
    drop(sent(&mut running, "<b@bad.test>", "deferred").await);
    assert_eq!(host.messages().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_accepted_has_to_prove_its_name() {
    let mut running = ProcessInWorld::start("").await;
    let host = running.domain("bad.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce(["old.bad.test"]);
    running.world.domain("bad.test").sts("1").policy(policy).await;
    let held = running.submit(&["<a@bad.test>"]).await;
    drop(running.line("deferred", &held).await);
    add(&running, &["bad.test", "--accept-host", "mx.other.test"]);
    drop(sent(&mut running, "<b@bad.test>", "deferred").await);
    assert_eq!(host.messages(), []);
    add(&running, &["bad.test", "--accept-host", "MX.bad.test."]);
    retry(&running);
    let line = running.line("delivered", &held).await;
    assert!(line.contains(" exception=\"bad.test host mx.bad.test\" "), "{line}");
    assert_eq!(record(&running, &held).await["session"]["proof"], "excepted");
    host.behave(MxBehaviour::presenting(Certificate::SelfSigned));
    drop(running.reload("delivery.connection_idle = \"0s\"\n").await);
    let before = host.messages().len();
    drop(sent(&mut running, "<c@bad.test>", "deferred").await);
    assert_eq!(host.messages().len(), before);
}

/// As long as a host meets the policy, mail to it is verified, and nothing says that an exception was
/// used.
#[tokio::test]
async fn a_host_that_meets_the_policy_is_verified_beside_an_exception() {
    let mut running = ProcessInWorld::start("").await;
    let host = running.domain("good.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([host.name()]);
    running.world.domain("good.test").sts("1").policy(policy).await;
    add(&running, &["good.test", "--accept-certificate", &shown(&host)]);
    let line = sent(&mut running, "<a@good.test>", "delivered").await;
    assert!(line.contains(" why=\"\" ") && line.contains(" protection=\"verified\" "), "{line}");
    let listed = asked_json(&running.config, &["exception", "list"]);
    assert_eq!(listed[0]["uses"], 0, "{listed}");
}
