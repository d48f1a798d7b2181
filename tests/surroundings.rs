//! What around a relay is told to its operator: at the start, and by `check-config --network`.

use std::net::SocketAddr;
use std::path::Path;

use testbed::{MxBehaviour, World};

use crate::process::{self, Process};
use crate::world::write_settings;

/// The warnings of `check-config --network`.
fn warnings(config: &Path) -> String {
    let output = process::run(config, &["check-config", "--network"]);
    assert!(output.status.success(), "nothing of this keeps a relay from starting");
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# warning: ")).collect();
    told.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_with_the_network_is_told_in_words_until_it_is_mended() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    // The address that the machine of this test would choose is no business of the world.
    let source = format!("delivery.source_address4 = \"{}\"\n", listener.ip());
    let config = write_settings(&world, listener, &source);
    let names = world.names();
    names.authenticate(".");

    let told = warnings(&config);
    assert_eq!(
        told,
        "hostname relay.test has no address record, and many mail hosts refuse such a name"
    );

    names.add_address("relay.test", listener.ip());
    let told = warnings(&config);
    assert!(told.contains(&format!("the PTR record of {} should name", listener.ip())), "{told}");
    assert!(told.contains("(has none)") && !told.contains("address record"), "{told}");

    names.add_pointer(listener.ip(), "other.test");
    assert!(warnings(&config).contains("(other.test)"));
    names.add_pointer(listener.ip(), "relay.test");
    assert_eq!(warnings(&config), "");

    // A resolver on loopback is believed, so it should validate.
    names.leave_unsigned(".");
    let told = warnings(&config);
    assert!(told.starts_with("DANE is inactive: 127."), "{told}");
    assert!(told.contains("it does not vouch for the root zone, which is signed"), "{told}");
    assert!(told.contains("apt-get install unbound"), "{told}");
    names.authenticate(".");
    assert_eq!(warnings(&config), "");

    // Nobody is at the port of the own domain's mail host.
    let mx = world.mx("mx.test", MxBehaviour::valid()).await;
    names.add_mx("test", 10, "mx.test");
    mx.close().await;
    let told = warnings(&config);
    assert!(told.starts_with("mx.test [") && told.contains("block port 25"), "{told}");
    mx.open().await.unwrap();
    assert_eq!(warnings(&config), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewriting_into_a_domain_without_mx_is_told() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let rewrite = "rewrite = [{ from = \"a@internal\", to = \"@own.test\" }, \
                   { from = \"b@internal\", to = \"b@own.test\" }]\n";
    let config = write_settings(&world, listener, rewrite);
    let told = || {
        let told = warnings(&config);
        let lines = told.lines().filter_map(|line| line.strip_prefix("[[rewrite]] sends bounces "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told(), ["and replies to own.test: there is no such domain"]);
    world.names().add_address("own.test", listener.ip());
    assert_eq!(told(), ["and replies to own.test: it has no MX record"]);
    world.names().add_mx("own.test", 10, "mx.own.test");
    assert_eq!(told(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_is_silent_is_told() {
    let world = World::new().await;
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "dns.timeout = \"1s\"\n");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(&world.dns_address().to_string(), &address.to_string());
    std::fs::write(&config, text).unwrap();
    let told = warnings(&config);
    let words = format!("the resolver ({address}) does not answer for hostname relay.test");
    assert!(told.starts_with(&words), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_logs_what_is_around_it_and_works_meanwhile() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    let line = relay.logged("environment warning", 1).await;
    assert!(line.contains("WARN") && line.contains("has no address record"), "{line}");
    assert!(relay.terminate().await.success());
}
