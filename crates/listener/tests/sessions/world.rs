//! A listener with its queue, and clients that talk to it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use access::{Networks, Users};
use clock::SystemClock;
use listener::{Access, Listener, ListenerSettings, Service, Submission, Unobserved};
use queue::{Queue, QueueSettings};
use smtp::{Domain, DotStuffer};
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use testbed::Sender;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

/// How long a test waits for what must come; only a failing test gets there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener and its queue.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) queue: Queue,
    pub(crate) address: SocketAddr,
    /// What the log calls it.
    listener: String,
    stop: CancellationToken,
    served: JoinSet<()>,
}

/// What the queue holds of one message for one destination.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    /// The message without the Received header field, whose lines but the first begin with a tab.
    pub(crate) fn as_sent(&self) -> &[u8] {
        let mut rest = &self.bytes[..];
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a Received field");
            rest = &rest[end + 2..];
            if !rest.starts_with(b"\t") {
                return rest;
            }
        }
    }
}

impl World {
    /// A listener for 127.0.0.1 with the defaults.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A listener for 127.0.0.1 with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut ListenerSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path()).await;
        Self::over(dir, queue, change).await
    }

    /// A listener for 127.0.0.1 over a queue, with changed settings.
    pub(crate) async fn over(
        dir: TempDir,
        queue: Queue,
        change: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let settings = Self::settings(change);
        let listener = Listener::new(settings, networks(), queue.clone(), Arc::new(SystemClock));
        Self::serving(dir, queue, listener, Service::default()).await
    }

    /// A listener for 127.0.0.1 and for users, whose socket offers `service`.
    pub(crate) async fn offering(
        service: Service,
        change: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        Self::for_user(service, "@client.example", change).await
    }

    /// The same, with other addresses that the user may send from.
    pub(crate) async fn for_user(
        service: Service,
        senders: &str,
        change: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let access = Access { users: users(senders), ..Access::default() };
        Self::letting_in(service, Access { networks: networks(), ..access }, change).await
    }

    /// A listener for those whom `access` lets in.
    pub(crate) async fn letting_in(
        service: Service,
        access: Access,
        change: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path()).await;
        let access = Access {
            proxies: Networks::parse(["127.0.0.9"]).unwrap(),
            tls: Some(crate::certificate::make(dir.path(), "relay.example")),
            ..access
        };
        let settings = Self::settings(change);
        let listener = Listener::with(
            settings,
            access,
            queue.clone(),
            Arc::new(SystemClock),
            Arc::new(Unobserved),
        );
        Self::serving(dir, queue, listener, service).await
    }

    /// A listener for programs of this machine alone, at [`World::path`].
    pub(crate) async fn local(access: Access, change: impl FnOnce(&mut ListenerSettings)) -> Self {
        LOG.get_or_init(Log::collect);
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path()).await;
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(Unobserved));
        let settings = Self::settings(change);
        let listener = Listener::with(settings, access, queue.clone(), clock, observer);
        let socket = UnixListener::bind(dir.path().join("submit.sock")).unwrap();
        let (stop, mut served) = (CancellationToken::new(), JoinSet::new());
        let token = stop.clone();
        served.spawn(async move { listener.serve_local(socket, token).await });
        let listener = dir.path().join("submit.sock").display().to_string();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { dir, queue, address, listener, stop, served }
    }

    /// Where a local listener is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("submit.sock")
    }

    fn settings(change: impl FnOnce(&mut ListenerSettings)) -> ListenerSettings {
        let mut settings = ListenerSettings::new(Domain::parse("relay.example").unwrap());
        settings.timeouts.farewell = Duration::from_millis(200);
        settings.timeouts.auth_delay = Duration::from_millis(1);
        // What is put right in messages has tests of its own; elsewhere every byte counts.
        settings.submission = Submission::NONE;
        change(&mut settings);
        settings
    }

    async fn serving(dir: TempDir, queue: Queue, listener: Listener, service: Service) -> Self {
        LOG.get_or_init(Log::collect);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut served = JoinSet::new();
        let token = stop.clone();
        served.spawn(async move { listener.serve(socket, service, token).await });
        Self { dir, queue, address, listener: address.to_string(), stop, served }
    }

    /// A client that has connected and not yet read the greeting.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_from("127.0.0.1").await
    }

    /// The same, from an address of its own.
    pub(crate) async fn connect_from(&self, address: &str) -> Client {
        Client(Sender::open_from(address.parse().unwrap(), self.address).await.unwrap())
    }

    /// A client under TLS from the first byte on.
    pub(crate) async fn connect_under_tls(&self) -> Client {
        self.connect().await.under_tls().await
    }

    /// A client that has started TLS and said EHLO.
    pub(crate) async fn client_under_tls(&self) -> Client {
        let mut client = self.client().await;
        client.expect("STARTTLS", "220 2.0.0 ").await;
        let mut client = client.under_tls().await;
        client.expect("EHLO client.example", "250-relay.example\r\n").await;
        client
    }

    /// A client that has been greeted.
    pub(crate) async fn greeted(&self) -> Client {
        let mut client = self.connect().await;
        assert_eq!(client.reply().await, "220 relay.example ESMTP sts-relay\r\n");
        client
    }

    /// A client that has said EHLO.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.greeted().await;
        client.expect("EHLO client.example", "250-relay.example\r\n").await;
        client
    }

    /// A client that may send its message.
    pub(crate) async fn sender(&self) -> Client {
        let mut client = self.client().await;
        client.begin_message().await;
        client
    }

    /// All that is in the queue, in order.
    pub(crate) async fn stored(&self) -> Vec<Stored> {
        stored(&self.queue).await
    }

    /// What was logged with this message of connections to this listener.
    pub(crate) fn logged(&self, message: &str) -> Vec<String> {
        let text = LOG.get().unwrap().0.lock().unwrap().clone();
        let text = String::from_utf8(text).unwrap();
        let ours = format!("listener=\"{}\"", self.listener);
        let lines = text.lines().filter(|line| line.contains(&ours) && line.contains(message));
        lines.map(str::to_owned).collect()
    }

    /// Tells the listener to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the listener has stopped.
    pub(crate) async fn stopped(&mut self) {
        let ended = timeout(PATIENCE, self.served.join_next()).await;
        ended.expect("the listener does not stop").unwrap().unwrap();
    }
}

