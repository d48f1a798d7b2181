//! What it ends with where nothing is sent, and what it says then.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::sendmail::{Local, WHOLE, run, succeeded, words};

/// Nobody's number, in every Debian.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn what_is_refused_has_the_status_that_programs_know_and_is_sent_to_nobody() {
    let local = Local::start(
        "access.recipients = [\"@far.test\"]\nlimits.message_size = \"10KiB\"\n\
         access.local_senders = [\"@sender.test\"]",
    )
    .await;
    let large = format!("{WHOLE}{}", "x".repeat(11 << 10));
    for (arguments, input, status, said) in [
        (
            "",
            WHOLE,
            64,
            "sendmail: there is no recipient: name one on the command line, or in the header",
        ),
        ("-z bob@far.test", WHOLE, 64, "sendmail: -z: there is no such option"),
        ("-f", WHOLE, 64, "sendmail: -f: a value is expected behind it"),
        ("-bd", WHOLE, 64, "sendmail: -bd: the relay is run by `sts-relay serve`"),
        (
            "-f not@an@address bob@far.test",
            WHOLE,
            64,
            "sendmail: -f not@an@address: an address is expected",
        ),
        ("-t", "Subject: x\n\n", 64, "sendmail: there is no recipient: "),
        ("bob@far.test a@b@c", WHOLE, 67, "sendmail: `a@b@c` is not an address"),
        ("-t", "To: Bob, at far.test\n\n", 67, "sendmail: `Bob, at far.test` is not an address"),
        ("bob@far.test eve@elsewhere.test", WHOLE, 69, "sendmail: eve@elsewhere.test: 550 5.7.1 "),
        ("-f boss@elsewhere.test bob@far.test", WHOLE, 69, "sendmail: MAIL: 550 5.7.1 "),
        ("bob@far.test", &large, 69, "sendmail: message: 552 5.3.4 "),
        ("bob@far.test", "Subject: x\n\n\0\n", 69, "sendmail: message: 554 5.6.0 "),
    ] {
        let output = local.sendmail(arguments, input);
        assert!(words(&output).starts_with(said), "{arguments}: {}", words(&output));
        assert_eq!(words(&output).lines().count(), 1, "{}", words(&output));
        assert_eq!(output.status.code(), Some(status), "{arguments}: {}", words(&output));
        assert!(output.stdout.is_empty(), "{arguments}");
    }
    // What comes last comes first where nothing else was taken.
    let message = local.sent("-f ann@sender.test bob@far.test", "Subject: last\n\n").await;
    assert_eq!(local.far.messages().len(), 1);
    assert!(String::from_utf8_lossy(&message.data).contains("Subject: last"));
}

#[tokio::test]
async fn where_no_relay_answers_the_message_may_be_tried_again() {
    let mut local = Local::start("").await;
    assert!(local.relay.relay.terminate().await.success());
    assert!(!local.socket().exists(), "the socket goes with the relay");
    let gone = local.sendmail("bob@far.test", WHOLE);
    assert_eq!(gone.status.code(), Some(75));
    let expected =
        format!("sendmail: no relay answers at {}: is it running, ", local.socket().display());
    assert!(words(&gone).starts_with(&expected), "{}", words(&gone));
    // The same where one was killed, and its socket is still there.
    drop(std::os::unix::net::UnixListener::bind(local.socket()).unwrap());
    let dead = local.sendmail("bob@far.test", WHOLE);
    assert_eq!(dead.status.code(), Some(75), "{}", words(&dead));
    assert!(words(&dead).contains("refused"), "{}", words(&dead));
    let smtp = local.sendmail("-bs", "");
    assert_eq!(smtp.status.code(), Some(75), "{}", words(&smtp));
}

#[tokio::test]
async fn a_relay_that_is_killed_before_it_answers_has_promised_nothing() {
    let local = Local::start("").await;
    let mut child =
        local.program("bob@far.test").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    local.relay.relay.signal(Signal::STOP);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), WHOLE.as_bytes()).unwrap();
    drop(local.relay.relay.kill());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", words(&output));
}

#[tokio::test]
async fn what_sendmail_succeeded_with_outlives_a_relay_that_is_killed_at_once() {
    let mut local = Local::start("").await;
    local.far.close().await;
    for _ in 0..3 {
        succeeded(&local.sendmail("bob@far.test", WHOLE));
        local.relay.restart_after_kill().await;
    }
    local.far.open().await.unwrap();
    succeeded(&run(retry_all(&local), ""));
    let messages = local.far.wait_for_messages(3, crate::world::PATIENCE).await.unwrap();
    assert_eq!(messages.len(), 3);
}

fn retry_all(local: &Local) -> Command {
    let mut command = Command::new("sh");
    let (program, config) = (env!("CARGO_BIN_EXE_sts-relay"), local.relay.config.display());
    command
        .arg("-c")
        .arg(format!("'{program}' --config '{config}' queue retry --all --yes >/dev/null"));
    command
}

/// Has nobody run the program where root runs the tests; elsewhere nobody may look into the folder.
fn without_rights(local: &Local, arguments: &str) -> std::process::Output {
    let folder = local.folder.path();
    if !rustix::process::getuid().is_root() {
        fs::set_permissions(folder, Permissions::from_mode(0o000)).unwrap();
        let output = local.sendmail(arguments, WHOLE);
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        return output;
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("sendmail");
    if !program.exists() {
        // By another process: a file that this one had open to write, its children might hold busy.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sts-relay")).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    let mut command = Command::new(program);
    let (socket, data) = (local.socket(), local.relay.world.directory().join("data"));
    command.env_clear().env("STS_RELAY__SUBMISSION__SOCKET", socket);
    command.env("STS_RELAY__DATA_DIR", data).env("STS_RELAY_CONFIG", "");
    command.uid(NOBODY).gid(NOBODY).current_dir("/").args(arguments.split_whitespace());
    run(command, WHOLE)
}

#[tokio::test]
async fn who_may_not_open_the_socket_is_told_what_to_change() {
    let local = Local::start("").await;
    let mode = fs::metadata(local.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let output = without_rights(&local, "bob@far.test");
    assert_eq!(output.status.code(), Some(77), "{}", words(&output));
    assert!(words(&output).contains("submission.socket_group"), "{}", words(&output));
    let output = without_rights(&local, "-bp");
    assert_eq!(output.status.code(), Some(77), "{}", words(&output));
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_socket_for_everybody_takes_mail_of_everybody_under_their_names() {
    let local = Local::start("submission.socket_mode = \"0666\"").await;
    if !rustix::process::getuid().is_root() {
        return succeeded(&local.sendmail("bob@far.test", WHOLE));
    }
    succeeded(&without_rights(&local, "bob@far.test"));
    let message = &local.far.wait_for_messages(1, crate::world::PATIENCE).await.unwrap()[0];
    assert_eq!(message.reverse_path, "nobody@relay.test");
    let received = format!("Received: by relay.test (from userid {NOBODY})\r\n");
    assert!(String::from_utf8_lossy(&message.data).starts_with(&received));
    let line = local.relay.relay.logged(" message accepted ", 1).await;
    assert!(line.contains("peer=uid:65534") && line.contains("user=\"nobody\""), "{line}");
    // What may be sent through is no way to anything else.
    let queue = without_rights(&local, "-bp");
    assert_eq!(queue.status.code(), Some(77), "{}", words(&queue));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_not_sent() {
    let local = Local::start("").await;
    let folder = File::open("/").unwrap();
    let output = local.program("bob@far.test").stdin(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", words(&output));
    assert!(words(&output).contains("cannot be read"), "{}", words(&output));
}
