use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use access::Networks;
use clock::SystemClock;
use queue::{Queue, QueueSettings};
use smtp::Domain;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinSet;

use super::*;
use crate::connections::Connections;
use crate::observer::Unobserved;
use crate::rules::Rules;
use crate::service::Service;
use crate::session::Origin;
use crate::settings::ListenerSettings;

/// The far end of a connection, with no network between.
struct Client {
    stream: DuplexStream,
    /// How often the listener wrote.
    writes: Arc<AtomicUsize>,
    running: JoinSet<()>,
    _dir: TempDir,
}

/// A stream that counts what is written in one piece.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Client {
    /// A client whose connection was just accepted.
    async fn connect() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = StoreSettings::new(dir.path());
        settings.min_free = 0;
        settings.reserve = 4096;
        let open = move || Embedded::open(settings, Arc::new(SystemClock));
        let store = Arc::new(tokio::task::spawn_blocking(open).await.unwrap().unwrap());
        let queue = Queue::over(store, QueueSettings::default(), Arc::new(SystemClock));
        let settings = ListenerSettings::new(Domain::parse("relay.example").unwrap());
        let networks = Networks::parse(["192.0.2.7"]).unwrap();
        let rules = Rules::new(settings, networks);
        let host = Arc::new(Host::new(rules, queue, Arc::new(SystemClock), Arc::new(Unobserved)));
        let (stream, far) = duplex(64 << 10);
        let writes = Arc::new(AtomicUsize::new(0));
        let far = Counted(far, Arc::clone(&writes));
        let origin = Origin::Client("192.0.2.7".parse().unwrap());
        let session = Session::new(Arc::clone(&host.rules), origin, Service::default());
        let permit = Connections::new(1, 1).take(session.peer(), session.class()).unwrap();
        let connection = Connection::new(far, session, host, CancellationToken::new(), permit);
        let mut running = JoinSet::new();
        running.spawn(async move {
            assert!(connection.run(Opening::Greeting).await.is_none());
        });
        Self { stream, writes, running, _dir: dir }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until the text ends with `end`.
    async fn hears(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let read = self.stream.read_buf(&mut text).await.unwrap();
            assert_ne!(read, 0, "{:?}", String::from_utf8_lossy(&text));
        }
        String::from_utf8(text).unwrap()
    }

    /// All that comes until the connection ends.
    async fn rest(&mut self) -> String {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

#[tokio::test]
async fn replies_to_pipelined_commands_are_written_in_one_piece() {
    let mut client = Client::connect().await;
    client.hears("220 relay.example ESMTP sts-relay\r\n").await;
    assert_eq!(client.writes.load(Ordering::Relaxed), 1);
    client
        .send("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@far.example>\r\nRCPT TO:<c>\r\nDATA\r\n")
        .await;
    client.hears("354 end the message with a dot on a line of its own\r\n").await;
    assert_eq!(client.writes.load(Ordering::Relaxed), 2);
    client.send("Subject: x\r\n\r\n.\r\nNOOP\r\nQUIT\r\n").await;
    client.hears("221 2.0.0 relay.example closing connection\r\n").await;
    assert_eq!(client.writes.load(Ordering::Relaxed), 3);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_idle_client_is_borne_for_five_minutes() {
    let mut client = Client::connect().await;
    client.hears("sts-relay\r\n").await;
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(client.rest().await, "421 4.4.2 relay.example timed out waiting for the client\r\n");
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    assert!((4.9..5.1).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn a_command_that_comes_letter_by_letter_has_no_more_time_than_another() {
    let mut client = Client::connect().await;
    client.hears("sts-relay\r\n").await;
    tokio::time::pause();
    let start = Instant::now();
    for letter in ["N", "O", "O"] {
        client.send(letter).await;
        tokio::time::sleep(Duration::from_secs(99)).await;
    }
    assert!(client.rest().await.starts_with("421 4.4.2 "));
    assert!(start.elapsed() < Duration::from_secs(301));
}

#[tokio::test]
async fn a_message_may_take_half_an_hour_and_no_longer() {
    let mut client = Client::connect().await;
    client.hears("sts-relay\r\n").await;
    client.send("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@far.example>\r\nDATA\r\n").await;
    client.hears("a line of its own\r\n").await;
    tokio::time::pause();
    for _ in 0..29 {
        client.send(&"x\r\n".repeat(2500)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(client.running.try_join_next().is_none());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(client.rest().await.starts_with("421 4.4.2 "));
}

#[tokio::test]
async fn a_message_that_comes_too_slowly_is_given_up_after_its_grace() {
    let mut client = Client::connect().await;
    client.hears("sts-relay\r\n").await;
    client.send("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@far.example>\r\nDATA\r\n").await;
    client.hears("a line of its own\r\n").await;
    tokio::time::pause();
    let start = Instant::now();
    while client.stream.write_all(b"x\r\n").await.is_ok() && start.elapsed().as_secs() < 99 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.rest().await, "421 4.4.2 relay.example message sent too slowly\r\n");
    assert!((59..65).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
