//! `sts-relay policy`: what changes the cache, what is set aside, and what is to be published.

use std::fs;
use std::process::{Command, Output};

use mta_sts::{MxHost, Policy};
use serde_json::Value;
use testbed::{MxBehaviour, PolicyBehaviour, PolicyText, World};

use crate::world::{RelayInWorld, write_settings};

/// Runs `sts-relay policy` in a world, with these settings besides the usual ones.
async fn policy(world: &World, arguments: &[&str], more: &str) -> Output {
    let listener = (world.address(), world.smtp_port()).into();
    let config = write_settings(world, listener, more);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sts-relay"));
    command.arg("policy").args(arguments).arg("--config").arg(config).env_clear();
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The same, with what it says as JSON and whether it says yes.
async fn asked(world: &World, arguments: &[&str]) -> (Value, bool) {
    let output = policy(world, arguments, "").await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    (said, output.status.success())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_refreshed_and_purged_in_the_running_relay() {
    let relay = RelayInWorld::start().await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let (said, yes) = asked(&relay.world, &["refresh", "example.test", "--json"]).await;
    assert!(yes, "{said}");
    assert_eq!(said["policy"]["mode"], "enforce", "nothing was cached, and is now: {said}");

    relay.world.domain("example.test").policy(PolicyText::testing([mx.name()])).await;
    let (said, yes) = asked(&relay.world, &["refresh", "example.test", "--json"]).await;
    assert!(yes && said["policy"]["mode"] == "testing", "the id is the same: {said}");

    relay.world.domain("example.test").policy(PolicyBehaviour::status(404)).await;
    let (said, yes) = asked(&relay.world, &["refresh", "example.test", "--json"]).await;
    assert!(!yes, "{said}");
    assert!(said["error"].as_str().unwrap().contains("404"), "{said}");
    assert_eq!(said["policy"]["mode"], "testing", "what is cached goes on to apply: {said}");
    let (said, _) = asked(&relay.world, &["list", "--json"]).await;
    assert!(said[0]["trouble"]["error"].as_str().unwrap().contains("404"), "{said}");

    let output = policy(&relay.world, &["purge", "example.test"], "").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = policy(&relay.world, &["purge", "example.test"], "").await;
    assert!(!output.status.success() && text(&output.stderr).contains("no policy"));
    let (said, yes) = asked(&relay.world, &["list", "--json"]).await;
    assert!(yes && said.as_array().unwrap().is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_refreshed_and_purged_by_a_running_relay_alone() {
    let mut relay = RelayInWorld::start().await;
    for domain in ["a.test", "b.test"] {
        relay.enforcing_domain(domain, MxBehaviour::valid()).await;
        let (said, yes) = asked(&relay.world, &["refresh", domain, "--json"]).await;
        assert!(yes && said["policy"]["mode"] == "enforce", "{said}");
    }
    relay.stop().await;
    for change in [&["refresh", "a.test"][..], &["purge", "a.test"], &["purge", "--all"]] {
        let output = policy(&relay.world, change, "").await;
        assert_eq!(output.status.code(), Some(1), "{change:?}");
        assert!(text(&output.stderr).contains("the relay is not running"), "{change:?}");
    }
    let (said, _) = asked(&relay.world, &["list", "--json"]).await;
    assert_eq!(said.as_array().unwrap().len(), 2, "{said}");

    relay.restart().await;
    let output = policy(&relay.world, &["purge", "--all"], "").await;
    assert_eq!(text(&output.stdout), "2 policies purged\n", "{}", text(&output.stderr));
    let (said, _) = asked(&relay.world, &["list", "--json"]).await;
    assert!(said.as_array().unwrap().is_empty(), "{said}");
}

/// As the relay goes by it, whatever the file says by now.
#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_shown_with_the_policies() {
    let exception = "exception = [{ domain = \"example.test\", until = 2030-01-10, \
                     reason = \"ticket 4711\" }]";
    let relay = RelayInWorld::start_with(exception).await;
    relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    asked(&relay.world, &["refresh", "example.test", "--json"]).await;
    for arguments in [&["list"][..], &["show", "example.test"], &["list", "--json"]] {
        let output = policy(&relay.world, arguments, "").await;
        assert!(text(&output.stdout).contains("ticket 4711"), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn a_new_policy_names_the_hosts_that_there_are_and_says_what_is_unwise() {
    let world = World::new().await;
    for (preference, name) in [(10, "mx1.example.test"), (20, "mx2.example.test")] {
        world.domain("example.test").mx_named(preference, name);
    }
    let file = world.directory().join("mta-sts.txt");
    let file_name = file.to_str().unwrap();
    let arguments = ["new", "--domain", "example.test", "--mode", "enforce", "--output", file_name];
    let output = policy(&world, &arguments, "").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("_mta-sts.example.test.  TXT  \"v=STSv1; id="), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let parsed = Policy::parse(&fs::read(&file).unwrap()).unwrap();
    assert!(parsed.warnings.is_empty());
    for host in ["mx1.example.test", "mx2.example.test"] {
        assert!(parsed.value.admits(&MxHost::parse(host).unwrap()), "{:?}", parsed.value);
    }

    fs::write(&file, "mine").unwrap();
    let arguments = ["new", "--domain", "example.test", "--output", file_name];
    let output = policy(&world, &arguments, "").await;
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", text(&output.stdout));
    let refusal = format!("{file_name} is there already; --force replaces it");
    assert!(text(&output.stderr).contains(&refusal), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let output = policy(&world, &[&arguments[..], &["--force"]].concat(), "").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read_to_string(&file).unwrap().starts_with("version: STSv1\nmode: testing\n"));

    let arguments = ["new", "--domain", "example.test", "--mx", "mx1.example.test"];
    let output = policy(&world, &[&arguments[..], &["--max-age", "1d"]].concat(), "").await;
    let said = text(&output.stdout);
    assert!(said.contains("mode: testing"), "{said}");
    assert!(said.contains("max_age of 1d00h is short"), "{said}");
    assert!(said.contains("mx2.example.test is not named"), "{said}");
}
