//! `sts-relay queue`, as it is typed: looking into the queue, and changing what is in it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{MxBehaviour, PolicyText, World};
use tokio::time::{sleep, timeout};

use crate::cli::{asked, asked_json, refused};
use crate::process::{self, Process};
use crate::world::{PATIENCE, SENDER, submit, write_settings};

/// A domain whose host offers no TLS although its policy enforces it: its mail waits.
const WAITING: &str = "example.test";

/// Another one.
const OTHER: &str = "other.test";

/// A relay with mail that waits.
struct Queued {
    world: World,
    config: PathBuf,
    relay: Process,
    listener: SocketAddr,
    /// The messages, in the order of their ids.
    ids: Vec<String>,
}

/// A message with this subject.
fn message(subject: &str) -> Vec<u8> {
    format!("Subject: {subject}\r\nFrom: ann@sender.test\r\n\r\n.dot\r\n\r\nend\r\n").into_bytes()
}

impl Queued {
    /// A relay with a message for each of these, all tried once in vain.
    async fn new(mail: &[(&str, &[&str])]) -> Self {
        let world = World::new().await;
        for domain in [WAITING, OTHER] {
            let name = format!("mx.{domain}");
            let mx = world.mx(&name, MxBehaviour::starttls_not_offered()).await;
            let policy = PolicyText::enforce([mx.name()]);
            world.domain(domain).mx(10, &mx).sts("a1").policy(policy).await;
        }
        let listener = SocketAddr::new(world.address(), world.smtp_port());
        let config = write_settings(&world, listener, "");
        let mut relay = Process::start(&config, world.directory().join("log"));
        let mut client = relay.connected(listener).await;
        assert!(client.ehlo("client.test").await.unwrap().is_positive());
        let mut ids = Vec::new();
        for (number, (sender, recipients)) in mail.iter().enumerate() {
            let message = message(&format!("message {number}"));
            ids.push(submit(&mut client, sender, recipients, &message).await.to_string());
        }
        all_tried(&config).await;
        Self { world, config, relay, listener, ids }
    }

    /// The ids that `queue list` shows with these filters.
    fn listed(&self, filters: &[&str]) -> Vec<String> {
        let list = asked_json(&self.config, &[&["queue", "list"], filters].concat());
        let messages = list.as_array().unwrap().iter();
        messages.map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    }

    /// What `queue show` says the state of a message is.
    fn state(&self, id: &str) -> Value {
        asked_json(&self.config, &["queue", "show", id])["state"].clone()
    }

    /// Stops the relay in order.
    async fn stop(&mut self) {
        assert!(self.relay.terminate().await.success(), "{}", self.relay.said());
    }
}

