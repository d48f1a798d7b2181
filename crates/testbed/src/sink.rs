//! An MX host that takes everything and keeps nothing, for measurements.
//!
//! Unlike [`MxHost`](crate::MxHost) it does not misbehave, does not look at what it takes, and is
//! not tapped: it costs as little of the machine's time as a host can.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memmem};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::authority::{Authority, new_key};
use crate::certificate::Certificate;
use crate::listening::Listening;
use crate::tasks::Tasks;
use crate::tls::{Stream, TlsVersions, accept, server_config};

/// How much is read at a time.
const READ: usize = 1 << 16;
/// The end of a message.
const END: &[u8] = b"\r\n.\r\n";
/// The extensions offered, but STARTTLS.
const KEYWORDS: &str = "250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";

/// What a [`Sink`] has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Connections.
    pub connections: u64,
    /// Messages.
    pub messages: u64,
    /// Messages under TLS, among them.
    pub messages_in_tls: u64,
    /// When the last message was at its end.
    pub last: Option<Instant>,
}

/// Whether a [`Sink`] offers STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It does not.
    Clear,
    /// It does, with a certificate of the world's authority.
    Starttls,
}

/// A running sink. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Sink {
    name: String,
    address: SocketAddr,
    taken: Arc<watch::Sender<Taken>>,
    _listening: Arc<Listening>,
}

/// One connection.
struct Session {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    replies: Vec<u8>,
    security: Security,
    taken: Arc<watch::Sender<Taken>>,
}

/// What TLS is for a connection.
enum Security {
    NotOffered,
    Offered(Arc<ServerConfig>),
    InUse,
}

/// What follows a line.
enum Next {
    Command,
    Handshake(Arc<ServerConfig>),
    Message,
    Quit,
}

impl Sink {
    /// Starts a sink at `address`.
    pub(crate) async fn start(
        name: &str,
        address: SocketAddr,
        offer: Offer,
        authority: &Authority,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let identity = authority.issue(&Certificate::Valid, name, &new_key());
        let tls = Arc::new(server_config(identity, TlsVersions::Both));
        let taken = Arc::new(watch::Sender::new(Taken::default()));
        let listening = Arc::new(Listening::closed(address, tasks));
        let counted = Arc::clone(&taken);
        let serve = move |stream: TcpStream, _peer| {
            let security = match offer {
                Offer::Clear => Security::NotOffered,
                Offer::Starttls => Security::Offered(Arc::clone(&tls)),
            };
            serve(stream, security, Arc::clone(&counted))
        };
        listening.open(serve).await?;
        Ok(Self { name: name.to_owned(), address, taken, _listening: listening })
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has taken so far.
    #[must_use]
    pub fn taken(&self) -> Taken {
        *self.taken.borrow()
    }

    /// Waits until it has taken so many messages.
    ///
    /// # Errors
    /// The time was up; the error is what it has taken.
    pub async fn wait_for(&self, messages: u64, within: Duration) -> Result<Taken, Taken> {
        let mut changes = self.taken.subscribe();
        let enough = changes.wait_for(|taken| taken.messages >= messages);
        match timeout(within, enough).await {
            Ok(Ok(taken)) => Ok(*taken),
            Ok(Err(_)) | Err(_) => Err(self.taken()),
        }
    }
}

/// Serves one connection.
async fn serve(stream: TcpStream, security: Security, taken: Arc<watch::Sender<Taken>>) {
    drop(stream.set_nodelay(true));
    taken.send_modify(|taken| taken.connections += 1);
    let (unread, replies) = (Vec::with_capacity(READ), Vec::new());
    let session = Session { stream: Box::new(stream), unread, replies, security, taken };
    // However it ends, what was taken is counted.
    drop(session.run().await);
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        self.replies.extend_from_slice(b"220 sink ESMTP\r\n");
        loop {
            let line = self.line().await?;
            match self.command(&line) {
                Next::Command => {}
                Next::Handshake(config) => self = self.handshake(config).await?,
                Next::Message => self.message().await?,
                Next::Quit => return self.answer().await,
            }
        }
    }

