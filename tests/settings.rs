//! Settings and the commands that need them: every fault at once, and no fault in the way of those
//! who ask the relay that runs.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use serde_json::json;
use testbed::World;

use crate::cli::{asked, asked_json, settings, stderr, stdout, typed, with_authority};
use crate::process::{self, Process};
use crate::world::write_settings;

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
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        let place = format!("{}:2:12: `5 days` is not a duration", file.display());
        assert!(stderr(&output).contains(&place), "{}", stderr(&output));
        assert!(output.stdout.is_empty() && !data_dir.exists());
    }
}

#[test]
fn every_fault_of_the_settings_is_named_at_once_with_its_place() {
    let (_folder, file) =
        settings("hostnme = \"a.test\"\n[limits]\nrecipients = 0\nmessage_size = \"5MB\"\n");
    let output = typed(["check-config", "--config"])
        .arg(&file)
        .env("STS_RELAY_DATA_DIR", "/srv/mail")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let file = file.display();
    for fault in [
        format!("\n  {file}:1:1: unknown key `hostnme`; did you mean `hostname`?\n"),
        format!("\n  {file}:3:14: limits.recipients: must not be zero\n"),
        format!("\n  {file}:4:16: `5MB` is not a size;"),
        "\n  STS_RELAY_DATA_DIR: unknown variable; did you mean STS_RELAY__DATA_DIR?\n".to_owned(),
    ] {
        assert!(stderr(&output).contains(&fault), "{fault} is not in\n{}", stderr(&output));
    }
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_our_name_are_no_settings() {
    let (_folder, file) = with_authority("");
    let output = typed(["check-config", "--config"])
        .arg(&file)
        .env("STS_RELAY_SERVICE_HOST", "10.0.0.1")
        .env("STS_RELAY_PORT", "tcp://10.0.0.1:25")
        .env("STS_RELAY_PORT_25_TCP_ADDR", "10.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[tokio::test]
async fn faults_in_the_settings_keep_nobody_from_asking_the_relay_that_runs() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    let good = fs::read_to_string(&config).unwrap();
    let typo = good.replacen("hostname", "hostnme", 1);
    let certificate =
        format!("{good}\n[tls]\ncertificate = \"/nonexistent\"\nkey = \"/nonexistent\"\n");
    let syntax = format!("{good}\nnot toml at all\n");
    for faulty in [typo, certificate, syntax] {
        fs::write(&config, &faulty).unwrap();
        let output = process::run(&config, &["check-config"]);
        assert_eq!(output.status.code(), Some(78), "{faulty}: {}", stdout(&output));
        assert_eq!(asked(&config, &["healthy"]).lines().next(), Some("the queue takes mail"));
        assert_eq!(asked_json(&config, &["queue", "list"]), json!([]));
        assert_eq!(asked_json(&config, &["policy", "list"]), json!([]));
        asked(&config, &["queue", "stats"]);
        asked(&config, &["queue", "verify"]);
    }
    assert!(relay.terminate().await.success());
    // Where no relay answers, the faults are the reason that is told.
    for arguments in [&["healthy"][..], &["queue", "list"], &["queue", "retry", "--all"]] {
        let output = process::run(&config, arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", stdout(&output));
        assert!(stderr(&output).contains("toml at all"), "{arguments:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_resolver_that_fails_is_told_by_healthy_and_restarts_nothing() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let closed = std::net::UdpSocket::bind((world.address(), 0)).unwrap().local_addr().unwrap();
    let servers = ("STS_RELAY__DNS__SERVERS", closed.to_string());
    let variables = [(servers.0, servers.1.as_str()), ("STS_RELAY__DNS__TIMEOUT", "200ms")];
    let log = world.directory().join("log");
    let mut relay = Process::start_with(&config, log, variables.into_iter());
    drop(relay.connected(listener).await);
    let output = process::run(&config, &["healthy"]);
    assert_eq!(output.status.code(), Some(0), "a restart mends no resolver");
    assert!(stdout(&output).starts_with("the queue takes mail\n"), "{}", stdout(&output));
    let said = stderr(&output);
    assert!(said.starts_with("not ready: resolver: asked for "), "{said}");
    assert!(relay.terminate().await.success());
}

#[test]
fn a_data_directory_of_another_user_says_whose_command_it_is() {
    let (folder, file) = with_authority("");
    let data_dir = folder.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [&["queue", "list"][..], &["healthy"]] {
        let mut command = typed(arguments);
        command.arg("--config").arg(&file).env("STS_RELAY__DATA_DIR", &data_dir);
        if rustix::process::geteuid().is_root() {
            // Root may look everywhere.
            command.uid(65_534);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let said = stderr(&output);
        assert!(said.contains("permission denied: run this as the relay's user"), "{said}");
    }
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).unwrap();
}
