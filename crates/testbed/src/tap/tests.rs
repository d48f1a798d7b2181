use super::*;
use crate::mx::MxBehaviour;
use crate::sender::Sender;
use crate::world::World;

const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn tls_records_are_not_clear_text_and_everything_else_is() {
    for (bytes, clear) in [
        (&b""[..], &b""[..]),
        (b"MAIL FROM:<>\r\n", b"MAIL FROM:<>\r\n"),
        (b"\x16\x03\x01\x00\x02ab", b""),
        (b"\x16\x03\x01\x00\x02ab\x14\x03\x03\x00\x01\x01", b""),
        (b"\x16\x03\x01\x00\x02abMAIL FROM:<>\r\n", b"MAIL FROM:<>\r\n"),
        (b"\x16\x03\x01\x00\x09cut", b""),
        (b"\x16\x03\x01", b""),
        (b"\x16\x04\x01\x00\x02ab", b"\x16\x04\x01\x00\x02ab"),
    ] {
        assert_eq!(without_tls_records(bytes), clear, "{bytes:?}");
    }
}

#[tokio::test]
async fn nothing_said_in_tls_is_seen_in_clear() {
    let world = World::new().await;
    let mx = world.mx("mx.test", MxBehaviour::valid()).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    let mut sender = sender.starttls(world.authority().roots(), "mx.test").await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    assert!(sender.send("<a@a.test>", &["<b@b.test>"], b"x\r\n").await.unwrap().is_positive());

    let clear: Vec<String> =
        world.tap().clear_text_commands().into_iter().map(|command| command.line).collect();
    assert_eq!(clear, ["EHLO client.test", "STARTTLS"]);
    assert!(world.tap().envelope_in_clear().is_empty());
    let envelope = world.tap().envelope();
    assert_eq!(envelope.len(), 3);
    assert!(envelope.iter().all(|command| command.channel == Channel::Tls));
    assert!(envelope.iter().all(|command| command.host == "mx.test"));
}

#[tokio::test]
async fn what_is_said_in_clear_is_seen_even_where_no_server_reads_it() {
    let world = World::new().await;
    let mx = world.mx("mx.test", MxBehaviour::handshake_garbage()).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    assert_eq!(sender.command("STARTTLS").await.unwrap().code, 220);
    sender.write(b"mail from:<a@a.test>\r\n").await.unwrap();
    sender.finish().await.unwrap();
    world.tap().wait_for_ended("mx.test", 1, SOON).await.unwrap();

    let connection = &world.tap().connections_to("mx.test")[0];
    assert_eq!(connection.clear_text_after_starttls(), b"mail from:<a@a.test>\r\n");
    assert_eq!(connection.envelope_in_clear(), ["mail from:<a@a.test>"]);
    assert!(connection.envelope().is_empty(), "the server took it for a handshake");
    assert_eq!(world.tap().envelope_in_clear().len(), 1);
}

#[tokio::test]
async fn commands_pipelined_over_starttls_are_clear_text_and_a_violation() {
    let world = World::new().await;
    let mx = world.mx("mx.test", MxBehaviour::valid()).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    sender.write(b"STARTTLS\r\nMAIL FROM:<a@a.test>\r\n").await.unwrap();
    assert_eq!(sender.read_reply().await.unwrap().code, 220);
    let mut sender = sender.encrypt(world.authority().roots(), "mx.test").await.unwrap();
    assert!(sender.ehlo("client.test").await.unwrap().is_positive());

    assert_eq!(world.tap().envelope_in_clear().len(), 1);
    let expected = ["mx.test: something was sent before the reply to STARTTLS"];
    assert_eq!(world.tap().violations(), expected);
    let command = sender.rcpt("<b@b.test>").await.unwrap();
    assert_eq!(command.code, 503, "what was injected is forgotten");
}

#[tokio::test]
async fn connections_can_be_waited_for_and_a_wait_in_vain_tells_the_story() {
    let world = World::new().await;
    let mx = world.mx("mx.test", MxBehaviour::valid()).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    sender.command("QUIT").await.unwrap();
    drop(sender);
    world.tap().wait_for_ended("mx.test", 1, SOON).await.unwrap();
    let story = world.tap().wait_for_ended("mx.test", 2, SHORT).await.unwrap_err();
    assert_eq!(story, "0 mx.test (no TLS, Ended): QUIT |\n");
    let story = mx.wait_for_messages(1, SHORT).await.unwrap_err().to_string();
    assert_eq!(story, "0 of 1 messages came; on the wire:\n0 mx.test (no TLS, Ended): QUIT |\n");
    world.tap().forget();
    assert!(world.tap().connections().is_empty());
}

#[tokio::test]
async fn what_has_ended_is_given_once_and_what_is_open_stays() {
    let world = World::new().await;
    let mx = world.mx("mx.test", MxBehaviour::valid()).await;
    let mut ended = Sender::connect(mx.address()).await.unwrap();
    let mut open = Sender::connect(mx.address()).await.unwrap();
    ended.command("QUIT").await.unwrap();
    drop(ended);
    world.tap().wait_for_ended("mx.test", 1, SOON).await.unwrap();
    let given = world.tap().forget_ended();
    assert_eq!((given.len(), given[0].commands.len()), (1, 1), "{given:?}");
    assert!(world.tap().forget_ended().is_empty());

    open.write(b"NOOP\r\nNOOP\r\n").await.unwrap();
    assert_eq!(open.read_reply().await.unwrap().code, 250);
    open.finish().await.unwrap();
    world.tap().wait_for_ended("mx.test", 1, SOON).await.unwrap();
    let given = world.tap().forget_ended();
    assert_eq!(given[0].violations.len(), 1, "what it did while it was open: {given:?}");
    assert!(world.tap().connections().is_empty());
}