/// The standard output of a command, as bytes.
fn bytes(config: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = process::run(config, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn the_list_is_narrowed_by_sender_domain_state_and_age() {
    let mut queued = Queued::new(&[
        (SENDER, &["<bob@example.test>"]),
        ("<>", &["<bob@other.test>"]),
        ("<\"a+b& c\"@sender.test>", &["<bob@example.test>", "<eve@other.test>"]),
    ])
    .await;
    let held = asked_json(&queued.config, &["queue", "hold", &queued.ids[1]]);
    assert_eq!(held, json!({"id": queued.ids[1], "state": "on hold", "changed": true}));
    let table: [(&[&str], &[usize]); 15] = [
        (&[], &[0, 1, 2]),
        (&["--sender", "ann@sender.test"], &[0]),
        (&["--sender", "<>"], &[1]),
        (&["--sender", "\"a+b& c\"@sender.test"], &[2]),
        (&["--domain", "EXAMPLE.test"], &[0, 2]),
        (&["--domain", "[192.0.2.1]"], &[]),
        (&["--state", "on-hold"], &[1]),
        (&["--state", "on hold"], &[1]),
        (&["--state", "queued", "--domain", "other.test"], &[2]),
        (&["--reason", "policy"], &[0, 1, 2]),
        (&["--reason", "policy", "--domain", "other.test", "--state", "queued"], &[2]),
        (&["--reason", "reply"], &[]),
        (&["--quarantined"], &[]),
        (&["--older-than", "0s"], &[0, 1, 2]),
        (&["--older-than", "1h"], &[]),
    ];
    for (filters, expected) in table {
        let expected: Vec<_> = expected.iter().map(|&index| queued.ids[index].clone()).collect();
        assert_eq!(queued.listed(filters), expected, "running, {filters:?}");
    }
    queued.stop().await;
    for (filters, expected) in table {
        let expected: Vec<_> = expected.iter().map(|&index| queued.ids[index].clone()).collect();
        assert_eq!(queued.listed(filters), expected, "at rest, {filters:?}");
    }
    for wrong in [
        ["--state", "held"],
        ["--reason", "5.7.1"],
        ["--older-than", "5 days"],
        ["--sender", "a b"],
    ] {
        let output = process::run(&queued.config, &[&["queue", "list"], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_message_is_shown_byte_for_byte_running_and_at_rest() {
    let mut queued = Queued::new(&[(SENDER, &["<bob@example.test>"])]).await;
    let id = queued.ids[0].clone();
    let show = ["queue", "show", id.as_str(), "--body"];
    let running = bytes(&queued.config, &show);
    assert!(running.starts_with(b"Received: "), "{}", String::from_utf8_lossy(&running));
    assert!(running.ends_with(&message("message 0")));
    assert!(
        refused(&queued.config, &["queue", "show", "0000000000000", "--body"]).contains("not in")
    );
    queued.stop().await;
    assert!(bytes(&queued.config, &show) == running);
}

#[tokio::test]
async fn a_held_message_is_not_tried_until_it_is_released() {
    let mut queued = Queued::new(&[(SENDER, &["<bob@example.test>"])]).await;
    let id = queued.ids[0].clone();
    let (hold, release) = (["queue", "hold", &id], ["queue", "release", &id]);
    assert_eq!(asked(&queued.config, &hold), format!("{id} is now on hold\n"));
    assert_eq!(asked(&queued.config, &hold), format!("{id} was already on hold\n"));
    assert_eq!(queued.state(&id), "on hold");
    for (which, said) in [
        (
            id.as_str(),
            format!(
                "{id} is on hold and is not tried: release it with `sts-relay queue release {id}`"
            ),
        ),
        ("--all", "the queue has nothing that could be tried".to_owned()),
        ("--domain=example.test", "no waiting message matches".to_owned()),
    ] {
        let (status, text) = in_vain(&queued.config, &["queue", "retry", which]);
        assert!(status == Some(1) && text.contains(&said), "{status:?}: {text}");
    }
    assert_eq!(asked(&queued.config, &release), format!("{id} is now queued\n"));
    assert_eq!(asked_json(&queued.config, &release)["changed"], false);
    queued.stop().await;
    for change in [&hold[..], &release, &["queue", "delete", &id], &["queue", "retry", &id]] {
        assert!(refused(&queued.config, change).contains("the relay is not running"), "{change:?}");
    }
    assert_eq!(queued.state(&id), "queued");
}

/// The status of a command that does not do what was asked, and what it says.
fn in_vain(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = process::run(config, arguments);
    let said = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn many_messages_are_changed_by_filter_only_when_somebody_has_agreed() {
    let queued = Queued::new(&[
        (SENDER, &["<bob@example.test>"]),
        (SENDER, &["<eve@other.test>"]),
        ("<>", &["<bob@example.test>"]),
    ])
    .await;
    all_tried(&queued.config).await;
    let config = queued.config.clone();
    let (hold, at) = (["queue", "hold"], ["--domain", "example.test"]);
    let (status, said) = in_vain(&config, &[&hold[..], &at].concat());
    assert!(said.contains("Put 2 messages on hold?") && said.contains("--yes"), "{said}");
    assert_eq!((status, queued.listed(&["--state", "on-hold"])), (Some(1), Vec::new()));

    let yes = ["--yes"];
    let said = asked(&config, &[&hold[..], &at, &yes].concat());
    assert_eq!(said, "2 messages put on hold\n");
    assert_eq!(queued.listed(&["--state", "on-hold"]), [&*queued.ids[0], &queued.ids[2]]);
    let changed = asked_json(&config, &[&hold[..], &["--reason", "policy"], &yes].concat());
    assert_eq!(changed, json!({"matched": 3, "changed": 1}));

    let release = ["queue", "release", "--state", "on-hold", "--sender", SENDER, "--yes"];
    assert_eq!(asked(&config, &release), "2 messages released\n");
    let retry = ["queue", "retry", "--sender", SENDER, "--reason", "policy", "--domain", OTHER];
    assert_eq!(asked(&config, &[&retry[..], &yes].concat()), "1 attempt is made now\n");

    let delete = ["queue", "delete", "--older-than", "0s", "--yes"];
    assert_eq!(asked(&config, &delete), "3 messages deleted\n");
    assert_eq!(asked(&config, &["queue", "list"]), "the queue is empty\n");
    assert_eq!(asked(&config, &["queue", "stats"]), "the queue is empty\n");
    let none = asked(&config, &["queue", "list", "--reason", "policy"]);
    assert_eq!(none, "no message in the queue matches\n");
    for change in ["hold", "release", "delete", "retry"] {
        let (status, said) = in_vain(&config, &["queue", change, "--domain", OTHER, "--yes"]);
        let nothing = ["no message in the queue matches\n", "no waiting message matches\n"];
        assert!(status == Some(1) && nothing.contains(&said.as_str()), "{change}: {said}");
        let (status, _) = in_vain(&config, &["queue", change]);
        assert_eq!(status, Some(2), "nothing is named");
        let (status, _) = in_vain(&config, &["queue", change, &queued.ids[0], "--all"]);
        assert_eq!(status, Some(2), "one and all");
    }
    let me = format!("(uid {})", rustix::process::geteuid().as_raw());
    for (event, times) in
        [("message put on hold", 3), ("message released", 2), ("message deleted", 3)]
    {
        let line = queued.relay.logged(event, times).await;
        assert!(line.contains(&me), "{line}");
    }
}

#[tokio::test]
async fn at_a_terminal_the_list_fits_and_a_change_of_many_is_asked_for() {
    let queued =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), (SENDER, &["<eve@other.test>"])]).await;
    all_tried(&queued.config).await;
    let whole = "4.7.10 mx.example.test: STARTTLS was not offered";
    for (columns, shown) in [(200, whole), (80, "4.7.10 mx.example.test: STARTTL")] {
        let list = process::run_at_terminal(&queued.config, "queue list", columns, "");
        assert!(list.contains(shown), "{list}");
        let longest = list.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(columns), "{longest:?}: {list}");
        let list = process::run_at_terminal(&queued.config, "queue list --wide", columns, "");
        assert!(list.contains(whole), "{list}");
    }
    let hold = "queue hold --domain other.test";
    let seen = process::run_at_terminal(&queued.config, hold, 80, "n\n");
    assert!(seen.contains("Put 1 message on hold? [y/N]"), "{seen}");
    assert!(seen.contains("nothing was changed"), "{seen}");
    assert_eq!(queued.state(&queued.ids[1]), "queued");
    let seen = process::run_at_terminal(&queued.config, hold, 80, "y\n");
    assert!(seen.contains("1 message put on hold"), "{seen}");
    assert_eq!(queued.state(&queued.ids[1]), "on hold");
    assert_eq!(queued.state(&queued.ids[0]), "queued");
}

#[tokio::test]
async fn the_list_says_host_and_cause_and_stats_say_what_each_domain_waits_for() {
    let queued =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), (SENDER, &["<eve@other.test>"])]).await;
    all_tried(&queued.config).await;
    let reason = "4.7.10 mx.example.test: STARTTLS was not offered";
    let list = asked(&queued.config, &["queue", "list"]);
    assert!(list.lines().nth(1).unwrap().ends_with(reason), "{list}");
    let stats = asked(&queued.config, &["queue", "stats"]);
    assert!(stats.contains(&format!("policy 1: {reason}")), "{stats}");
    let show = asked(&queued.config, &["queue", "show", &queued.ids[0]]);
    assert!(show.contains("state     waiting: policy\n"), "{show}");
    let stats = asked_json(&queued.config, &["queue", "stats"]);
    let of = &stats["destinations"][0];
    assert_eq!((&of["waiting"], &of["on_hold"]), (&json!({"policy": 1}), &json!(0)));
    assert_eq!(
        (&of["reason"]["class"], &of["reason"]["cause"]),
        (&json!("policy"), &json!("STARTTLS was not offered"))
    );
}

