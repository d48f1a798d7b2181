//! What those who start the relay are told: the service manager, and whoever asks for its health.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use testbed::World;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::process::{self, Process};
use crate::world::{PATIENCE, write_settings};

/// The next word that the manager hears.
async fn heard(manager: &UnixDatagram) -> String {
    let mut word = [0; 256];
    let length = timeout(PATIENCE, manager.recv(&mut word)).await.expect("nothing said").unwrap();
    String::from_utf8(word[..length].to_vec()).unwrap().trim().to_owned()
}

/// Whether the relay of these settings is healthy, and what it says.
fn healthy(config: &Path) -> (bool, String) {
    let output = process::run(config, &["healthy"]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_service_manager_hears_when_the_relay_is_ready_alive_and_stopping() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let socket = world.directory().join("notify.sock");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let patience = Duration::from_millis(200).as_micros().to_string();
    let variables =
        [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", patience.as_str())];
    let mut relay =
        Process::start_with(&config, world.directory().join("log"), variables.into_iter());
    assert_eq!(heard(&manager).await, "READY=1");
    drop(relay.connected(listener).await);
    assert_eq!(heard(&manager).await, "WATCHDOG=1");
    assert_eq!(heard(&manager).await, "WATCHDOG=1");
    assert!(relay.terminate().await.success(), "{}", relay.said());
    let mut last = heard(&manager).await;
    while last == "WATCHDOG=1" {
        last = heard(&manager).await;
    }
    assert_eq!(last, "STOPPING=1");
}

#[tokio::test]
async fn a_relay_is_healthy_while_it_runs_and_not_before_or_after() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let (well, words) = healthy(&config);
    assert!(!well && words.contains("no relay answers"), "{words}");
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    assert_eq!(
        healthy(&config),
        (true, "the queue takes mail\nmail leaves, or none is due\n".to_owned())
    );
    let log = relay.log_lines().join("\n");
    assert!(!log.contains("health"), "asking is no news for the log:\n{log}");
    assert!(relay.terminate().await.success());
    assert!(!healthy(&config).0);
}

#[tokio::test]
async fn a_relay_whose_disk_is_nearly_full_is_not_healthy() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    // More room than any disk has.
    let config = write_settings(&world, listener, "limits.free_space = \"1000000GiB\"");
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    let (well, words) = healthy(&config);
    assert!(!well && words.contains("nearly full"), "{words}");
    assert!(relay.terminate().await.success());
}
