//! The command line, as it is typed: what comes back, and with which exit status.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{MxBehaviour, PolicyText, World};
use tokio::time::{sleep, timeout};

use crate::process::{self, Process};
use crate::world::{MESSAGE, PATIENCE, SENDER, submit, write_settings};

/// The program with an empty environment and these arguments.
fn typed<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(arguments).env_clear();
    command
}

/// The program's standard output as text.
fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The program's standard error as text.
fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A settings file in a folder of its own.
fn settings(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

/// Settings that need no certificate authority of the machine.
fn with_authority(text: &str) -> (tempfile::TempDir, PathBuf) {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/authority.pem");
    settings(&format!("trust.ca_file = {authority:?}\ntrust.extend = false\n{text}"))
}

#[test]
fn a_variable_names_the_settings_file_unless_the_command_line_does() {
    let (_folder, named) = with_authority("hostname = \"named.test\"\n");
    let (_other_folder, typed_in) = with_authority("hostname = \"typed.test\"\n");
    let check = |arguments: &[&OsStr]| {
        let mut command = typed(arguments);
        stdout(&command.env("STS_RELAY_CONFIG", &named).output().unwrap()).to_owned()
    };
    assert!(check(&["check-config".as_ref()]).contains("named.test"));
    let both = check(&["check-config".as_ref(), "--config".as_ref(), typed_in.as_ref()]);
    assert!(both.contains("typed.test") && !both.contains("named.test"), "{both}");
}

#[test]
fn check_config_prints_only_what_differs_and_where_it_was_said() {
    let (_folder, file) = with_authority("hostname = \"mail.example.org\"\ndns.attempts = 2\n");
    let output = typed(["check-config", "--config"])
        .arg(&file)
        .env("STS_RELAY__LOG__LEVEL", "debug")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<_> = stdout(&output).lines().collect();
    let file = file.display();
    assert_eq!(lines[0], format!("hostname = \"mail.example.org\"  # {file}:3:12"));
    assert_eq!(lines[1], "log.level = \"debug\"  # STS_RELAY__LOG__LEVEL");
    assert!(lines[2].starts_with("trust.ca_file = "), "{lines:?}");
    assert_eq!(lines[3], format!("trust.extend = false  # {file}:2:16"));
    assert_eq!(lines.len(), 4, "{lines:?}");
    let toml: toml::Table = stdout(&output).parse().unwrap();
    assert_eq!(toml["hostname"].as_str(), Some("mail.example.org"));
}

#[test]
fn settings_that_cannot_be_used_end_every_command_with_their_place() {
    let (_folder, file) = settings("[delivery]\nlifetime = \"5 days\"\n");
    let data_dir = file.with_file_name("data");
    for arguments in [&["check-config"][..], &["serve"], &[], &["queue", "list"]] {
        let output = typed(arguments)
            .arg("--config")
            .arg(&file)
            .env("STS_RELAY__DATA_DIR", &data_dir)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let place = format!("{}:2:12: `5 days` is not a duration", file.display());
        assert!(stderr(&output).contains(&place), "{}", stderr(&output));
        assert!(output.stdout.is_empty() && !data_dir.exists());
    }
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    let output = typed(["check-config"]).env("STS_RELAY__DNS__SERVER", "::1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = "STS_RELAY__DNS__SERVER: there is no such setting";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

/// What `policy lint -` says of a file.
fn lint(file: &[u8]) -> (Value, Option<i32>) {
    let mut child = typed(["policy", "lint", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(file).unwrap();
    let output = child.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

#[test]
fn a_policy_file_is_judged_byte_by_byte() {
    let (accepted, status) =
        lint(b"version: STSv1\nmode: testing\nmx: *.example.org\nmax_age: 1\n");
    let expected = json!({
        "verdict": "accept", "mode": "testing", "max_age": 1, "mx": ["*.example.org"],
        "warnings": [], "error": null,
    });
    assert_eq!((accepted, status), (expected, Some(0)));

    let (warned, status) = lint(b"version: STSv1\nmode: none\nx\xff: y\nmax_age: 1\n");
    assert_eq!((&warned["verdict"], status), (&json!("warn"), Some(0)));
    assert_eq!(warned["warnings"].as_array().unwrap().len(), 1);

    let (rejected, status) = lint(b"version: STSv1\nmode: \xff\nmax_age: 1\n");
    assert_eq!((&rejected["verdict"], status), (&json!("reject"), Some(1)));
    assert_eq!((&rejected["mode"], &rejected["mx"]), (&Value::Null, &json!([])));
    assert!(rejected["error"].is_string());
}

#[test]
fn a_policy_file_of_more_than_64_kib_is_rejected() {
    let policy = b"version: STSv1\nmode: none\nmax_age: 1\n";
    let padded = |size: usize| {
        let mut file = policy.to_vec();
        let filler = size - file.len() - 5;
        file.extend_from_slice(format!("x: {}a\n", "a".repeat(filler)).as_bytes());
        assert_eq!(file.len(), size);
        lint(&file).0
    };
    assert_eq!(padded(64 << 10)["verdict"], "accept");
    let rejected = padded((64 << 10) + 1);
    assert_eq!(rejected["verdict"], "reject");
    assert!(rejected["error"].as_str().unwrap().contains("64 KiB"));
}

#[test]
fn a_record_is_judged_as_it_is_given() {
    for (text, verdict, id, status) in [
        (&b"v=STSv1; id=20160831;"[..], "accept", json!("20160831"), 0),
        (b"v=STSv1; id=1 ", "warn", json!("1"), 0),
        (b"v=STSv1; id=1; \xff", "warn", json!("1"), 0),
        (b"v=STSv1", "reject", Value::Null, 1),
    ] {
        let text = OsString::from_vec(text.to_vec());
        let output = typed(["policy", "lint-record", "--json"]).arg(&text).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&said["verdict"], &said["id"]), (&json!(verdict), &id), "{}", text.display());
        assert_eq!(output.status.code(), Some(status), "{}", text.display());
    }
}

#[test]
fn a_host_is_matched_against_every_pattern() {
    for (arguments, word, status) in [
        (&["mx.example.org", "*.example.org"][..], "match\n", 0),
        (&["MX.example.org", "a.test", "mx.Example.org"], "match\n", 0),
        (&["a.mx.example.org", "*.example.org"], "nomatch\n", 1),
        (&["not a host", "*"], "nomatch\n", 1),
        // As leniently as a policy file is read.
        (&["a.b", "a.b."], "match\n", 0),
        (&["mx.example.org.", "*.example.org."], "match\n", 0),
        (&["a.b", " a.b\t"], "match\n", 0),
        (&["mx_1.example.org", "mx_1.example.org"], "match\n", 0),
        (&["a.b", "a.b.."], "nomatch\n", 1),
    ] {
        let output = typed(["policy", "match"]).args(arguments).output().unwrap();
        assert_eq!((stdout(&output), output.status.code()), (word, Some(status)), "{arguments:?}");
    }
}

#[test]
fn without_a_relay_and_without_a_queue_nothing_is_made() {
    let (folder, file) = with_authority("");
    let data_dir = folder.path().join("data");
    for arguments in [["queue", "list"], ["queue", "stats"], ["policy", "list"]] {
        let output = typed(arguments)
            .arg("--config")
            .arg(&file)
            .env("STS_RELAY__DATA_DIR", &data_dir)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is no queue"), "{}", stderr(&output));
        assert!(!data_dir.exists());
    }
}

/// What a command against the relay prints, which must succeed.
pub(crate) fn asked(config: &Path, arguments: &[&str]) -> String {
    let output = process::run(config, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

/// What a command against the relay prints as JSON.
pub(crate) fn asked_json(config: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&asked(config, &[arguments, &["--json"]].concat())).unwrap()
}

/// What a command that fails says.
pub(crate) fn refused(config: &Path, arguments: &[&str]) -> String {
    let output = process::run(config, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stdout(&output));
    stderr(&output).to_owned()
}

/// Waits until the one message of the queue was tried.
pub(crate) async fn held(config: &Path) -> Value {
    let tried = timeout(PATIENCE, async {
        loop {
            let list = asked_json(config, &["queue", "list"]);
            if list[0]["attempts"].as_u64() >= Some(1) {
                return list[0].clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    tried.await.expect("the message is not tried")
}

#[tokio::test]
async fn held_mail_is_shown_with_its_reason_and_tried_again_on_request() {
    let world = World::new().await;
    let mx = world.mx("mx.example.test", MxBehaviour::starttls_not_offered()).await;
    let policy = PolicyText::enforce([mx.name()]);
    world.domain("example.test").mx(10, &mx).sts("a1").policy(policy).await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    let mut client = relay.connected(listener).await;
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    let id = submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await.to_string();

    let listed = held(&config).await;
    assert_eq!((&listed["id"], &listed["sender"]), (&json!(id), &json!("ann@sender.test")));
    assert_eq!(listed["first_recipient"], "bob@example.test");
    assert!(listed["reason"]["status"].as_str().unwrap().starts_with("4.7."), "{listed}");
    let shown = asked(&config, &["queue", "show", &id]);
    let addr = mx.address().to_string();
    for word in [&id, "bob@example.test", "mx.example.test", &addr, "enforce", "STARTTLS", "next"] {
        assert!(shown.contains(word), "{word} is not in\n{shown}");
    }
    let shown = asked_json(&config, &["queue", "show", &id]);
    let reason = &shown["destinations"][0]["recipients"][0]["reason"];
    assert_eq!((&reason["mx"], &reason["addr"]), (&json!("mx.example.test"), &json!(addr)));
    let deferred = relay.logged(" deferred ", 1).await;
    assert!(deferred.contains(&format!(" addr={addr} ")), "{deferred}");
    let stats = asked_json(&config, &["queue", "stats"]);
    assert_eq!((&stats["messages"], &stats["recipients"]), (&json!(1), &json!(1)));
    assert_eq!(stats["destinations"][0]["destination"], "example.test");

    let policy = asked_json(&config, &["policy", "show", "EXAMPLE.test."]);
    assert_eq!((&policy["mode"], &policy["id"]), (&json!("enforce"), &json!("a1")));
    assert_eq!((&policy["mx"], &policy["applies"]), (&json!(["mx.example.test"]), &json!(true)));
    assert_eq!(asked_json(&config, &["policy", "list"]), json!([policy]));
    assert!(
        refused(&config, &["policy", "show", "other.test"]).contains("no policy of other.test")
    );
    assert!(refused(&config, &["queue", "show", "0000000000000"]).contains("not in the queue"));
    assert!(refused(&config, &["queue", "retry", "0000000000000"]).contains("not in the queue"));

    mx.behave(MxBehaviour::valid());
    assert_eq!(
        asked(&config, &["queue", "retry", "--domain", "example.test"]),
        "1 attempt is made now\n"
    );
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(arrived[0].reverse_path, "ann@sender.test");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn the_queue_can_be_read_while_no_relay_runs_and_not_be_changed() {
    let world = World::new().await;
    let mx = world.mx("mx.example.test", MxBehaviour::starttls_not_offered()).await;
    let policy = PolicyText::enforce([mx.name()]);
    world.domain("example.test").mx(10, &mx).sts("a1").policy(policy).await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    let mut client = relay.connected(listener).await;
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    let id = submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await.to_string();
    let listed = held(&config).await;

    let socket = world.directory().join("data/admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let second = refused(&config, &["serve"]);
    assert!(second.contains("the queue is open in another process"), "{second}");
    let hidden = socket.with_file_name("hidden.sock");
    fs::rename(&socket, &hidden).unwrap();
    let locked = refused(&config, &["queue", "list"]);
    assert!(locked.contains("no relay answers at"), "{locked}");
    fs::rename(&hidden, &socket).unwrap();

    assert!(relay.terminate().await.success());
    assert!(!socket.exists());
    assert_eq!(asked_json(&config, &["queue", "list"]), json!([listed]));
    assert!(asked(&config, &["queue", "show", &id]).contains("STARTTLS"));
    assert_eq!(asked_json(&config, &["policy", "show", "example.test"])["id"], "a1");
    assert!(refused(&config, &["queue", "retry", "--all"]).contains("no relay runs"));
}
