//! What comes before the dialogue: who the client is, a permit, and the TLS handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::LocalUser;
use smtp::ProxyHeader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, info, warn};

use crate::connection::{Connection, Opening};
use crate::connections::{ClientClass, ConnectionPermit, Connections};
use crate::handshake::shake_hands;
use crate::host::Host;
use crate::meters::Metered;
use crate::observer::{Open, Refused};
use crate::refusal::Refusal;
use crate::service::{ProxyMode, Service, TlsMode};
use crate::session::{Origin, Session};
use crate::wire::from_now;

/// The shortest header of the PROXY protocol: `PROXY UNKNOWN` and CRLF.
const SHORTEST_PROXY_HEADER: usize = 15;

/// How long a proxy may take to say for whom it connects, which it should do at once. The protocol's
/// specification asks for 3 seconds at least, for one segment that is lost.
const PROXY_PATIENCE: Duration = Duration::from_secs(5);

/// The rooms that a connection goes through.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    /// Those who are talked with.
    pub(crate) connections: Connections,
    /// Proxies that have not said yet for whom they connect.
    pub(crate) proxies: Connections,
    /// Those who are refused, and read why.
    pub(crate) turned_away: Connections,
}

/// A client that has just been accepted.
#[derive(Debug)]
pub(crate) struct Arrival<S> {
    pub(crate) stream: S,
    pub(crate) service: Service,
    pub(crate) host: Arc<Host>,
    pub(crate) stop: CancellationToken,
    /// Counts it among those who are connected.
    pub(crate) open: Open,
}

impl Arrival<TcpStream> {
    /// Serves the client to its end, if there is a permit left; `peer` is its address, or its proxy's.
    pub(crate) async fn serve_network(mut self, peer: IpAddr, rooms: Rooms) {
        if let Err(error) = self.stream.set_nodelay(true) {
            debug!(%error, "connection lost before its greeting");
            return;
        }
        match self.origin(peer, &rooms.proxies).await {
            Ok(origin) => self.serve(origin, rooms).await,
            Err(refusal) => {
                let session = self.session(Origin::Client(peer));
                self.turn_away(refusal, session, &rooms.turned_away).await;
            }
        }
    }

    /// Where the client is: at the other end, or where a listed proxy says.
    async fn origin(&mut self, peer: IpAddr, proxies: &Connections) -> Result<Origin, Refusal> {
        match self.service.proxy {
            ProxyMode::Direct => return Ok(Origin::Client(peer)),
            ProxyMode::Required => {}
        }
        if !self.host.rules.proxies.hold(peer) {
            return Err(Refusal::NotAProxy);
        }
        let _permit =
            proxies.take(peer.into(), ClientClass::Admitted).map_err(Refusal::NoPermit)?;
        let patience = self.host.rules.settings.timeouts.handshake.min(PROXY_PATIENCE);
        match timeout(patience, read_header(&mut self.stream)).await {
            Ok(Some(ProxyHeader::Client(address))) => Ok(Origin::Client(address.to_canonical())),
            Ok(Some(ProxyHeader::Unknown)) => Ok(Origin::Proxy(peer)),
            Ok(None) | Err(_) => Err(Refusal::NoProxyHeader),
        }
    }
}