#[tokio::test]
async fn a_message_is_removed_and_its_sender_told_if_that_is_asked_for() {
    let queued = Queued::new(&[
        (SENDER, &["<bob@example.test>", "<eve@other.test>"]),
        (SENDER, &["<bob@example.test>"]),
        ("<>", &["<bob@example.test>"]),
    ])
    .await;
    let mx = queued.world.mx("mx.sender.test", MxBehaviour::valid()).await;
    queued.world.domain("sender.test").mx(10, &mx);
    let [told, untold, from_nobody] = [0, 1, 2].map(|index: usize| queued.ids[index].clone());

    let removed = asked_json(&queued.config, &["queue", "delete", &told, "--bounce"]);
    let bounce = removed["bounce"].as_str().unwrap().to_owned();
    assert_eq!(removed["id"], json!(told));
    let arrived = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let text = arrived[0].text();
    assert_eq!(arrived[0].reverse_path, "");
    for word in [&told, &bounce, "bob@example.test", "eve@other.test", "5.3.0", "message 0"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }

    let removed = asked_json(&queued.config, &["queue", "delete", &untold]);
    assert_eq!(removed, json!({"id": untold, "bounce": null}));
    // A message that came from nobody is never answered.
    let removed = asked_json(&queued.config, &["queue", "delete", &from_nobody, "--bounce"]);
    assert_eq!(removed, json!({"id": from_nobody, "bounce": null}));
    for id in &queued.ids {
        let gone = refused(&queued.config, &["queue", "delete", id]);
        assert!(gone.contains("not in the queue"), "{gone}");
    }
    assert_eq!(mx.messages().len(), 1);
}

