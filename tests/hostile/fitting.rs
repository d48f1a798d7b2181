//! Hosts that cannot take a message, beside hosts that can.

use std::time::Duration;

use queue::QueueId;
use testbed::{MxBehaviour, MxHost, Sender, Step};

use crate::world::{PATIENCE, RelayInWorld};

/// Lines, and nothing but ASCII.
const PLAIN: &[u8] = b"Subject: x\r\n\r\nHow are you?\r\n";
/// Lines, and octets beyond ASCII.
const EIGHT_BIT: &[u8] = b"Subject: x\r\n\r\nGr\xfc\xdfe\r\n";
/// Octets that no DATA could carry.
const BINARY: &[u8] = b"Subject: x\r\n\r\n\x00.\n.\r\n.\r\n\n\r\xff";

/// A relay that takes binary messages, and hears nothing of delays.
async fn relay_with(settings: &str) -> RelayInWorld {
    let silent = "delivery.delay_notice = \"0s\"";
    RelayInWorld::start_offering("binarymime = \"on\"", &format!("{silent}\n{settings}")).await
}

/// Hands in a message with these parameters of MAIL, in one chunk.
async fn submit_as(relay: &RelayInWorld, parameters: &str, message: &[u8]) -> QueueId {
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    client.ehlo("client.test").await.unwrap();
    client.mail(&format!("<ann@sender.test> {parameters}")).await.unwrap();
    client.rcpt("<bob@example.test>").await.unwrap();
    let chunk = [format!("BDAT {} LAST\r\n", message.len()).as_bytes(), message].concat();
    client.write(&chunk).await.unwrap();
    let reply = client.read_reply().await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    reply.text().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Hosts of `example.test`, each of a preference of its own.
async fn hosts(relay: &RelayInWorld, behaviours: Vec<MxBehaviour>) -> Vec<MxHost> {
    let mut hosts = Vec::new();
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        let mx = relay.world.mx(&format!("mx{number}.example.test"), behaviour).await;
        relay.world.domain("example.test").mx(u16::try_from(number).unwrap(), &mx);
        hosts.push(mx);
    }
    hosts
}

/// A message, how it is announced, and what hosts look like that cannot take it.
fn lacking() -> [(&'static str, &'static [u8], MxBehaviour); 6] {
    let good = MxBehaviour::valid;
    let too_large = good().at(Step::MailFrom, "552 5.3.4 message too large");
    [
        ("BODY=8BITMIME", EIGHT_BIT, good().without_extension("8BITMIME")),
        ("BODY=BINARYMIME", EIGHT_BIT, good().without_extension("8BITMIME")),
        ("BODY=BINARYMIME", BINARY, good()),
        ("SMTPUTF8", "Subject: Gr\u{fc}\u{df}e\r\n\r\nx\r\n".as_bytes(), {
            good().without_extension("SMTPUTF8")
        }),
        ("", PLAIN, good().with_extension("SIZE 20")),
        ("", PLAIN, too_large),
    ]
}