impl Arrival<UnixStream> {
    /// Serves a program of this machine to its end, if there is a permit left.
    pub(crate) async fn serve_local(self, rooms: Rooms) {
        let Self { stream, service, host, stop, open } = self;
        match user_of(stream).await {
            Ok((stream, user)) => {
                Span::current().record("peer", tracing::field::display(user.peer()));
                let arrival = Self { stream, service, host, stop, open };
                arrival.serve(Origin::Local(user), rooms).await;
            }
            Err(error) => debug!(%error, "connection lost before its greeting"),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Arrival<S> {
    /// Serves the client, if there is a permit left.
    async fn serve(self, origin: Origin, rooms: Rooms) {
        let session = self.session(origin);
        match self.permit(&session, &rooms.connections) {
            Ok(permit) => self.converse(session, permit).await,
            Err(refusal) => self.turn_away(refusal, session, &rooms.turned_away).await,
        }
    }

    /// Refuses the client before it has said a word. Who expects TLS could not read why.
    async fn turn_away(self, refusal: Refusal, session: Session, turned_away: &Connections) {
        let (peer, implicit) = (session.peer(), self.service.tls == TlsMode::Implicit);
        let permit = turned_away.take(peer, ClientClass::Admitted);
        let (Ok(permit), false) = (permit, implicit) else {
            info!(%peer, reason = refusal.label(), "connection closed by the relay");
            self.host.observer.refused(Refused::Connection, refusal.label());
            return;
        };
        let connection = Connection::new(self.stream, session, self.host, self.stop, permit);
        connection.turn_away(refusal).await;
    }

    /// A permit among the connections.
    fn permit(
        &self,
        session: &Session,
        connections: &Connections,
    ) -> Result<ConnectionPermit, Refusal> {
        let peer = session.peer();
        self.host.rules.count(peer, Metered::Connection)?;
        if self.service.tls == TlsMode::Implicit {
            self.host.rules.count(peer, Metered::Handshake)?;
        }
        connections.take(peer, session.class()).map_err(Refusal::NoPermit)
    }

    /// Speaks SMTP, from the start under TLS or until TLS is asked for.
    async fn converse(self, session: Session, permit: ConnectionPermit) {
        let Self { stream, service, host, stop, open: _open } = self;
        match service.tls {
            TlsMode::Implicit => {
                under_tls(stream, session, permit, host, stop, Opening::Greeting).await;
            }
            TlsMode::Off | TlsMode::StartTls => {
                let plain =
                    Connection::new(stream, session, Arc::clone(&host), stop.clone(), permit);
                if let Some((stream, session, permit)) =
                    Box::pin(plain.run(Opening::Greeting)).await
                {
                    under_tls(stream, session, permit, host, stop, Opening::None).await;
                }
            }
        }
    }

    /// A session with the client.
    fn session(&self, origin: Origin) -> Session {
        Session::new(Arc::clone(&self.host.rules), origin, self.service)
    }
}

/// Asks the kernel whose program is at the other end, and a file for the user's name.
async fn user_of(stream: UnixStream) -> io::Result<(UnixStream, LocalUser)> {
    let asked = tokio::task::spawn_blocking(move || {
        let user = LocalUser::of_peer(&stream)?;
        Ok((stream, user))
    });
    asked.await.map_err(io::Error::other)?
}

/// Shakes hands and speaks SMTP under TLS. Whatever was read in clear is gone: the connection
/// begins with empty buffers and a session that knows nothing.
async fn under_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    session: Session,
    permit: ConnectionPermit,
    host: Arc<Host>,
    stop: CancellationToken,
    opening: Opening,
) {
    let (peer, class) = (session.peer(), permit.class());
    let patience = host.rules.settings.timeouts.handshake;
    let end = from_now(match class {
        ClientClass::Admitted => patience,
        ClientClass::Unadmitted => patience.min(host.unadmitted_wait(&session, &permit)),
    });
    let Some((stream, facts)) = shake_hands(stream, peer, class, &host, &stop, end).await else {
        return;
    };
    debug!(version = facts.version, cipher = facts.cipher, "TLS established");
    let secured = Connection::new(stream, session.secured(facts), host, stop, permit);
    if Box::pin(secured.run(opening)).await.is_some() {
        warn!("STARTTLS within TLS");
    }
}

/// Reads the proxy's header and not a byte more: what follows is the client's.
async fn read_header(stream: &mut TcpStream) -> Option<ProxyHeader> {
    let mut header = vec![0; SHORTEST_PROXY_HEADER];
    stream.read_exact(&mut header).await.ok()?;
    loop {
        match ProxyHeader::parse(&header) {
            Ok(Some((header, _))) => return Some(header),
            Ok(None) if header.len() < ProxyHeader::MAX_OCTETS => {
                header.push(stream.read_u8().await.ok()?);
            }
            Ok(None) | Err(_) => return None,
        }
    }
}