/// Every file and directory below a directory, with its bytes.
fn everything_in(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything_in(&path));
            all.push((path, Vec::new()));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, bytes));
        }
    }
    all.sort();
    all
}

/// Waits until each message of the queue was tried at each of its destinations; all of them then.
async fn all_tried(config: &Path) -> Value {
    let is_tried = |message: &Value| {
        let shown = asked_json(config, &["queue", "show", message["id"].as_str().unwrap()]);
        let mut destinations = shown["destinations"].as_array().unwrap().iter();
        destinations.all(|one| one["attempts"].as_u64() >= Some(1))
    };
    let tried = timeout(PATIENCE, async {
        loop {
            let list = asked_json(config, &["queue", "list"]);
            if list.as_array().unwrap().iter().all(is_tried) {
                return list;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    tried.await.expect("a message is not tried")
}

#[tokio::test]
async fn looking_at_a_killed_relays_queue_changes_no_file() {
    let Queued { world, config, relay, ids, .. } =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), ("<>", &["<eve@other.test>"])]).await;
    let listed = all_tried(&config).await;
    let policies = asked_json(&config, &["policy", "list"]);
    let shown = asked_json(&config, &["queue", "show", &ids[0]]);
    let body = bytes(&config, &["queue", "show", &ids[1], "--body"]);
    relay.kill();

    let queue = world.directory().join("data/queue");
    let before = everything_in(&queue);
    assert!(before.iter().any(|(path, _)| path.ends_with("index/db")));
    assert_eq!(asked_json(&config, &["queue", "list"]), listed);
    assert_eq!(asked_json(&config, &["queue", "show", &ids[0]]), shown);
    assert!(bytes(&config, &["queue", "show", &ids[1], "--body"]) == body);
    assert_eq!(asked_json(&config, &["queue", "stats"])["messages"], 2);
    assert_eq!(policies.as_array().unwrap().len(), 2, "{policies}");
    assert_eq!(asked_json(&config, &["policy", "list"]), policies);
    assert_eq!(asked_json(&config, &["policy", "show", OTHER]), policies[1]);
    assert!(everything_in(&queue) == before);

    // Of an index that cannot be read nothing is made anew either, and what to do is said.
    fs::write(queue.join("index/db"), [b'x'; 8_192]).unwrap();
    let before = everything_in(&queue);
    for command in [&["queue", "list"][..], &["queue", "stats"], &["policy", "list"]] {
        let said = refused(&config, command);
        assert!(said.contains("queue verify") && said.contains("starting the relay"), "{said}");
    }
    assert!(everything_in(&queue) == before);
}

#[tokio::test]
async fn stats_tell_how_many_wait_for_whom_and_how_long_the_oldest_has() {
    let queued = Queued::new(&[
        (SENDER, &["<bob@other.test>"]),
        (SENDER, &["<bob@example.test>", "<eve@example.test>"]),
        (SENDER, &["<bob@example.test>"]),
    ])
    .await;
    all_tried(&queued.config).await;
    let aged = timeout(PATIENCE, async {
        loop {
            let stats = asked_json(&queued.config, &["queue", "stats"]);
            let oldest = |index: usize| stats["destinations"][index]["oldest_seconds"].as_u64();
            if oldest(0) >= Some(1) && oldest(1) >= Some(1) {
                return stats;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    let stats = aged.await.expect("nothing grows older");
    assert_eq!((&stats["messages"], &stats["recipients"]), (&json!(3), &json!(4)));
    let destinations = stats["destinations"].as_array().unwrap();
    for (shown, domain, messages) in [(&destinations[0], WAITING, 2), (&destinations[1], OTHER, 1)]
    {
        assert_eq!(shown["destination"], domain);
        assert_eq!((&shown["messages"], &shown["due"]), (&json!(messages), &json!(0)));
        assert!(shown["oldest_seconds"].as_u64() < Some(2 * PATIENCE.as_secs()), "{shown}");
    }
    let text = asked(&queued.config, &["queue", "stats"]);
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = lines.iter().find(|words| words.first() == Some(&WAITING)).unwrap();
    assert_eq!(row[1..3], ["2", "0"], "{text}");
    assert!(row[3].starts_with(|first: char| ('1'..='9').contains(&first)), "{text}");
}

#[tokio::test]
async fn a_message_is_tried_again_and_the_others_for_its_domain_are_left_alone() {
    let queued =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), (SENDER, &["<eve@example.test>"])]).await;
    all_tried(&queued.config).await;
    let other = asked_json(&queued.config, &["queue", "show", &queued.ids[1]]);
    let retry = ["queue", "retry", queued.ids[0].as_str()];
    assert_eq!(asked_json(&queued.config, &retry), json!({"retried": 1, "state": "queued"}));
    let tried = timeout(PATIENCE, async {
        while asked_json(&queued.config, &["queue", "list"])[0]["attempts"] != 2 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    tried.await.expect("it is not tried again");
    assert_eq!(asked_json(&queued.config, &["queue", "show", &queued.ids[1]]), other);
    assert_eq!(asked(&queued.config, &retry), "1 attempt is made now\n");
}

/// Turns over a bit in the last message of a segment; what the segment holds then.
fn damage_last(segment: &Path) -> Vec<u8> {
    let mut bytes = fs::read(segment).unwrap();
    let subject = b"Subject: message";
    let at = bytes.windows(subject.len()).rposition(|part| part == subject).unwrap();
    bytes[at] ^= 1;
    fs::write(segment, &bytes).unwrap();
    bytes
}

#[tokio::test]
async fn the_spool_is_compared_with_the_index_running_and_at_rest() {
    let mut queued =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), (SENDER, &["<eve@other.test>"])]).await;
    let whole = json!({"messages": 2, "records": 2, "problems": []});
    assert_eq!(asked_json(&queued.config, &["queue", "verify"]), whole);
    queued.stop().await;
    assert_eq!(asked_json(&queued.config, &["queue", "verify"]), whole);

    let segment = queued.world.directory().join("data/queue/spool/seg-00000001");
    let bytes = damage_last(&segment);
    let output = process::run(&queued.config, &["queue", "verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["problems"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["problems"][0]["kind"], "record");
    assert_eq!(found["problems"][0]["id"], json!(queued.ids[1]));
    assert!(fs::read(&segment).unwrap() == bytes, "nothing is changed");
    assert_eq!(queued.state(&queued.ids[1]), "queued", "nothing is concluded from it");
}

#[tokio::test]
async fn a_damaged_message_is_listed_with_its_damage_and_the_others_go_on() {
    let mut queued =
        Queued::new(&[(SENDER, &["<bob@example.test>"]), (SENDER, &["<eve@other.test>"])]).await;
    queued.stop().await;
    let segment = queued.world.directory().join("data/queue/spool/seg-00000001");
    damage_last(&segment);
    let mut relay = Process::start(&queued.config, queued.world.directory().join("log-2"));
    drop(relay.connected(queued.listener).await);
    let shown = refused(&queued.config, &["queue", "show", &queued.ids[1], "--body"]);
    assert!(shown.contains("the message cannot be read"), "{shown}");
    // Nobody who reads a message waits for it to be set aside.
    let set_aside = timeout(PATIENCE, async {
        while queued.listed(&["--quarantined"]) != [queued.ids[1].clone()] {
            sleep(Duration::from_millis(20)).await;
        }
    });
    set_aside.await.expect("it is not set aside");
    let listed = asked(&queued.config, &["queue", "list", "--quarantined"]);
    assert!(listed.contains("the body's checksum is wrong"), "{listed}");
    assert_eq!(queued.listed(&["--state", "queued"]), [queued.ids[0].clone()]);
    assert!(relay.terminate().await.success());
}
