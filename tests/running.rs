//! Starting and stopping: what a relay that runs holds, and what one that has stopped leaves.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use serde_json::Value;
use settings::{Settings, Source};
use sts_relay::{Relay, StartError};
use testbed::{MxBehaviour, PolicyText, Sender, World};
use tokio::net::TcpStream;

use crate::process::{self, Process};
use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit, write_settings};

/// Starts a relay with the settings of a file.
async fn start(config: &Path) -> Result<Relay, StartError> {
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let settings = Settings::check(&Source::read(Some(config), []).unwrap(), now).unwrap();
    Relay::start(settings, Arc::new(SystemClock)).await
}

#[tokio::test]
async fn a_port_0_becomes_a_real_one_which_ends_with_the_relay() {
    let world = World::new().await;
    let any_port = SocketAddr::new(world.address(), 0);
    let relay = start(&write_settings(&world, any_port, "")).await.unwrap();
    let [address] = *relay.addresses() else { panic!("{:?}", relay.addresses()) };
    assert_ne!(address.port(), 0);
    assert!(Sender::connect(address).await.is_ok());
    relay.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_running() {
    let world = World::new().await;
    let address = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, address, "");
    let other = TcpListener::bind(address).unwrap();
    assert!(matches!(start(&config).await, Err(StartError::Address { .. })));
    assert!(!world.directory().join("data/admin.sock").exists());
    drop(other);
    // The queue's lock was given back, too.
    start(&config).await.unwrap().stop().await;
}

#[tokio::test]
async fn two_relays_never_share_a_data_directory() {
    let world = World::new().await;
    let config = write_settings(&world, SocketAddr::new(world.address(), 0), "");
    let first = start(&config).await.unwrap();
    assert!(matches!(start(&config).await, Err(StartError::Queue(_))));
    assert!(Sender::connect(first.addresses()[0]).await.is_ok());
    first.stop().await;
}

/// A client that may send its message now.
async fn within_a_message(relay: &mut Process, listener: SocketAddr) -> Sender {
    let mut client = relay.connected(listener).await;
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    client.mail(SENDER).await.unwrap();
    client.rcpt("<bob@nowhere.test>").await.unwrap();
    assert_eq!(client.command("DATA").await.unwrap().code, 354);
    client
}

#[tokio::test]
async fn a_message_under_way_when_the_relay_is_told_to_stop_is_acknowledged_and_kept() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    let mut client = within_a_message(&mut relay, listener).await;
    client.write(b"Subject: half\r\n\r\nnot all of it").await.unwrap();

    let rest = async {
        // The listener is gone first; then the message goes on.
        while TcpStream::connect(listener).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        client.write(b" yet\r\n.\r\n").await.unwrap();
        client.read_reply().await.unwrap()
    };
    let (status, reply) = tokio::join!(relay.terminate(), rest);
    assert_eq!(reply.code, 250, "{reply}");
    assert!(status.success(), "{}", relay.said());
    let listed = process::run(&config, &["queue", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(reply.text().ends_with(listed[0]["id"].as_str().unwrap()), "{reply} {listed}");
}

#[tokio::test]
async fn a_client_that_stalls_within_a_message_holds_the_stop_up_no_longer_than_the_grace() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"20s\"", "\"1s\"")).unwrap();
    let mut relay = Process::start(&config, world.directory().join("log"));
    let _client = within_a_message(&mut relay, listener).await;
    let begun = tokio::time::Instant::now();
    assert!(relay.terminate().await.success(), "{}", relay.said());
    // Before, the grace and five seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(
        relay.log_lines().iter().any(|line| line.contains("shutdown grace expired")),
        "{}",
        relay.said()
    );
}

#[tokio::test]
async fn the_log_says_as_json_where_the_relay_is() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "log.format = \"json\"");
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    assert!(relay.terminate().await.success());
    let lines: Vec<Value> =
        relay.log_lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = lines.iter().find(|line| line["message"] == "started").unwrap();
    assert_eq!(started["addresses"], listener.to_string());
    assert_eq!(started["hostname"], "relay.test");
    assert!(lines.iter().any(|line| line["message"] == "stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_policy_is_refreshed_daily_without_any_mail() {
    let mut relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    let policy = PolicyText::enforce([mx.name()]);
    let host = relay.world.domain("example.test").sts("1").policy(policy).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.gone(id).await;
    assert_eq!(host.fetches().len(), 1);
    relay.clock.advance(Duration::from_secs(25 * 60 * 60));
    relay.restart().await;
    host.wait_for_fetches(2, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_is_delivered_after_a_restart() {
    let mut relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    mx.close().await;
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    let id = submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await;
    drop(client);
    relay.deferred(id, 1).await;
    relay.restart().await;
    mx.open().await.unwrap();
    relay.retry().await;
    relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
}