/// A host that takes whatever there is.
fn able() -> MxBehaviour {
    MxBehaviour::valid().with_extension("CHUNKING").with_extension("BINARYMIME")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_taken_as_binary_goes_as_what_it_holds_to_a_host_that_takes_no_binary() {
    let relay = relay_with("").await;
    let mx = relay.domain("example.test", MxBehaviour::valid()).await;
    for (message, body) in [(PLAIN, None), (EIGHT_BIT, Some("BODY=8BITMIME"))] {
        let id = submit_as(&relay, "BODY=BINARYMIME", message).await;
        relay.gone(id).await;
        let taken = mx.forget_messages();
        assert!(taken[0].data.ends_with(message), "{}", taken[0].text());
        let told = taken[0].mail_parameters.iter().find(|one| one.starts_with("BODY="));
        assert_eq!(told.map(String::as_str).filter(|body| *body != "BODY=7BIT"), body);
    }
    // What has no last line's end gets one, as every message that goes by DATA.
    let id = submit_as(&relay, "BODY=BINARYMIME", b"Subject: x\r\n\r\n.open").await;
    relay.gone(id).await;
    assert!(mx.messages()[0].data.ends_with(b"\r\n\r\n.open\r\n"));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_some_hosts_cannot_take_goes_to_the_one_that_can() {
    for (parameters, message, unable) in lacking() {
        let relay = relay_with("").await;
        let mut behaviours = vec![unable; 6];
        behaviours.push(able());
        let hosts = hosts(&relay, behaviours).await;
        let id = submit_as(&relay, parameters, message).await;
        relay.gone(id).await;
        let taken = hosts[6].wait_for_messages(1, PATIENCE).await.unwrap();
        assert!(taken[0].data.ends_with(message), "{parameters}: {}", taken[0].text());
        for host in &hosts[..6] {
            assert_eq!(host.messages(), [], "{parameters}");
        }
        relay.is_well_behaved();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_host_can_take_is_returned_at_once() {
    for (parameters, message, unable) in lacking() {
        let relay = relay_with("").await;
        let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
        let hosts = hosts(&relay, vec![unable; 3]).await;
        // Addresses that are of no use at a host that was asked leave nothing to wait for.
        relay.world.names().add_address(hosts[0].name(), "::1".parse().unwrap());
        let id = submit_as(&relay, parameters, message).await;
        sender.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
        for host in &hosts {
            assert!(!host.connections().is_empty(), "{parameters}: {} was not asked", host.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_some_hours_for_a_host_that_may_take_it() {
    for comes_back in [true, false] {
        let relay = relay_with("").await;
        let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
        let unable = MxBehaviour::valid().without_extension("8BITMIME");
        let hosts = hosts(&relay, vec![unable, able()]).await;
        hosts[1].close().await;
        let id = submit_as(&relay, "BODY=8BITMIME", EIGHT_BIT).await;
        let reason = &relay.deferred(id, 1).await[0];
        assert_eq!(reason.enhanced.to_string(), "4.6.3", "{reason:?}");
        for words in ["mx0.example.test", "8BITMIME", "mx1.example.test"] {
            assert!(reason.text.contains(words), "{words} is not in {reason:?}");
        }
        if comes_back {
            hosts[1].open().await.unwrap();
            relay.retry().await;
            hosts[1].wait_for_messages(1, PATIENCE).await.unwrap();
            assert_eq!(sender.messages(), []);
        } else {
            relay.pass(Duration::from_secs(4 * 3600)).await;
            let told = sender.wait_for_messages(1, PATIENCE).await.unwrap();
            assert!(told[0].text().contains("Status: 5.6.3"), "{}", told[0].text());
        }
        relay.gone(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_puts_mail_off_is_waited_for_beside_one_that_cannot_take_it() {
    let relay = relay_with("").await;
    let busy = able().first(1, Step::RcptTo, "450 4.2.1 busy");
    let unable = MxBehaviour::valid().without_extension("8BITMIME");
    let hosts = hosts(&relay, vec![busy, unable]).await;
    let id = submit_as(&relay, "BODY=8BITMIME", EIGHT_BIT).await;
    let reason = &relay.deferred(id, 1).await[0];
    assert_eq!(reason.enhanced.to_string(), "4.2.1", "{reason:?}");
    relay.retry().await;
    hosts[0].wait_for_messages(1, PATIENCE).await.unwrap();
    relay.gone(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_hop_that_cannot_take_a_message_leaves_it_to_the_next_one() {
    let route =
        "[[route]]\nrecipient = \"example.test\"\nnext_hop = [\"[one.test]\", \"[two.test]\"]\n";
    for (parameters, message, unable) in lacking() {
        let each_anew = "delivery.messages_per_connection = 1";
        let relay = relay_with(&format!("{each_anew}\n{route}")).await;
        let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
        let one = relay.world.mx("one.test", unable.clone()).await;
        let two = relay.world.mx("two.test", able()).await;
        let id = submit_as(&relay, parameters, message).await;
        two.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
        assert_eq!((one.messages().len(), sender.messages().len()), (0, 0), "{parameters}");

        two.behave(unable);
        let id = submit_as(&relay, parameters, message).await;
        let told = sender.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(id).await;
        let text = told[0].text().split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["next hop one.test", "next hop two.test"] {
            assert!(text.contains(words), "{parameters}: {words} is not in {text}");
        }
    }
}