    /// Obeys one line; its reply goes out when there is nothing more to read.
    fn command(&mut self, line: &[u8]) -> Next {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let (reply, next) = match &verb[..] {
            b"EHLO" => {
                self.replies.extend_from_slice(b"250-sink\r\n");
                if matches!(self.security, Security::Offered(_)) {
                    self.replies.extend_from_slice(b"250-STARTTLS\r\n");
                }
                (KEYWORDS, Next::Command)
            }
            b"STAR" => match &self.security {
                Security::Offered(config) => {
                    ("220 go ahead\r\n", Next::Handshake(Arc::clone(config)))
                }
                Security::NotOffered | Security::InUse => ("502 no\r\n", Next::Command),
            },
            b"DATA" => ("354 go ahead\r\n", Next::Message),
            b"QUIT" => ("221 bye\r\n", Next::Quit),
            _ => ("250 ok\r\n", Next::Command),
        };
        self.replies.extend_from_slice(reply.as_bytes());
        next
    }

    async fn handshake(mut self, config: Arc<ServerConfig>) -> io::Result<Self> {
        self.answer().await?;
        let (stream, _session) = accept(self.stream, config)
            .await
            .map_err(|broken| io::Error::other(format!("{broken:?}")))?;
        let (unread, replies) = (Vec::with_capacity(READ), Vec::new());
        let security = Security::InUse;
        Ok(Self { stream: Box::new(stream), unread, replies, security, taken: self.taken })
    }

    /// Reads a message to its end, and takes it.
    async fn message(&mut self) -> io::Result<()> {
        self.answer().await?;
        // An empty message ends with its first line.
        let mut searched = 0;
        loop {
            if self.unread.starts_with(b".\r\n") {
                self.unread.drain(..3);
                break;
            }
            let from = searched.max(END.len()) - END.len();
            let found = memmem::find(self.unread.get(from..).unwrap_or_default(), END);
            if let Some(at) = found {
                self.unread.drain(..from + at + END.len());
                break;
            }
            searched = self.unread.len();
            self.read().await?;
        }
        let in_tls = u64::from(matches!(self.security, Security::InUse));
        self.taken.send_modify(|taken| {
            taken.messages += 1;
            taken.messages_in_tls += in_tls;
            taken.last = Some(Instant::now());
        });
        self.replies.extend_from_slice(b"250 taken\r\n");
        Ok(())
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = memchr(b'\n', &self.unread) {
                return Ok(self.unread.drain(..=end).collect());
            }
            self.answer().await?;
            self.read().await?;
        }
    }

    async fn answer(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.replies).await?;
        self.replies.clear();
        self.stream.flush().await
    }

    async fn read(&mut self) -> io::Result<()> {
        self.unread.reserve(READ);
        if self.stream.read_buf(&mut self.unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sender, World};

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_sink_takes_messages_in_clear_and_in_tls_and_counts_them() {
        let world = World::new().await;
        let sink = world.sink("sink.test", Offer::Starttls).await;
        let mut sender = Sender::connect(sink.address()).await.unwrap();
        let offered = sender.ehlo("client.test").await.unwrap();
        assert!(offered.lines.iter().any(|line| line == "STARTTLS"), "{offered}");
        for message in [&b""[..], b"Subject: x\r\n\r\n.dots\r\n..\r\n"] {
            let reply = sender.send("<a@b.test>", &["<c@d.test>"], message).await.unwrap();
            assert_eq!(reply.code, 250, "{reply}");
        }
        let roots = world.authority().roots();
        let mut sender = sender.starttls(roots, "sink.test").await.unwrap();
        let again = sender.ehlo("client.test").await.unwrap();
        assert!(!again.lines.iter().any(|line| line == "STARTTLS"), "{again}");
        let reply = sender.send("<a@b.test>", &["<c@d.test>"], b"x\r\n").await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let taken = sink.wait_for(3, WITHIN).await.unwrap();
        assert_eq!((taken.connections, taken.messages, taken.messages_in_tls), (1, 3, 1));
        assert_eq!(sender.command("QUIT").await.unwrap().code, 221);
    }

    #[tokio::test]
    async fn a_sink_in_clear_offers_no_tls() {
        let world = World::new().await;
        let sink = world.sink("sink.test", Offer::Clear).await;
        let mut sender = Sender::connect(sink.address()).await.unwrap();
        let offered = sender.ehlo("client.test").await.unwrap();
        assert!(!offered.lines.iter().any(|line| line == "STARTTLS"), "{offered}");
        assert_eq!(sender.command("STARTTLS").await.unwrap().code, 502);
    }
}
