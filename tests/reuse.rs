//! Connections that carry more than one message: when they do, and when they must not.

use std::time::Duration;

use testbed::{Act, Connection, Handshake, MxBehaviour, MxHost, PolicyText, Sender, Step};
use tokio::task::JoinSet;

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// So long that no connection is closed for being idle while a test looks the other way.
const KEPT: &str = "delivery.connection_idle = \"60s\"";

/// Delivers one message to `recipient`, all the way to an empty queue.
async fn deliver(relay: &RelayInWorld, recipient: &str) {
    let id = relay.submit(&[recipient]).await;
    relay.gone(id).await;
}

/// How many messages were taken from `connection`, told by its DATA commands.
fn transactions(connection: &Connection) -> usize {
    connection.envelope().iter().filter(|command| command.line == "DATA").count()
}

/// Whether every connection to a host was verified before its first MAIL.
fn all_verified(mx: &MxHost) -> bool {
    mx.connections().iter().all(|connection| {
        matches!(connection.handshake, Handshake::Completed(_))
            && connection.envelope_in_clear().is_empty()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_messages_that_waited_for_a_host_take_few_connections() {
    let mut relay =
        RelayInWorld::start_with(&format!("{KEPT}\ndelivery.messages_per_connection = 1000")).await;
    // The first ones wait for a greeting, and the others for them.
    let silent = MxBehaviour::valid().at(Step::Greeting, Act::Silence);
    let mx = relay.enforcing_domain("example.test", silent).await;
    let mut clients = JoinSet::new();
    for _ in 0..30 {
        let listener = relay.listener();
        clients.spawn(async move {
            let mut client = Sender::connect(listener).await.unwrap();
            client.ehlo("client.test").await.unwrap();
            for _ in 0..100 {
                submit(&mut client, SENDER, &["<bob@example.test>"], MESSAGE).await;
            }
        });
    }
    clients.join_all().await;
    tokio::join!(relay.stop(), mx.close());
    relay.world.tap().forget();
    mx.behave(MxBehaviour::valid());
    mx.open().await.unwrap();
    relay.restart().await;
    relay.retry().await;
    relay.empty().await;
    assert_eq!(mx.messages().len(), 3000);
    let connections = mx.connections();
    // As many as may be open at a time; and those that had carried a thousand were replaced.
    assert!(connections.len() <= 12, "{} connections", connections.len());
    assert!(connections.iter().all(|connection| transactions(connection) <= 1000));
    assert!(all_verified(&mx));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_follow_each_other_share_a_connection_up_to_its_limit() {
    let settings = format!("{KEPT}\ndelivery.messages_per_connection = 3");
    let relay = RelayInWorld::start_with(&settings).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    for _ in 0..7 {
        deliver(&relay, "<bob@example.test>").await;
    }
    let each: Vec<usize> = mx.connections().iter().map(transactions).collect();
    assert_eq!(each, [3, 3, 1], "{}", relay.story());
    let said = mx.connections()[0]
        .commands
        .iter()
        .map(|c| c.line.chars().take(4).collect::<String>())
        .collect::<Vec<_>>();
    let message = ["MAIL", "RCPT", "DATA"];
    let expected =
        [&["EHLO", "STAR", "EHLO"], &message[..], &["RSET"], &message, &["RSET"], &message]
            .concat();
    assert_eq!(said[..expected.len()], expected);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_used_twice_where_that_is_not_wanted() {
    for settings in ["delivery.messages_per_connection = 1", "delivery.connection_idle = \"0s\""] {
        let relay = RelayInWorld::start_with(settings).await;
        let mx = relay.domain("example.test", MxBehaviour::valid()).await;
        for _ in 0..3 {
            deliver(&relay, "<bob@example.test>").await;
        }
        assert_eq!(mx.connections().len(), 3, "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_with_quit_after_a_short_time() {
    let relay = RelayInWorld::start_with("delivery.connection_idle = \"200ms\"").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    deliver(&relay, "<bob@example.test>").await;
    relay.world.tap().wait_for_ended(mx.name(), 1, PATIENCE).await.unwrap();
    assert_eq!(mx.connections()[0].commands.last().unwrap().line, "QUIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_says_quit_on_its_idle_connections() {
    let mut relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    deliver(&relay, "<bob@example.test>").await;
    relay.stop().await;
    relay.world.tap().wait_for_ended(mx.name(), 1, PATIENCE).await.unwrap();
    assert_eq!(mx.connections()[0].commands.last().unwrap().line, "QUIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_leaves_the_queue_though_quit_is_never_answered() {
    let settings = "delivery.connection_idle = \"0s\"\ndelivery.timeouts.quit = \"10m\"";
    let mut relay = RelayInWorld::start_with(settings).await;
    let silent = MxBehaviour::valid().at(Step::Quit, Act::Silence);
    let mx = relay.domain("example.test", silent).await;
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.messages().len(), 1);
    mx.close().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_the_policy_takes_a_new_connection_that_is_verified_again() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    deliver(&relay, "<bob@example.test>").await;
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.connections().len(), 1);
    // The same words under another id.
    relay.world.domain("example.test").sts("2");
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.connections().len(), 2, "{}", relay.story());
    assert!(all_verified(&mx));
    // A host that cannot prove its name any more gets nothing under a third.
    mx.behave(MxBehaviour::starttls_not_offered());
    relay.world.domain("example.test").sts("3");
    let held = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(held, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.7.10");
    assert_eq!(mx.messages().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_begins_to_enforce_does_not_use_the_open_connection() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.domain("example.test", MxBehaviour::starttls_not_offered()).await;
    deliver(&relay, "<bob@example.test>").await;
    let enforce = PolicyText::enforce([mx.name()]);
    relay.world.domain("example.test").sts("1").policy(enforce).await;
    let held = relay.submit(&["<bob@example.test>"]).await;
    assert_eq!(relay.deferred(held, 1).await[0].enhanced.to_string(), "4.7.10");
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_share_a_host_share_no_session() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.world.mx("mx.shared.test", MxBehaviour::valid()).await;
    for domain in ["one.test", "two.test", "open.test"] {
        relay.world.domain(domain).mx(10, &mx);
    }
    let enforce = || PolicyText::enforce(["mx.shared.test"]);
    relay.world.domain("one.test").sts("1").policy(enforce()).await;
    relay.world.domain("two.test").sts("1").policy(enforce()).await;
    for _ in 0..2 {
        for recipient in ["<bob@open.test>", "<bob@one.test>", "<bob@two.test>"] {
            deliver(&relay, recipient).await;
        }
    }
    let connections = mx.connections();
    assert_eq!(connections.len(), 3, "{}", relay.story());
    for connection in &connections {
        let to: Vec<&str> = connection
            .envelope()
            .iter()
            .filter_map(|command| command.line.strip_prefix("RCPT TO:"))
            .collect();
        assert!(to.len() == 2 && to[0] == to[1], "{to:?}");
    }
    assert!(all_verified(&mx));
}

/// Delivers a message, lets `happen` be what the host does at the next step, and submits another
/// one, which has to arrive in one attempt.
async fn survives(behaviour: MxBehaviour, happen: MxBehaviour, connections: usize) {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.enforcing_domain("example.test", behaviour).await;
    deliver(&relay, "<bob@example.test>").await;
    mx.behave(happen.clone());
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.messages().len(), 2, "{happen:?}");
    assert_eq!(mx.connections().len(), connections, "{happen:?}\n{}", relay.story());
    assert!(all_verified(&mx));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_the_host_has_closed_is_replaced() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    deliver(&relay, "<bob@example.test>").await;
    mx.close().await;
    mx.open().await.unwrap();
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.messages().len(), 2);
    assert_eq!(mx.connections().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farewell_between_two_messages_is_no_failed_attempt() {
    let farewell = Act::Raw(b"250 2.0.0 taken\r\n421 4.4.2 that is all\r\n".to_vec());
    survives(MxBehaviour::valid().at(Step::Taken, farewell), MxBehaviour::valid(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_connection_that_is_dead_before_the_message_is_replaced_in_the_same_attempt() {
    for step in [Step::Rset, Step::MailFrom, Step::RcptTo, Step::Data] {
        for act in [Act::Drop, Act::ReplyAndDrop("421 4.3.2 closing".to_owned())] {
            let happen = MxBehaviour::valid().first(1, step, act);
            survives(MxBehaviour::valid(), happen, 2).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_may_have_been_taken_over_a_reused_connection_is_not_sent_again_at_once() {
    for (step, copies) in [(Step::EndOfData, 1), (Step::Taken, 2)] {
        let relay = RelayInWorld::start_with(KEPT).await;
        let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
        deliver(&relay, "<bob@example.test>").await;
        mx.behave(MxBehaviour::valid().first(1, step, Act::Drop));
        let id = relay.submit(&["<bob@example.test>"]).await;
        let reasons = relay.deferred(id, 1).await;
        assert!(reasons[0].text.contains("may have been delivered"), "{reasons:?}");
        assert_eq!(mx.connections().len(), 1, "{step:?}: tried again at once");
        relay.pass(Duration::from_secs(10 * 60)).await;
        relay.gone(id).await;
        assert_eq!(mx.messages().len(), 1 + copies, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_refused_over_a_reused_connection_waits_and_the_connection_goes_on() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    deliver(&relay, "<bob@example.test>").await;
    mx.behave(MxBehaviour::valid().for_recipient("eve@example.test", "451 4.7.1 later"));
    let id = relay.submit(&["<eve@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons[0].reply.as_deref(), Some("451 4.7.1 later"));
    deliver(&relay, "<bob@example.test>").await;
    assert_eq!(mx.messages().len(), 2);
    assert_eq!(mx.connections().len(), 1, "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_only_stood_in_for_a_better_one_is_not_preferred_to_it_later() {
    let relay = RelayInWorld::start_with(KEPT).await;
    let later = MxBehaviour::valid().first(1, Step::RcptTo, "451 4.7.1 later");
    let best = relay.world.mx("one.example.test", later).await;
    let other = relay.world.mx("two.example.test", MxBehaviour::valid()).await;
    relay.world.domain("example.test").mx(10, &best).mx(20, &other);
    for _ in 0..3 {
        deliver(&relay, "<bob@example.test>").await;
    }
    assert_eq!((best.messages().len(), other.messages().len()), (2, 1));
    assert_eq!((best.connections().len(), other.connections().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_is_asked_once_for_all_domains_that_share_it() {
    let relay = RelayInWorld::start().await;
    let mx = relay.world.mx("mx.shared.test", MxBehaviour::valid()).await;
    mx.close().await;
    let mut held = Vec::new();
    for (place, domain) in ["one.test", "two.test", "three.test"].into_iter().enumerate() {
        relay.world.domain(domain).mx(10, &mx);
        let id = relay.submit(&[&format!("<bob@{domain}>")]).await;
        let reason = &relay.deferred(id, 1).await[0];
        assert_eq!(reason.enhanced.to_string(), "4.4.1");
        assert_eq!(
            reason.text.contains("skipped: connection failed "),
            place > 0,
            "{}",
            reason.text
        );
        held.push(id);
    }
    mx.open().await.unwrap();
    relay.pass(Duration::from_secs(10 * 60)).await;
    for id in held {
        relay.gone(id).await;
    }
    assert_eq!(mx.messages().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_wants_mail_tried_does_not_wait_for_a_dead_host_to_be_forgotten() {
    let relay = RelayInWorld::start().await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    mx.close().await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;
    mx.open().await.unwrap();
    relay.retry().await;
    relay.gone(id).await;
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_silent_does_not_delay_the_others() {
    let relay = RelayInWorld::start_with("delivery.concurrency = 2").await;
    let silent = MxBehaviour::valid().at(Step::Greeting, Act::Silence);
    let silent = relay.domain("silent.test", silent).await;
    let mx = relay.world.mx("mx.shared.test", MxBehaviour::valid()).await;
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    for _ in 0..5 {
        submit(&mut client, SENDER, &["<bob@silent.test>"], MESSAGE).await;
    }
    for n in 0..90 {
        let domain = format!("d{n}.test");
        relay.world.domain(&domain).mx(10, &mx);
        submit(&mut client, SENDER, &[&format!("<bob@{domain}>")], MESSAGE).await;
    }
    mx.wait_for_messages(90, PATIENCE).await.unwrap();
    let waiting = silent.connections().len();
    assert!((1..=2).contains(&waiting), "{waiting} connections wait for a silent host");
    silent.close().await;
}
