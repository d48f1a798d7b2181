mod faults;
mod starttls;

use super::*;
use crate::sender::{Reply, Sender};
use crate::world::World;

const SOON: Duration = Duration::from_secs(10);
const NAME: &str = "mx1.example.test";
const TEXT: &[u8] = b"Subject: hello\r\n\r\nhello\r\n";

async fn greeted(mx: &MxHost) -> Sender {
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    assert!(sender.ehlo("client.test").await.unwrap().is_positive());
    sender
}

async fn send(sender: &mut Sender, message: &[u8]) -> Reply {
    sender.send("<a@client.test>", &["<b@example.test>"], message).await.unwrap()
}

#[tokio::test]
async fn a_message_is_kept_with_its_envelope_and_the_way_it_came() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let client = world.address();
    let mut sender = Sender::connect_from(client, mx.address()).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    let mut sender = sender.starttls(world.authority().roots(), NAME).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    let paths = ["<b@example.test>", "<\"c>d\"@example.test>"];
    let reply = sender.send("<> SIZE=27 BODY=8BITMIME", &paths, TEXT).await.unwrap();
    assert_eq!(reply.to_string(), "250 2.0.0 message taken");

    let message = &mx.wait_for_messages(1, SOON).await.unwrap()[0];
    assert_eq!((message.host.as_str(), message.address), (NAME, mx.address()));
    assert_eq!(message.peer.ip(), client);
    assert_eq!(message.client_name, "client.test");
    assert_eq!(message.reverse_path, "");
    assert_eq!(message.mail_parameters, ["SIZE=27", "BODY=8BITMIME"]);
    assert_eq!(message.recipients, ["b@example.test", "\"c>d\"@example.test"]);
    assert_eq!(message.data, TEXT);
    assert_eq!(message.header("subject").as_deref(), Some("hello"));
    assert_eq!(message.tls.as_ref().unwrap().sni.as_deref(), Some(NAME));
    assert_eq!(world.messages().len(), 1);
    assert!(world.tap().violations().is_empty());
}

#[tokio::test]
async fn dots_added_for_the_transfer_are_taken_off_and_no_others() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    let texts: [&[u8]; 5] =
        [b"", b".\r\n", b"..\r\n.x\r\n", b"a\r\n.\r\nb\r\n", b"\r\n\r\n...\r\n"];
    for text in texts {
        assert!(send(&mut sender, text).await.is_positive());
    }
    let kept: Vec<Vec<u8>> = mx.messages().iter().map(|message| message.data.clone()).collect();
    assert_eq!(kept, texts);
}

#[tokio::test]
async fn only_a_dot_between_two_line_ends_ends_a_message() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    sender.mail("<a@client.test>").await.unwrap();
    sender.rcpt("<b@example.test>").await.unwrap();
    assert_eq!(sender.command("DATA").await.unwrap().code, 354);
    sender.write(b"x\n.\r\ny\r.\r\nz\r\n.\n\r\n.\r\n").await.unwrap();
    assert!(sender.read_reply().await.unwrap().is_positive());
    assert_eq!(mx.messages()[0].data, b"x\n.\r\ny\r.\r\nz\r\n\n\r\n");
    assert_eq!(world.tap().violations().len(), 3, "bare CR and LF are violations");
}

#[tokio::test]
async fn a_long_message_arrives_whole() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    let line = [b"x".repeat(76), b"\r\n".to_vec()].concat();
    let text = line.repeat(20_000);
    assert!(send(&mut sender, &text).await.is_positive());
    assert!(mx.messages()[0].data == text);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    let group = b"MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nRCPT TO:bad\r\nDATA\r\n";
    sender.write(group).await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(sender.read_reply().await.unwrap().code);
    }
    assert_eq!(codes, [250, 250, 501, 354]);
    assert!(world.tap().violations().is_empty());
}

#[tokio::test]
async fn pipelining_where_it_is_not_offered_is_a_violation() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid().without_extension("PIPELINING")).await;
    let mut sender = greeted(&mx).await;
    sender.write(b"MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\n").await.unwrap();
    assert!(sender.read_reply().await.unwrap().is_positive());
    assert_eq!(world.tap().violations().len(), 1);
}

