//! A policy host that serves what it is told, well or badly.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the host does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Sends these octets as the reply, in one go.
    Reply(Vec<u8>),
    /// Sends the first octets and then one more blank now and then, for ever.
    Drip(Vec<u8>),
    /// Takes the connection and says nothing.
    Silent,
    /// Answers the handshake with something that is not TLS.
    NotTls,
    /// Takes the request and closes.
    Close,
    /// Waits for leave, then replies.
    Held(Arc<Semaphore>, Vec<u8>),
}

impl Behaviour {
    /// The usual reply with this policy.
    pub(crate) fn policy(text: &str) -> Self {
        Self::typed("text/plain", text)
    }

    /// A complete reply of this media type.
    pub(crate) fn typed(media_type: &str, text: &str) -> Self {
        Self::Reply(reply("200 OK", &format!("Content-Type: {media_type}\r\n"), text))
    }

    /// A complete reply with this status and these header lines.
    pub(crate) fn status(status: &str, headers: &str) -> Self {
        Self::Reply(reply(status, headers, "no policy here\n"))
    }
}

/// A whole reply with its length declared.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// What one client said.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) sni: Option<String>,
    pub(crate) handshake: HandshakeKind,
    pub(crate) request: String,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    tls: Arc<ServerConfig>,
    connections: Mutex<usize>,
    heard: Mutex<Vec<Heard>>,
}

/// A running host; it ends with this value.
#[derive(Debug)]
pub(crate) struct PolicyHost {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl PolicyHost {
    pub(crate) async fn start(tls: Arc<ServerConfig>, behaviour: Behaviour) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls, behaviour).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        behaviour: Behaviour,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            tls,
            connections: Mutex::new(0),
            heard: Mutex::new(Vec::new()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// What the clients said that got through the handshake.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// What goes wrong here is the client's to notice.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let behaviour = shared.behaviour.lock().unwrap().clone();
    match behaviour {
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::NotTls => {
            drop(stream.write_all(b"220 this is something else\r\n").await);
            return;
        }
        _ => {}
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.tls));
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let tls = stream.get_ref().1;
    let sni = tls.server_name().map(str::to_owned);
    let handshake = tls.handshake_kind().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        request.push(octet);
    }
    let request = String::from_utf8(request).unwrap();
    shared.heard.lock().unwrap().push(Heard { sni, handshake, request });
    match behaviour {
        Behaviour::Reply(reply) => drop(stream.write_all(&reply).await),
        Behaviour::Held(leave, reply) => {
            leave.acquire().await.unwrap().forget();
            drop(stream.write_all(&reply).await);
        }
        Behaviour::Drip(start) => {
            drop(stream.write_all(&start).await);
            while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        _ => {}
    }
    drop(stream.shutdown().await);
}
