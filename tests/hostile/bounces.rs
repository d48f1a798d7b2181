//! Clients whose mail fails for many recipients at once: what comes back must not be many times what
//! was sent (RFC 3464 §2: one report tells of all recipients of a message).

use std::sync::Arc;

use mail_parser::{MessageParser, PartType};
use testbed::{Message, MxBehaviour, MxHost, Sender, Step, World};

use crate::process::Process;
use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit, write_settings};

/// The values of `Final-Recipient` in a report.
fn failed(report: &Message) -> Vec<String> {
    let parsed = MessageParser::default().parse(&report.data).unwrap();
    let PartType::Multipart(parts) = &parsed.parts[0].body else { panic!("{}", report.text()) };
    let status = parsed.parts[usize::try_from(parts[1]).unwrap()].contents();
    let status = String::from_utf8(status.to_vec()).unwrap();
    let prefix = "Final-Recipient: rfc822; ";
    let mut found: Vec<_> =
        status.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect();
    found.sort_unstable();
    found
}

/// The only report that has come.
async fn report(sender: &MxHost) -> Arc<Message> {
    let messages = sender.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(messages.len(), 1, "{} reports", messages.len());
    Arc::clone(&messages[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_thousand_impossible_recipients_comes_back_once() {
    let relay = RelayInWorld::start_with("[limits]\nrecipients = 1000").await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let recipients: Vec<String> = (0..1000).map(|n| format!("<bob@d{n}.nowhere.test>")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    let id = submit(&mut client, &format!("{SENDER} RET=FULL"), &recipients, MESSAGE).await;
    relay.gone(id).await;
    let report = report(&sender).await;
    assert_eq!(failed(&report).len(), 1000);
    assert_eq!(report.text().matches("Content-Type: message/rfc822").count(), 1);
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_refuses_nine_hundred_recipients_is_one_report() {
    let relay = RelayInWorld::start_with("[limits]\nrecipients = 1000").await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    relay.enforcing_domain("example.test", refuses).await;
    let recipients: Vec<String> = (0..900).map(|n| format!("<n{n}@example.test>")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let id = relay.submit(&recipients).await;
    relay.gone(id).await;
    assert_eq!(failed(&*report(&sender).await).len(), 900);
    relay.empty().await;
    assert_eq!(sender.messages().len(), 1);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_message_gets_it_once_while_the_failures_of_others_are_gathered() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mut hosts = Vec::new();
    for n in 0..3 {
        let domain = format!("example{n}.test");
        let refused = format!("bad@{domain}");
        let behaviour = MxBehaviour::valid().for_recipient(&refused, "550 5.1.1 no such user");
        hosts.push(relay.enforcing_domain(&domain, behaviour).await);
    }
    // One who is put off, so that the message does not leave the queue with the others.
    let later = MxBehaviour::valid().at(Step::RcptTo, "451 4.3.0 later");
    relay.enforcing_domain("later.test", later).await;
    let recipients: Vec<String> = (0..3)
        .flat_map(|n| [format!("<bad@example{n}.test>"), format!("<good@example{n}.test>")])
        .chain(["<bob@later.test>".to_owned()])
        .collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let id = relay.submit(&recipients).await;
    let told = failed(&*report(&sender).await);
    assert_eq!(told, ["bad@example0.test", "bad@example1.test", "bad@example2.test"]);
    let left = relay.show(id).unwrap();
    let left: Vec<_> = left.entries.iter().flat_map(|entry| &entry.recipients).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for host in &hosts {
        assert_eq!(host.messages().len(), 1);
        assert_eq!(host.messages()[0].recipients.len(), 1);
    }
    assert_eq!(sender.messages().len(), 1);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_stopped_while_failures_are_gathered_reports_them_first() {
    let mut relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    let refusing = relay.enforcing_domain("refusing.test", refuses).await;
    let silent = MxBehaviour::valid().at(Step::RcptTo, "451 4.3.0 later");
    relay.enforcing_domain("later.test", silent).await;
    relay.submit(&["<bob@refusing.test>", "<eve@later.test>"]).await;
    let called = || (!refusing.connections().is_empty()).then_some(());
    relay.until("the host that refuses to be called", called).await;
    relay.stop().await;
    relay.restart().await;
    assert_eq!(failed(&*report(&sender).await), ["bob@refusing.test"]);
    assert_eq!(sender.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_while_failures_are_gathered_reports_each_once() {
    let world = World::new().await;
    let listener = std::net::SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "delivery.retry.first = \"1s\"\n");
    let sender = world.mx("mx.sender.test", MxBehaviour::valid()).await;
    world.names().add_mx("sender.test", 10, "mx.sender.test");
    let refuses = MxBehaviour::valid().at(Step::RcptTo, "550 5.1.1 nobody here");
    let refusing = world.mx("mx.refusing.test", refuses).await;
    world.names().add_mx("refusing.test", 10, "mx.refusing.test");
    let puts_off = MxBehaviour::valid().at(Step::RcptTo, "451 4.3.0 later");
    let later = world.mx("mx.later.test", puts_off).await;
    world.names().add_mx("later.test", 10, "mx.later.test");
    let mut relay = Process::start(&config, world.directory().join("log"));
    let mut client = relay.connected(listener).await;
    client.ehlo("client.test").await.unwrap();
    submit(&mut client, SENDER, &["<bob@refusing.test>", "<eve@later.test>"], MESSAGE).await;
    // Refused, and the report still to come.
    let called = async {
        while refusing.connections().is_empty() || later.connections().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, called).await.unwrap();
    relay.kill();
    assert_eq!(sender.messages(), []);
    let mut relay = Process::start(&config, world.directory().join("log"));
    drop(relay.connected(listener).await);
    assert_eq!(failed(&*report(&sender).await), ["bob@refusing.test"]);
    assert!(relay.terminate().await.success());
    assert_eq!(sender.messages().len(), 1);
}