#[tokio::test]
async fn extensions_can_be_taken_away_and_added() {
    let world = World::new().await;
    let poor = MxBehaviour::valid()
        .without_extension("8BITMIME")
        .without_extension("SMTPUTF8")
        .with_extension("SIZE 100")
        .with_extension("LIMITS RCPTMAX=2");
    let mx = world.mx(NAME, poor).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    let offer = sender.ehlo("client.test").await.unwrap();
    for (extension, offered) in [
        ("STARTTLS", true),
        ("LIMITS", true),
        ("PIPELINING", true),
        ("8BITMIME", false),
        ("SMTPUTF8", false),
    ] {
        assert_eq!(offer.offers(extension), offered, "{extension}");
    }
    for (parameters, code) in [("BODY=8BITMIME", 555), ("SMTPUTF8", 555), ("SIZE=101", 552)] {
        let reply = sender.mail(&format!("<a@a.test> {parameters}")).await.unwrap();
        assert_eq!(reply.code, code, "{parameters}");
    }
    assert_eq!(send(&mut sender, &b"123456789\r\n".repeat(10)).await.code, 552);
    assert!(send(&mut sender, b"12345678\xff\r\n").await.is_positive());
    assert_eq!(world.tap().violations(), ["mx1.example.test: 8-bit data without BODY=8BITMIME"]);
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    assert_eq!(sender.greeting().to_string(), "220 mx1.example.test ESMTP testbed");
    for (command, code) in [
        ("MAIL FROM:<a@a.test>", 503),
        ("HELO client.test", 250),
        ("RCPT TO:<b@b.test>", 503),
        ("DATA", 503),
        ("MAIL FROM:<ü@a.test>", 553),
        ("MAIL FROM:<ü@a.test> SMTPUTF8", 250),
        ("MAIL FROM:<a@a.test>", 503),
        ("DATA", 554),
        ("RSET", 250),
        ("RCPT TO:<b@b.test>", 503),
        ("MAIL FROM:<a@a.test>", 250),
        ("RCPT TO:<ü@b.test>", 553),
        ("RCPT TO:<b@b.test> NOTIFY=NEVER", 555),
        ("RCPT TO:<b@b.test>", 250),
        ("NOOP", 250),
        ("VRFY b", 252),
        ("XYZZY", 500),
        ("QUIT", 221),
    ] {
        assert_eq!(sender.command(command).await.unwrap().code, code, "{command}");
    }
    assert!(sender.read_to_end().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_went_away_refuses_and_comes_back() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    mx.close().await;
    sender.read_to_end().await.unwrap();
    assert!(Sender::connect(mx.address()).await.is_err());
    mx.open().await.unwrap();
    greeted(&mx).await;
}

#[tokio::test]
async fn two_hosts_of_one_name_keep_their_messages_apart() {
    let world = World::new().await;
    let one = world.mx(NAME, MxBehaviour::valid()).await;
    let two = world.mx(NAME, MxBehaviour::valid()).await;
    assert_ne!(one.address().ip(), two.address().ip());
    assert_eq!(one.address().port(), world.smtp_port());
    assert!(send(&mut greeted(&two).await, TEXT).await.is_positive());
    assert_eq!((one.messages().len(), two.messages().len(), world.messages().len()), (0, 1, 1));
    assert_eq!((one.connections().len(), two.connections().len()), (0, 1));
    assert!(one.forget_messages().is_empty());
    assert_eq!(world.messages().len(), 1);
    assert_eq!(two.forget_messages().len(), 1);
    assert!(world.messages().is_empty());
}

#[tokio::test]
async fn everything_ends_with_the_world() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let host = world.domain("example.test").mx(10, &mx).policy("text").await;
    let (ca_file, dns) = (world.ca_file().to_owned(), world.dns_address());
    assert!(std::fs::read_to_string(&ca_file).unwrap().contains("BEGIN CERTIFICATE"));
    let mut sender = greeted(&mx).await;
    world.close().await;
    assert!(sender.read_to_end().await.unwrap().is_empty());
    for address in [mx.address(), host.address(), dns] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address}");
    }
    drop((mx, host));
    assert!(!ca_file.exists());
}
