//! `[[limit]]`: how much destinations get at a time, counted on the wire while the clock stands.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use testbed::{Act, Connection, MxBehaviour, MxHost, Step};
use tokio::task::block_in_place;

use crate::cli::{asked, asked_json, settings, stderr, stdout};
use crate::metrics::counted;
use crate::process::{Process, run};
use crate::process_in_world::ProcessInWorld;
use crate::world::{PATIENCE, RelayInWorld, write_settings};

const SECOND: Duration = Duration::from_secs(1);

/// Three domains, of one provider.
const DOMAINS: [&str; 3] = ["one.test", "two.test", "three.test"];

/// What a host replies that is sent too much.
const TOO_MANY: &str = "421 4.7.28 too many messages, slow down";

/// A host of the provider, which takes the mail of all three.
async fn provider(relay: &RelayInWorld, behaviour: MxBehaviour) -> MxHost {
    let mx = relay.world.mx("mx.provider.test", behaviour).await;
    for domain in DOMAINS {
        relay.world.domain(domain).mx(10, &mx);
    }
    mx
}

/// Hands in messages for each of the three.
async fn submit_for_each(relay: &RelayInWorld, messages: usize) {
    for _ in 0..messages {
        for domain in DOMAINS {
            relay.submit(&[&format!("<bob@{domain}>")]).await;
        }
    }
}

/// Other mail comes and goes, by which everything that can go has gone.
async fn others_go(relay: &RelayInWorld, round: usize) {
    let domain = format!("other{round}.test");
    let _mx = relay.domain(&domain, MxBehaviour::valid()).await;
    for _ in 0..3 {
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        relay.gone(id).await;
    }
}

/// What `queue stats` says of limits.
fn limits(relay: &RelayInWorld) -> Vec<Value> {
    let stats = block_in_place(|| asked_json(relay.config(), &["queue", "stats"]));
    stats["limits"].as_array().cloned().unwrap_or_default()
}

fn transactions(connection: &Connection) -> usize {
    connection.envelope().iter().filter(|command| command.line == "DATA").count()
}

