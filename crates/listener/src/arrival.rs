//! What comes before the dialogue: the proxy's word, a place, and the TLS handshake.

use std::net::IpAddr;
use std::sync::Arc;

use smtp::ProxyHeader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::connection::{Connection, Host, Opening};
use crate::connections::{Connections, Place};
use crate::meters::Metered;
use crate::observer::{Open, Refused};
use crate::refusal::Refusal;
use crate::service::{ProxyMode, Service, TlsMode};
use crate::session::{Origin, Session};
use crate::tls::TlsFacts;

/// The shortest header of the PROXY protocol: `PROXY UNKNOWN` and CRLF.
const SHORTEST_PROXY_HEADER: usize = 15;

/// A client that has just been accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    /// Its address, or its proxy's.
    pub(crate) peer: IpAddr,
    pub(crate) service: Service,
    pub(crate) host: Arc<Host>,
    pub(crate) stop: CancellationToken,
    /// Counts it among those who are connected.
    pub(crate) open: Open,
}

impl Arrival {
    /// Serves the client to its end, if there is a place for it.
    pub(crate) async fn serve(mut self, connections: Connections, turned_away: Connections) {
        let origin = match self.origin().await {
            Ok(origin) => origin,
            Err(refusal) => return self.turn_away(refusal, &turned_away).await,
        };
        match self.place(origin, &connections) {
            Ok(place) => {
                self.converse(origin).await;
                drop(place);
            }
            Err(refusal) => self.turn_away(refusal, &turned_away).await,
        }
    }

    /// Refuses the client before it has said a word. Who expects TLS could not read why.
    async fn turn_away(self, refusal: Refusal, turned_away: &Connections) {
        let implicit = self.service.tls == TlsMode::Implicit;
        let (Ok(place), false) = (turned_away.take(self.peer), implicit) else {
            info!(peer = %self.peer, reason = refusal.label(), "connection cut off");
            self.host.observer.refused(Refused::Connection, refusal.label());
            return;
        };
        let session = self.session(Origin::Client(self.peer));
        Connection::new(self.stream, session, self.host, self.stop).turn_away(refusal).await;
        drop(place);
    }

    /// Where the client is: at the other end, or where a listed proxy says.
    async fn origin(&mut self) -> Result<Origin, Refusal> {
        match self.service.proxy {
            ProxyMode::Direct => return Ok(Origin::Client(self.peer)),
            ProxyMode::Required => {}
        }
        if !self.host.rules.proxies.hold(self.peer) {
            return Err(Refusal::NotAProxy);
        }
        let patience = self.host.rules.settings.timeouts.handshake;
        match timeout(patience, read_header(&mut self.stream)).await {
            Ok(Some(ProxyHeader::Client(address))) => Ok(Origin::Client(address.to_canonical())),
            Ok(Some(ProxyHeader::Unknown)) => Ok(Origin::Proxy(self.peer)),
            Ok(None) | Err(_) => Err(Refusal::NoProxyHeader),
        }
    }

    /// A place among the connections.
    fn place(&self, origin: Origin, connections: &Connections) -> Result<Place, Refusal> {
        let (Origin::Client(peer) | Origin::Proxy(peer)) = origin;
        let meters = &self.host.rules.meters;
        meters
            .take(peer, Metered::Connection)
            .map_err(|_often| Refusal::TooOften(Metered::Connection))?;
        if self.service.tls == TlsMode::Implicit {
            meters
                .take(peer, Metered::Handshake)
                .map_err(|_often| Refusal::TooOften(Metered::Handshake))?;
        }
        connections.take(peer).map_err(Refusal::NoPlace)
    }

    /// Speaks SMTP, from the start under TLS or until TLS is asked for.
    async fn converse(self, origin: Origin) {
        let session = self.session(origin);
        let Self { stream, service, host, stop, open: _open, .. } = self;
        match service.tls {
            TlsMode::Implicit => under_tls(stream, session, host, stop, Opening::Greeting).await,
            TlsMode::Off | TlsMode::StartTls => {
                let plain = Connection::new(stream, session, Arc::clone(&host), stop.clone());
                if let Some((stream, session)) = Box::pin(plain.run(Opening::Greeting)).await {
                    under_tls(stream, session, host, stop, Opening::None).await;
                }
            }
        }
    }

    /// A session with the client.
    fn session(&self, origin: Origin) -> Session {
        Session::new(Arc::clone(&self.host.rules), origin, self.service)
    }
}

/// Shakes hands and speaks SMTP under TLS. Whatever was read in clear is gone: the connection
/// begins with empty buffers and a session that knows nothing.
async fn under_tls(
    stream: TcpStream,
    session: Session,
    host: Arc<Host>,
    stop: CancellationToken,
    opening: Opening,
) {
    let Some((stream, facts)) = shake_hands(stream, session.peer(), &host, &stop).await else {
        return;
    };
    debug!(version = facts.version, cipher = facts.cipher, "TLS established");
    let secured = Connection::new(stream, session.secured(facts), host, stop);
    if Box::pin(secured.run(opening)).await.is_some() {
        warn!("STARTTLS within TLS");
    }
}

/// The handshake, which takes its turn and has its time.
async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: IpAddr,
    host: &Host,
    stop: &CancellationToken,
) -> Option<(TlsStream<S>, TlsFacts)> {
    let acceptor = host.rules.tls.as_ref()?.acceptor();
    let shake = async {
        let _turn = host.handshakes.acquire().await;
        acceptor.accept(stream).await
    };
    let shaken = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        shaken = timeout(host.rules.settings.timeouts.handshake, shake) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let facts = TlsFacts::of(stream.get_ref().1);
            Some((stream, facts))
        }
        Ok(Err(error)) => {
            info!(%peer, reason = "tls", %error, "connection refused");
            host.observer.refused(Refused::Connection, "tls");
            None
        }
        Err(_) => {
            info!(%peer, reason = "tls-timed-out", "connection refused");
            host.observer.refused(Refused::Connection, "tls-timed-out");
            None
        }
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
