//! `sts-relay dkim`: a key from its making to the first message that it signs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testbed::{MxBehaviour, World};

use crate::process_in_world::ProcessInWorld;
use crate::world::{PATIENCE, write_settings};

/// Runs `sts-relay dkim` with this settings file.
async fn dkim(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.arg("dkim").args(arguments).arg("--config").arg(config).env_clear();
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A key that `keygen` made.
struct Made {
    file: PathBuf,
    /// The record to publish, and its name.
    name: String,
    record: String,
    /// The table of the settings.
    table: String,
}

async fn keygen(world: &World, arguments: &[&str]) -> Made {
    let file = world.directory().join("made.key");
    let _gone = std::fs::remove_file(&file);
    let arguments = [&["keygen", "--output", file.to_str().unwrap()], arguments].concat();
    let output = dkim(Path::new("/nonexistent"), &arguments).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let line = |begin: &str| said.lines().find(|line| line.starts_with(begin)).unwrap();
    let zone = said.lines().find(|line| line.contains(". IN TXT ( ")).unwrap();
    let (name, strings) = zone.split_once(". IN TXT ").unwrap();
    let record = line("value  ").strip_prefix("value  ").unwrap().to_owned();
    // All three forms are of one record.
    let joined: String = strings.split('"').skip(1).step_by(2).collect();
    assert_eq!(joined, record);
    assert!(name.starts_with(line("name   ").split_ascii_whitespace().nth(1).unwrap()), "{said}");
    let from = said.find("[[dkim]]").unwrap();
    let table = said[from..].split("\n\n").next().unwrap().to_owned();
    Made { file, name: name.to_owned(), record, table: format!("{table}\n") }
}

/// What `check` says as JSON, and whether all is well.
async fn checked(config: &Path, arguments: &[&str]) -> (Value, bool) {
    let output = dkim(config, &[&["check", "--json"], arguments].concat()).await;
    let errors = text(&output.stderr);
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    (said, output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_published_checked_and_then_signs() {
    let mut running = ProcessInWorld::start("").await;
    let mx = running.domain("example.test", MxBehaviour::valid()).await;
    let made = keygen(&running.world, &["sender.test", "--selector", "s1"]).await;
    assert_eq!(made.name, "s1._domainkey.sender.test");
    let mode = std::fs::metadata(&made.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    running.reload(&made.table).await;
    let line = running.relay.logged("DKIM key not used", 1).await;
    assert!(
        line.contains("record=s1._domainkey.sender.test") && line.contains("no such record"),
        "{line}"
    );
    let (said, well) = checked(&running.config, &[]).await;
    assert!(!well && said[0]["state"] == "missing", "{said}");
    assert_eq!(said[0]["expected"], made.record.as_str());

    running.world.names().add_txt(&made.name, &made.record);
    let (said, well) = checked(&running.config, &["sender.test"]).await;
    assert!(well && said[0]["state"] == "published" && said[0]["fault"].is_null(), "{said}");
    // What the DNS said before is not remembered.
    running.reload(&format!("limits.recipients = 90\n{}", made.table)).await;
    running.relay.logged("DKIM key record found", 1).await;
    running.submit(&["<bob@example.test>"]).await;
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let message = messages[0].text();
    assert!(message.contains("\r\nDKIM-Signature: v=1; a=rsa-sha256;"), "{message}");
    assert!(message.contains(" d=sender.test; s=s1;"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_record_that_is_not_its_own_is_told() {
    let world = World::new().await;
    let (first, second) = ("ed", "--ed25519");
    let old = keygen(&world, &["sender.test", "--selector", first, second]).await;
    let new = keygen(&world, &["sender.test", "--selector", first, second]).await;
    let listener = (world.address(), world.smtp_port()).into();
    let config = write_settings(&world, listener, &new.table);
    for (record, state) in [
        (old.record.as_str(), "other-key"),
        ("v=DKIM1; k=ed25519; p=", "revoked"),
        ("v=DKIM1; k=ed25519", "faulty"),
        (&new.record.replace("; p=", "; t=y; p="), "testing"),
        (&new.record.replace("; p=", "; s=email; p="), "service-excluded"),
        (&new.record, "published"),
    ] {
        world.names().remove_all(&new.name);
        world.names().add_txt(&new.name, record);
        let (said, well) = checked(&config, &[]).await;
        assert_eq!(
            (said[0]["state"].as_str(), well),
            (Some(state), state == "published"),
            "{said}"
        );
        let warned = check_config(&config).await;
        assert_eq!(warned.contains("the record of a DKIM key"), state != "published", "{warned}");
    }
    let none = dkim(&config, &["check", "other.test"]).await;
    assert!(!none.status.success() && text(&none.stderr).contains("no such [[dkim]] key"));
}

/// What `check-config --network` says.
async fn check_config(config: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(["check-config", "--network", "--config"]).arg(config).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    text(&output.stdout).to_owned()
}