/// How many connections to a host there were at a time.
fn most_at_once(mx: &MxHost) -> usize {
    mx.connections().iter().map(|connection| connection.beside + 1).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_of_one_provider_share_the_rate_of_its_hosts() {
    let limit = "limit = [{ mx = \".provider.test\", rate = \"60/m\" }]";
    let relay = RelayInWorld::start_with(limit).await;
    let mx = provider(&relay, MxBehaviour::valid()).await;
    submit_for_each(&relay, 4).await;
    for sent in 1..=12 {
        let messages = mx.wait_for_messages(sent, PATIENCE).await.unwrap();
        assert_eq!(messages.len(), sent, "{}", relay.story());
        others_go(&relay, sent).await;
        assert_eq!(mx.messages().len(), sent, "the clock stands: {}", relay.story());
        relay.pass(SECOND).await;
    }
    relay.empty().await;
    let first: BTreeSet<_> =
        mx.messages().iter().take(3).map(|message| message.recipients[0].clone()).collect();
    assert_eq!(first.len(), 3, "they take turns: {first:?}");
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_of_one_provider_share_its_connections_and_an_idle_one_makes_room() {
    let limit = "limit = [{ mx = \".provider.test\", connections = 2, messages_per_connection = 3 }]\n\
                 delivery.connection_idle = \"60s\"";
    let relay = RelayInWorld::start_with(limit).await;
    let mx = provider(&relay, MxBehaviour::valid()).await;
    submit_for_each(&relay, 20).await;
    relay.empty().await;
    assert_eq!(mx.messages().len(), 60);
    assert!(most_at_once(&mx) <= 2, "{} at once", most_at_once(&mx));
    assert!(mx.connections().iter().all(|connection| transactions(connection) <= 3));
    let [limit] = &limits(&relay)[..] else { panic!("one limit") };
    assert_eq!(
        (&limit["limit"], &limit["most_connections"]),
        (&"mx .provider.test".into(), &2.into())
    );
    assert!(limit["connections"].as_u64().unwrap() <= 2, "{limit}");
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_do_not_answer_hold_no_more_connections_than_the_limit() {
    let limit = "limit = [{ recipient = \".test\", connections = 2 }]\ndelivery.concurrency = 4";
    let relay = RelayInWorld::start_with(limit).await;
    let silent = MxBehaviour::valid().at(Step::Greeting, Act::Silence);
    let mx = provider(&relay, silent).await;
    submit_for_each(&relay, 5).await;
    relay.world.tap().wait_until(PATIENCE, |all| all.len() == 2).await.unwrap();
    // Mail for a domain that no limit is for goes at once.
    let other = relay.domain("other.example", MxBehaviour::valid()).await;
    let id = relay.submit(&["<bob@other.example>"]).await;
    relay.gone(id).await;
    assert_eq!((mx.connections().len(), other.messages().len()), (2, 1));
    mx.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_other_domains_do_not_notice_one_that_is_paced() {
    let limit = "limit = [{ recipient = \"slow.test\", rate = \"1/h\" }]\ndelivery.concurrency = 2";
    let relay = RelayInWorld::start_with(limit).await;
    let slow = relay.domain("slow.test", MxBehaviour::valid()).await;
    let mx = relay.world.mx("mx.others.test", MxBehaviour::valid()).await;
    for _ in 0..20 {
        relay.submit(&["<bob@slow.test>"]).await;
    }
    slow.wait_for_messages(1, PATIENCE).await.unwrap();
    let mut recipients = Vec::new();
    for number in 0..1000 {
        relay.world.domain(&format!("d{number}.test")).mx(10, &mx);
        recipients.push(format!("<bob@d{number}.test>"));
    }
    for some in recipients.chunks(50) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        relay.submit(&some).await;
    }
    mx.wait_for_messages(1000, PATIENCE).await.unwrap();
    assert_eq!(slow.messages().len(), 1);
    let [limit] = &limits(&relay)[..] else { panic!("one limit") };
    assert_eq!(limit["waiting_destinations"], 1, "{limit}");
    assert_eq!(relay.queue().leased(), 0, "what waits for its turn has no seat");
    relay.pass(Duration::from_secs(3600)).await;
    slow.wait_for_messages(2, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_we_send_too_fast_gets_half_and_later_all_again() {
    let relay = RelayInWorld::start_with("admin.address = \"127.0.0.1:0\"").await;
    let mx = relay.domain("fast.test", MxBehaviour::valid()).await;
    // Ten in the minute before,
    for _ in 0..10 {
        let id = relay.submit(&["<bob@fast.test>"]).await;
        relay.gone(id).await;
    }
    mx.behave(MxBehaviour::valid().at(Step::MailFrom, Act::ReplyAndDrop(TOO_MANY.to_owned())));
    let refused = relay.submit(&["<bob@fast.test>"]).await;
    relay.deferred(refused, 1).await;
    mx.behave(MxBehaviour::valid());
    let [slowed] = &limits(&relay)[..] else { panic!("one that is slowed") };
    assert_eq!((&slowed["limit"], &slowed["slowed_by"]), (&"fast.test".into(), &TOO_MANY.into()));
    let printed = block_in_place(|| asked(relay.config(), &["queue", "stats"]));
    assert!(printed.contains("fast.test") && printed.contains(TOO_MANY), "{printed}");
    counted(&relay, "rate_halvings_total", 1.0).await;
    counted(&relay, "slowed_rates", 1.0).await;
    // five in a minute from then on: one each twelve seconds.
    mx.forget_messages();
    for _ in 0..4 {
        relay.submit(&["<bob@fast.test>"]).await;
    }
    for sent in 0..4 {
        relay.clock.advance(11 * SECOND);
        others_go(&relay, sent).await;
        assert_eq!(mx.messages().len(), sent, "{}", relay.story());
        relay.clock.advance(SECOND);
        mx.wait_for_messages(sent + 1, PATIENCE).await.unwrap();
    }
    relay.clock.advance(Duration::from_secs(600));
    for _ in 0..5 {
        relay.submit(&["<bob@fast.test>"]).await;
    }
    relay.empty().await;
    assert!(limits(&relay).is_empty(), "{:?}", limits(&relay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_refuses_above_a_rate_slows_the_limit_of_its_hosts_and_loses_nothing() {
    let limit = "limit = [{ mx = \"mx.provider.test\", rate = \"2/s\" }]";
    let relay = RelayInWorld::start_with(limit).await;
    let refuses =
        MxBehaviour::valid().first(1, Step::Greeting, Act::ReplyAndDrop(TOO_MANY.to_owned()));
    let mx = provider(&relay, refuses).await;
    submit_for_each(&relay, 2).await;
    relay
        .until("the refusal", || {
            limits(&relay).iter().any(|one| one["slowed_by"].is_string()).then_some(())
        })
        .await;
    for sent in 1..=6 {
        relay.pass(SECOND).await;
        mx.wait_for_messages(sent, PATIENCE).await.unwrap();
        others_go(&relay, sent).await;
        assert_eq!(mx.messages().len(), sent, "{}", relay.story());
    }
    relay.empty().await;
    let [limit] = &limits(&relay)[..] else { panic!("one limit") };
    assert_eq!(limit["interval_ms"], 1000.0, "{limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_greylists_or_shuts_down_slows_nothing() {
    let relay = RelayInWorld::start().await;
    for (number, reply) in
        ["450 4.7.1 Greylisted, try again in 300 seconds", "421 4.3.2 shutting down"]
            .into_iter()
            .enumerate()
    {
        let domain = format!("d{number}.test");
        let busy = MxBehaviour::valid().at(Step::MailFrom, Act::ReplyAndDrop(reply.to_owned()));
        let _mx = relay.domain(&domain, busy).await;
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        relay.deferred(id, 1).await;
        assert!(limits(&relay).is_empty(), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_neither_mail_nor_the_limit() {
    let limit = "limit = [{ mx = \".provider.test\", rate = \"60/m\" }]";
    let mut relay = RelayInWorld::start_with(limit).await;
    let mx = provider(&relay, MxBehaviour::valid()).await;
    submit_for_each(&relay, 2).await;
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    for sent in 2..=6 {
        relay.clock.advance(SECOND);
        relay.restart().await;
        mx.wait_for_messages(sent, PATIENCE).await.unwrap();
        others_go(&relay, sent).await;
        assert_eq!(mx.messages().len(), sent, "{}", relay.story());
    }
    relay.empty().await;
    assert_eq!(mx.messages().len(), 6);
}

#[tokio::test]
async fn a_relay_that_is_killed_while_mail_is_paced_has_all_of_it_and_a_reload_lets_it_go() {
    let limit =
        |rate: &str| format!("limit = [{{ recipient = \"slow.test\", rate = \"{rate}\" }}]");
    let mut running = ProcessInWorld::start(&limit("1/h")).await;
    let mx = running.domain("slow.test", MxBehaviour::valid()).await;
    for _ in 0..10 {
        running.submit(&["<bob@slow.test>"]).await;
    }
    mx.wait_for_messages(1, PATIENCE).await.unwrap();
    let ProcessInWorld { world, listener, config, relay, .. } = running;
    relay.kill();
    let mut relay = Process::start(&config, world.directory().join("second.log"));
    drop(relay.connected(listener).await);
    // It has forgotten when it sent the last one.
    mx.wait_for_messages(2, PATIENCE).await.unwrap();
    let interval = || asked_json(&config, &["queue", "stats"])["limits"][0]["interval_ms"].clone();
    assert_eq!(interval(), 3_600_000.0);
    write_settings(&world, listener, &limit("1000/s"));
    relay.hang_up();
    mx.wait_for_messages(10, PATIENCE).await.unwrap();
    assert_eq!(interval(), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_under_a_limit_leaves_from_the_address_that_it_names() {
    let limit = "limit = [{ mx = \".provider.test\", source_address4 = \"127.0.0.9\" }]";
    let relay = RelayInWorld::start_with(limit).await;
    let mx = provider(&relay, MxBehaviour::valid()).await;
    submit_for_each(&relay, 1).await;
    relay.empty().await;
    let ip = |connection: &Connection| connection.peer.ip().to_string();
    assert_eq!(
        mx.connections().iter().map(ip).collect::<BTreeSet<_>>(),
        ["127.0.0.9".to_owned()].into()
    );
    let other = relay.domain("other.test", MxBehaviour::valid()).await;
    let id = relay.submit(&["<bob@other.test>"]).await;
    relay.gone(id).await;
    assert_ne!(ip(&other.connections()[0]), "127.0.0.9");
}

#[test]
fn a_source_that_this_machine_does_not_have_is_warned_of_and_one_that_none_has_is_refused() {
    let checked = |address: &str| {
        let text = format!(
            "hostname = \"relay.test\"\n[delivery]\nsource_address4 = \"{address}\"\n\
             [[limit]]\nmx = \".provider.test\"\nsource_address4 = \"{address}\"\n"
        );
        let (_folder, config) = settings(&text);
        let output = run(&config, &["check-config"]);
        (output.status.success(), stdout(&output).to_owned() + stderr(&output))
    };
    let (is_right, said) = checked("192.0.2.7");
    for key in ["delivery", "limit.0"] {
        let warning = format!(
            "# warning: {key}.source_address4: 192.0.2.7 is not an address of this machine"
        );
        assert!(is_right && said.contains(&warning), "{said}");
    }
    let (is_right, said) = checked("224.0.0.1");
    for place in [":3:19: delivery", ":6:19: limit.0"] {
        let refused = format!("{place}.source_address4: 224.0.0.1 is the address of no host");
        assert!(!is_right && said.contains(&refused), "{said}");
    }
    let (is_right, said) = checked("127.0.0.9");
    assert!(is_right && !said.contains("is not an address"), "{said}");
}
