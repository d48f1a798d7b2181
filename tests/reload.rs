//! SIGHUP: other settings for a relay that runs, all of them or none.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use serde_json::Value;
use testbed::{MxBehaviour, PolicyText, Sender, World};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::process::Process;
use crate::process_in_world::{ProcessInWorld, RELOADED};
use crate::world::{MESSAGE, PATIENCE, SENDER, submit, write_settings};

/// What is logged when other settings were not taken.
const NOT_DONE: &str = "settings reload failed: previous settings kept";

/// Changes a line of a settings file, which must be there.
fn edit(config: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(config).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(config, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_settings_file_that_cannot_be_used_changes_nothing_and_the_log_says_where_it_is_wrong() {
    let mut running = ProcessInWorld::start("limits.message_size = \"5MiB\"").await;
    for (number, (wrong, place)) in (1..).zip([
        ("limits.message_size = \"6MiB\"\nlimits.recipient = 3", ":12:"),
        ("limits.message_size = \"6MiB\"\nlimits.recipients = 0", ":12:21"),
        ("limits.message_size = \"6MiB\"\naccess.users_file = \"/nonexistent\"", ":12:21"),
        ("limits.message_size = \"6MiB\"\n[", ":12:"),
    ]) {
        write_settings(&running.world, running.listener, wrong);
        running.relay.hang_up();
        let line = running.relay.logged(NOT_DONE, number).await;
        let place = format!("{}{place}", running.config.display());
        assert!(line.contains(&place) && line.contains("ERROR"), "{place} is not in {line}");
        let (_client, hello) = running.hello().await;
        assert!(hello.contains(&format!("SIZE {}", 5 << 20)), "{hello}");
    }
    let log = running.relay.log_lines().join("\n");
    assert!(!log.contains(RELOADED), "{log}");
    // What is mended is taken.
    let line = running.reload("limits.message_size = \"6MiB\"").await;
    assert!(line.contains("changed=\"limits.message_size\""), "{line}");
    assert!(running.hello().await.1.contains(&format!("SIZE {}", 6 << 20)));
}

#[tokio::test]
async fn other_networks_limits_and_offers_hold_for_whoever_connects_after_a_reload() {
    let mut running = ProcessInWorld::start("").await;
    let (mut early, hello) = running.hello().await;
    assert!(hello.contains("relay.test") && !hello.contains("STARTTLS"), "{hello}");
    write_settings(
        &running.world,
        running.listener,
        "access.networks = [\"192.0.2.0/24\"]\nlimits.message_size = \"1MiB\"\n",
    );
    edit(&running.config, "hostname = \"relay.test\"", "hostname = \"new.test\"");
    edit(&running.config, "\" }]", "\", tls = \"starttls\" }]");
    let line = running.reload_as_it_is().await;
    let changed = "changed=\"access.networks, hostname, limits.message_size, listener\"";
    assert!(line.contains(changed), "{line}");
    let (mut late, hello) = running.hello().await;
    for word in ["new.test", "STARTTLS", &format!("SIZE {}", 1 << 20)] {
        assert!(hello.contains(word), "{word} is not in {hello}");
    }
    assert_eq!(hand_in(&mut late).await, 550);
    // Who was there before goes on as before.
    assert_eq!(hand_in(&mut early).await, 250);
}

/// Hands in a message on a connection that has said EHLO; the last reply.
async fn hand_in(client: &mut Sender) -> u16 {
    client.send(SENDER, &["<bob@nowhere.test>"], MESSAGE).await.unwrap().code
}

#[tokio::test]
async fn users_and_certificates_of_other_files_are_used_after_a_reload() {
    let mut running = ProcessInWorld::start("").await;
    let users = running.world.directory().join("users");
    fs::write(&users, "").unwrap();
    edit(&running.config, "\" }]", "\", tls = \"starttls\", auth = \"optional\" }]");
    let settings = fs::read_to_string(&running.config).unwrap();
    fs::write(&running.config, format!("{settings}access.users_file = {users:?}\n")).unwrap();
    running.reload_as_it_is().await;
    let made = fs::read(running.world.directory().join("data/tls/self-signed.pem"));
    assert!(made.is_ok(), "no certificate was made");
    running.relay.logged("users reloaded", 1).await;
    running.relay.logged("certificate reloaded", 1).await;
}

#[tokio::test]
async fn mail_leaves_by_the_settings_of_the_last_reload() {
    let mut running =
        ProcessInWorld::start("delivery.retry.first = \"1ms\"\ndns.timeout = \"1s\"").await;
    let dns = running.world.dns_address().to_string();
    edit(&running.config, &dns, "127.0.0.1:9");
    running.reload_as_it_is().await;
    let mx = running.world.mx("mx.example.test", MxBehaviour::valid()).await;
    running.world.domain("example.test").mx(10, &mx);
    running
        .world
        .domain("example.test")
        .sts("1")
        .policy(PolicyText::enforce(["other.example.test"]))
        .await;
    let (mut client, _) = running.hello().await;
    let id = submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await;
    let line = running.relay.logged(" deferred queue_id=", 1).await;
    assert!(line.contains("status=4.4.3"), "nobody could be asked: {line}");
    // The resolver is there again, and the domain's policy forbids its own host.
    running.reload("delivery.retry.first = \"1ms\"").await;
    running.relay.logged("status=4.4.8", 1).await;
    assert!(mx.messages().is_empty());
    // An exception lets it go.
    let exception = "[[exception]]\ndomain = \"example.test\"\nreason = \"agreed\"\n";
    let tomorrow = SystemClock.now() + Duration::from_secs(24 * 60 * 60);
    let until = jiff::Timestamp::try_from(tomorrow).unwrap();
    let settings = "delivery.retry.first = \"1ms\"\n".to_owned() + exception;
    running.reload(&format!("{settings}until = \"{until:.0}\"\n")).await;
    let line = running.relay.logged(" delivered ", 1).await;
    assert!(line.contains(&id.to_string()) && line.contains("exception"), "{line}");
}

#[tokio::test]
async fn the_log_changes_its_form_and_level_with_the_settings() {
    let mut running = ProcessInWorld::start("").await;
    // It is in the middle of a connection, whose span was begun under the other form.
    let (mut client, _) = running.hello().await;
    let line = running.reload("log.format = \"json\"").await;
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    assert_eq!(line["changed"], "log.format");
    let id = submit(&mut client, SENDER, &["<bob@nowhere.test>"], MESSAGE).await;
    let accepted = running.relay.logged("message accepted", 1).await;
    let accepted: Value = serde_json::from_str(&accepted).unwrap();
    assert_eq!(accepted["queue_id"], id.to_string());
    // It bounces, and so does the bounce; then all is quiet.
    running.relay.logged("\"bounced\"", 2).await;
    assert!(accepted["spans"][0]["peer"].is_string(), "{accepted}");
    // At a higher level not even the reload itself is told, so its effect is waited for.
    let settings = "log.level = \"error\"\nlimits.message_size = \"1MiB\"";
    write_settings(&running.world, running.listener, settings);
    running.relay.hang_up();
    let size = format!("SIZE {}", 1 << 20);
    while !running.hello().await.1.contains(&size) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = running.relay.log_lines().len();
    submit(&mut client, SENDER, &["<bob@nowhere.test>"], MESSAGE).await;
    assert_eq!(running.relay.log_lines().len(), before);
}

#[tokio::test]
async fn lines_as_postfix_writes_them_come_and_go_with_their_setting() {
    let mut running = ProcessInWorld::start("").await;
    let mx = running.world.mx("mx.example.test", MxBehaviour::valid()).await;
    running.world.domain("example.test").mx(10, &mx);
    let (mut client, _) = running.hello().await;
    submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await;
    running.relay.logged(" delivered ", 1).await;
    assert!(!running.relay.log_lines().join("\n").contains("postfix/"));
    running.reload("log.postfix_lines = true\nlog.level = \"info\"").await;
    let (to, at) = (["<bob@example.test>", "<eve@nowhere.test>"], mx.address());
    let id = submit(&mut client, SENDER, &to, MESSAGE).await;
    for part in [
        format!("]: {id}: client=unknown["),
        format!("]: {id}: from=<ann@sender.test>, size={}, nrcpt=2 (queue active)", MESSAGE.len()),
        format!(
            "]: {id}: to=<bob@example.test>, relay=mx.example.test[{}]:{}, delay=",
            at.ip(),
            at.port()
        ),
        format!("]: {id}: to=<eve@nowhere.test>, relay=none, delay="),
        format!("]: {id}: removed"),
    ] {
        running.relay.logged(&part, 1).await;
    }
    let sent = running.relay.logged("status=sent (250 ", 1).await;
    assert!(sent.contains(", dsn=2.0.0, "), "{sent}");
    running.relay.logged("dsn=5.1.2, status=bounced (", 1).await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_left_as_it_was() {
    let mut running = ProcessInWorld::start("").await;
    let data = running.world.directory().join("data");
    write_settings(&running.world, running.listener, "limits.message_size = \"1MiB\"");
    edit(&running.config, &format!("{data:?}"), "\"/nonexistent/data\"");
    edit(&running.config, &running.listener.to_string(), "127.0.0.1:1");
    running.reload_as_it_is().await;
    let line = running.relay.logged("restart required for changed settings", 1).await;
    assert!(line.contains("settings=\"data_dir, the addresses of [[listener]]\""), "{line}");
    let (mut client, hello) = running.hello().await;
    assert!(hello.contains(&format!("SIZE {}", 1 << 20)), "{hello}");
    submit(&mut client, SENDER, &["<bob@nowhere.test>"], MESSAGE).await;
    assert!(running.relay.terminate().await.success());
    assert!(data.join("queue").exists() && !Path::new("/nonexistent").exists());
}

#[tokio::test]
async fn the_service_manager_hears_of_each_reload() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let socket = world.directory().join("notify.sock");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.to_str().unwrap())];
    let mut relay =
        Process::start_with(&config, world.directory().join("log"), variables.into_iter());
    let heard = async || {
        let mut word = [0; 256];
        let length = timeout(PATIENCE, manager.recv(&mut word)).await.unwrap().unwrap();
        String::from_utf8(word[..length].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(heard().await, "READY=1");
    for settings in ["", "there = \"is no such key\""] {
        write_settings(&world, listener, settings);
        relay.hang_up();
        let word = heard().await;
        let usec = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let usec: u64 = usec.and_then(|usec| usec.parse().ok()).unwrap_or_else(|| panic!("{word}"));
        assert!(usec > 0);
        // A file that cannot be used must not leave the manager waiting.
        assert_eq!(heard().await, "READY=1");
    }
    assert!(relay.terminate().await.success());
}
