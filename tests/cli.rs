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
pub(crate) fn typed<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.args(arguments).env_clear();
    command
}

/// The program's standard output as text.
pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The program's standard error as text.
pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A settings file in a folder of its own.
pub(crate) fn settings(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

/// Settings that need no certificate authority of the machine.
pub(crate) fn with_authority(text: &str) -> (tempfile::TempDir, PathBuf) {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/../settings/tests-data/authority.pem");
    settings(&format!("trust.ca_file = {authority:?}\ntrust.extend = false\n{text}"))
}

#[test]
fn completions_and_manual_pages_are_made_of_the_same_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = typed(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        for word in ["check-config", "lint-record", "completions"] {
            assert!(stdout(&output).contains(word), "{shell} does not complete {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let output = typed(["man"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for page in ["sts-relay.1", "sts-relay-check.1", "sts-relay-queue-list.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains("Exit status:") && text.contains("Examples:"), "{page}: {text}");
    }
}

#[test]
fn a_password_in_a_pipe_is_its_first_line() {
    let mut child = typed(["user", "hash", "ann@example.org"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"s3cret\nmore\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
    let users = access::Users::parse(stdout(&output)).unwrap();
    assert!(users.knows("ann@example.org"));
}

/// Runs `user` with a users file of two users, whose password is `secret`, and standard input.
fn of_users(words: &[&str], input: &str) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let (users, file) = (folder.path().join("users"), folder.path().join("settings.toml"));
    // The second line is as `htpasswd -nbB` of Apache 2.4 printed it.
    let hash = access::hash_password("secret").unwrap();
    let htpasswd = "bob@example.org:$2y$05$Wl2ZsB8aZTdEtN6cNWGxeOcFP9ZDqf1gSXn43v7mdNX9S1Yx8LFmC";
    fs::write(&users, format!("ann:{hash}:@example.org,ann@example.net\n{htpasswd}\n")).unwrap();
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/../settings/tests-data/authority.pem");
    let access = format!("[access]\nusers_file = {users:?}\n[trust]\nca_file = {authority:?}\n");
    fs::write(&file, access).unwrap();
    let mut child = typed(["user"])
        .args(words)
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    (stdout(&output).to_owned(), output.status.code())
}

#[test]
fn users_are_listed_and_their_passwords_checked() {
    let (said, status) = of_users(&["list"], "");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split("  ").collect()).collect();
    assert_eq!((lines.len(), status), (3, Some(0)), "{said}");
    assert!(said.contains("argon2id") && said.contains("@example.org,ann@example.net"), "{said}");
    assert!(said.contains("bcrypt, cost 5") && said.contains("bob@example.org"), "{said}");
    assert!(!said.contains('$'), "no hash is shown: {said}");
    let (said, _) = of_users(&["list", "--json"], "");
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed[1]["senders"], "bob@example.org", "{said}");
    for (words, password, status) in [
        (&["check", "ann"][..], "secret", 0),
        (&["check", "ann"], "Secret", 1),
        (&["check", "carl"], "secret", 1),
        (&["check", "bob@example.org", "--sender", "bob@example.org"], "secret", 0),
        (&["check", "bob@example.org", "--sender", "ann@example.org"], "secret", 1),
    ] {
        let (said, code) = of_users(words, &format!("{password}\n"));
        assert_eq!(code, Some(status), "{words:?}: {said}");
        assert!(said.starts_with(words[1]), "{said}");
    }
}

/// What `user hash` prints at a terminal where these lines are typed, and whether it succeeds.
fn hashed_at_a_terminal(lines: &[&str]) -> (String, bool) {
    use std::io::{Read as _, Write as _};
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let name = Path::new(OsStr::new(name.to_str().unwrap())).to_owned();
    let open = || fs::File::options().read(true).write(true).open(&name).unwrap();
    let (stdin, stderr, kept) = (open(), open(), open());
    let mut child = typed(["user", "hash", "ann@example.org"])
        .stdin(stdin)
        .stderr(stderr)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut terminal = fs::File::from(master);
    let mut shown = String::new();
    for (line, question) in lines.iter().zip(["Password: ", "Password again: "]) {
        // What is typed before the question would be thrown away.
        while !shown.ends_with(question) {
            let mut bytes = [0; 256];
            let read = terminal.read(&mut bytes).unwrap();
            shown.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        terminal.write_all(line.as_bytes()).unwrap();
        terminal.write_all(b"\n").unwrap();
    }
    let succeeded = child.wait().unwrap().success();
    drop(kept);
    // Everything that was written is there; an error is the end of a terminal that nobody has open.
    let mut bytes = [0; 256];
    while let Ok(read @ 1..) = terminal.read(&mut bytes) {
        shown.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    (shown, succeeded)
}

#[test]
fn a_password_at_a_terminal_is_asked_for_twice_and_never_shown() {
    let (shown, succeeded) = hashed_at_a_terminal(&["s3cret", "s3cret"]);
    assert!(succeeded && !shown.contains("s3cret"), "{shown}");
    let (shown, succeeded) = hashed_at_a_terminal(&["s3cret", "secret"]);
    assert!(!succeeded && shown.contains("the two passwords differ"), "{shown}");
    assert!(!shown.contains("s3cret") && !shown.contains("secret"), "{shown}");
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
        "advice": ["line 4: max_age 1 is below a week (604800): an attacker who can block fetches for that \
                    long defeats the policy; weeks are usual"],
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
fn every_fault_of_a_policy_file_is_named_with_its_line() {
    let mut child = typed(["policy", "lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let file = b"version: STSv1\nmode: enforced\nmx: a.test, b.test\nmax-age: 86400\n";
    child.stdin.take().unwrap().write_all(file).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for said in [
        "verdict:  reject\n",
        "error:    line 2: mode is enforce, testing or none, and not `enforced`; did you mean enforce?\n",
        "error:    line 3: `a.test, b.test` is not an mx pattern: write a line of its own for each host\n",
        "error:    `max_age` is missing: write max_age: 1209600\n",
        "advice:   line 4: unknown key `max-age`; did you mean `max_age`?\n",
    ] {
        assert!(stdout(&output).contains(said), "{said} is not in\n{}", stdout(&output));
    }
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
    assert!(refused(&config, &["queue", "retry", "--all"]).contains("the relay is not running"));
}
