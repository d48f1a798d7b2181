//! The largest messages and the longest lists: they pass, and are never whole in memory.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use dkim::Algorithm;
use testbed::{MxBehaviour, Sender, World};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::process::Process;
use crate::signing::Key;
use crate::world::{PATIENCE, RelayInWorld, SENDER, write_settings};

/// How often the block is sent: 151 MB.
const BLOCKS: usize = 151;

/// More than a relay that does nothing needs, and much less than the message.
const MEMORY: u64 = 100 << 20;

/// A million bytes of lines as they are on the wire; some begin with a dot.
fn block() -> Vec<u8> {
    let line = |number: usize| {
        let start = if number.is_multiple_of(10) { ".." } else { "" };
        let text = format!("{start}{number} ");
        let filling = "x".repeat(98 - text.len());
        format!("{text}{filling}\r\n")
    };
    (0..10_000).map(line).collect::<String>().into_bytes()
}

/// Sends a message of many blocks, and waits until it is acknowledged.
async fn send(mut client: Sender, recipient: &str, block: &[u8]) {
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    assert_eq!(client.mail(SENDER).await.unwrap().code, 250);
    assert_eq!(client.rcpt(recipient).await.unwrap().code, 250);
    assert_eq!(client.command("DATA").await.unwrap().code, 354);
    client.write(b"From: ann@sender.test\r\nSubject: large\r\n\r\n").await.unwrap();
    for _ in 0..BLOCKS {
        client.write(block).await.unwrap();
    }
    let reply = client.command(".").await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
}

/// Takes one message, and compares it with what was sent while it comes; whether it is signed.
async fn take(host: TcpListener, block: &[u8]) -> io::Result<bool> {
    let (stream, _) = host.accept().await?;
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::with_capacity(1 << 16, input);
    output.write_all(b"220 mx.test\r\n").await?;
    let mut line = String::new();
    while !line.starts_with("DATA") {
        line.clear();
        assert_ne!(input.read_line(&mut line).await?, 0, "no DATA came");
        let reply: &[u8] = if line.starts_with("DATA") { b"354 go on\r\n" } else { b"250 ok\r\n" };
        output.write_all(reply).await?;
    }
    let mut is_signed = false;
    while line != "\r\n" {
        line.clear();
        assert_ne!(input.read_line(&mut line).await?, 0, "the header has no end");
        is_signed |= line.starts_with("DKIM-Signature: ");
    }
    let mut came = vec![0; block.len()];
    for number in 0..BLOCKS {
        input.read_exact(&mut came).await?;
        assert!(came == block, "block {number} is changed");
    }
    line.clear();
    input.read_line(&mut line).await?;
    assert_eq!(line, ".\r\n");
    output.write_all(b"250 taken\r\n").await?;
    Ok(is_signed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_150_megabytes_passes_and_is_never_whole_in_memory() {
    pass(World::new().await, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_150_megabytes_is_signed_as_it_passes() {
    let world = World::new().await;
    let key = Key::new("sender.test", "s", Algorithm::RsaSha256);
    key.publish(&world);
    pass(world, &key.settings()).await;
}

/// A large message passes a relay with these settings, signed if they have a key.
async fn pass(world: World, settings: &str) {
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let size = "limits.message_size = \"160MiB\"\n".to_owned();
    let config = write_settings(&world, listener, &(size + settings));
    let mx = SocketAddr::new(world.address(), world.smtp_port());
    let host = TcpListener::bind(mx).await.unwrap();
    let mut relay = Process::start(&config, world.directory().join("log"));
    let client = relay.connected(listener).await;
    let (block, recipient) = (block(), format!("<bob@[{}]>", mx.ip()));
    let passed = async {
        send(client, &recipient, &block).await;
        assert_eq!(take(host, &block).await.unwrap(), !settings.is_empty());
    };
    let Ok(()) = timeout(2 * PATIENCE, passed).await else { panic!("{}", relay.said()) };
    let memory = relay.most_memory();
    assert!(memory < MEMORY, "{memory} bytes were needed\n{}", relay.said());
    assert!(relay.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_ten_thousand_recipients_of_one_message_gets_it_once() {
    let relay = RelayInWorld::start_with("limits.recipients = 10000").await;
    let mx = relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    let names: BTreeSet<String> = (0..10_000).map(|n| format!("user{n}@example.test")).collect();
    let mut client = Sender::connect(relay.listener()).await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    assert_eq!(client.mail(SENDER).await.unwrap().code, 250);
    let all: Vec<&String> = names.iter().collect();
    for some in all.chunks(500) {
        let lines: String = some.iter().map(|name| format!("RCPT TO:<{name}>\r\n")).collect();
        client.write(lines.as_bytes()).await.unwrap();
        for name in some {
            let reply = client.read_reply().await.unwrap();
            assert_eq!(reply.code, 250, "{name}: {reply}");
        }
    }
    let reply = client.data(b"Subject: to all\r\n\r\nhello\r\n").await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    relay.empty().await;
    let taken = mx.messages();
    let came: Vec<String> = taken.iter().flat_map(|message| message.recipients.clone()).collect();
    assert_eq!(came.len(), names.len());
    assert!(came.into_iter().collect::<BTreeSet<_>>() == names);
    relay.is_well_behaved();
}