/// What all tests of this program log; they share it, for tracing has but one subscriber that
/// hears everything.
static LOG: OnceLock<Log> = OnceLock::new();

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects from now on.
    fn collect() -> Self {
        let log = Self::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        log
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Opens the queue in a directory.
pub(crate) async fn open(dir: &Path) -> Queue {
    open_with(dir, 0).await
}

/// Opens the queue in a directory, for as long as there are so many bytes free.
pub(crate) async fn open_with(dir: &Path, min_free: u64) -> Queue {
    let mut settings = StoreSettings::new(dir);
    settings.min_free = min_free;
    settings.reserve = 4096;
    let open = move || Embedded::open(settings, Arc::new(SystemClock));
    let store = Arc::new(tokio::task::spawn_blocking(open).await.unwrap().unwrap());
    Queue::over(store, QueueSettings::default(), Arc::new(SystemClock))
}

/// All that is in a queue, in order.
pub(crate) async fn stored(queue: &Queue) -> Vec<Stored> {
    let mut leases = Vec::new();
    let mut stored = Vec::new();
    while let Some(lease) = queue.lease(usize::MAX).await.unwrap() {
        let mut bytes = Vec::new();
        lease.body().await.unwrap().read_to_end(&mut bytes).await.unwrap();
        stored.push(Stored {
            id: lease.id().to_string(),
            from: lease.message().reverse_path.to_string(),
            recipients: lease.recipients().iter().map(|r| r.mailbox.to_string()).collect(),
            bytes,
        });
        leases.push(lease);
    }
    stored.sort_by(|one, other| one.id.cmp(&other.id));
    stored
}

/// Whose hosts may submit.
fn networks() -> Networks {
    Networks::parse(["127.0.0.1"]).unwrap()
}

/// `ann`, whose password is `secret` and who sends from `senders`.
fn users(senders: &str) -> Users {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = HASH.get_or_init(|| access::hash_password("secret").unwrap());
    Users::parse(&format!("ann:{hash}:{senders}\n")).unwrap()
}

/// One client's connection.
pub(crate) struct Client(Sender);

impl Client {
    /// Shakes hands; nothing may have come in clear.
    pub(crate) async fn under_tls(self) -> Self {
        self.try_under_tls().await.unwrap()
    }

    /// The same, if it can be done.
    pub(crate) async fn try_under_tls(self) -> io::Result<Self> {
        let read = self.0.unread();
        assert!(read.is_empty(), "{:?}", String::from_utf8_lossy(read));
        self.0.encrypt(crate::certificate::roots(), "relay.example").await.map(Self)
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write(bytes.as_ref()).await.unwrap();
    }

    /// Sends bytes as long as somebody takes them.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes).await
    }

    /// Sends a line and reads the reply.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends a line and asserts what the reply begins with.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str, reply: &str) -> impl Future<Output = ()> + use<'_> {
        let (line, reply) = (line.to_owned(), reply.to_owned());
        async move {
            let answer = self.say(&line).await;
            assert!(answer.starts_with(&reply), "{line}: expected {reply:?}, was {answer:?}");
        }
    }

    /// Asserts what the next reply begins with.
    pub(crate) async fn hears(&mut self, reply: &str) {
        let answer = self.reply().await;
        assert!(answer.starts_with(reply), "expected {reply:?}, was {answer:?}");
    }

    /// A message in two chunks, the first of which ends at `cut`; the reply to the last.
    pub(crate) async fn message_in_chunks(&mut self, message: &str, cut: usize) -> String {
        let (one, other) = message.split_at(cut);
        self.send(format!("BDAT {cut}\r\n{one}")).await;
        self.hears("250 ").await;
        self.send(format!("BDAT {} LAST\r\n{other}", other.len())).await;
        self.reply().await
    }

    /// A transaction up to the 354.
    pub(crate) async fn begin_message(&mut self) {
        self.expect("MAIL FROM:<a@client.example>", "250 2.1.0 ").await;
        self.expect("RCPT TO:<b@far.example>", "250 2.1.5 ").await;
        self.expect("DATA", "354 ").await;
    }

    /// Sends a message with its dots stuffed and its end, and reads the reply.
    pub(crate) async fn message(&mut self, message: &[u8]) -> String {
        self.send(stuffed(message)).await;
        self.reply().await
    }

    /// The next reply, all its lines; what there is if the connection ends before.
    pub(crate) async fn reply(&mut self) -> String {
        self.0.read_text().await.expect("no reply comes")
    }

    /// All that comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.rest_of_bytes().await).unwrap()
    }

    /// The same, of a connection that need not be text.
    pub(crate) async fn rest_of_bytes(&mut self) -> Vec<u8> {
        self.0.read_to_end().await.expect("the connection does not end")
    }
}

/// A message as it goes over the wire, with its end.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut stuffer = DotStuffer::new();
    stuffer.feed(message, &mut wire);
    stuffer.finish(&mut wire);
    wire
}
