//! HTTP over TCP, within limits: so many connections at a time, and so long for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The longest head of a request, in octets.
const REQUEST: usize = 16 << 10;

/// How long to rest when the system gives no more connections.
const REST: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterAnswer {
    /// It ends.
    Close,
    /// More may be asked on it.
    Keep,
}

/// What connections may take up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many there are at a time; others wait for the system to let them in.
    pub(crate) connections: usize,
    /// How long the head of a request may take, and how long a connection may rest before it.
    pub(crate) head: Duration,
    /// How long a connection lasts at most, with everything that is asked on it.
    pub(crate) whole: Duration,
    /// Whether more than one thing may be asked on one.
    pub(crate) after: AfterAnswer,
}

/// Answers at `socket` until `stop`.
pub(crate) async fn serve(
    socket: TcpListener,
    routes: Router,
    bounds: Bounds,
    tls: Option<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    let mut asking = JoinSet::new();
    loop {
        let full = asking.len() >= bounds.connections;
        tokio::select! {
            () = stop.cancelled() => return,
            Some(ended) = asking.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "admin HTTP request failed");
                }
            }
            accepted = socket.accept(), if !full => match accepted {
                Ok((stream, peer)) => {
                    let routes = routes.clone().layer(Extension(Peer(peer)));
                    let _handle = asking.spawn(connection(stream, tls.clone(), routes, bounds));
                }
                Err(error) => {
                    warn!(%error, "admin HTTP connection could not be accepted");
                    sleep(REST).await;
                }
            },
        }
    }
}

/// Answers what is asked on one connection.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, routes: Router, bounds: Bounds) {
    let served = async {
        let Some(tls) = tls else { return answer(stream, routes, bounds).await };
        match timeout(bounds.head, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, routes, bounds).await,
            Ok(Err(error)) => {
                debug!(%error, "admin HTTP handshake failed");
                Ok(())
            }
            Err(_elapsed) => Ok(()),
        }
    };
    match timeout(bounds.whole, Box::pin(served)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin HTTP connection failed"),
        Err(_elapsed) => debug!("admin HTTP request timed out"),
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    routes: Router,
    bounds: Bounds,
) -> hyper::Result<()> {
    let mut http = http1::Builder::new();
    http.keep_alive(bounds.after == AfterAnswer::Keep);
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(REQUEST);
    http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await
}
