//! The port for monitors: HTTP over TCP, for whoever may reach it.
//!
//! It has no password, so it has nothing to protect: what it answers changes nothing and tells of
//! no message ([`health`](crate::server::health)). What it takes up is bounded: so many connections, one
//! request on each, and so long for it.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::server::health::{HealthChecks, routes};

/// How many may ask at a time; others wait for the system to let them in.
pub const CONNECTIONS: usize = 32;

/// How long one may take, from connecting to the last octet of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest request, in octets.
const REQUEST: usize = 16 << 10;

/// How long to rest when the system gives no more connections.
const REST: Duration = Duration::from_millis(100);

/// Answers at `socket` until `stop`.
pub async fn serve(socket: TcpListener, health: HealthChecks, stop: CancellationToken) {
    if let Ok(address) = socket.local_addr() {
        info!(%address, "admin HTTP address opened");
    }
    let routes = routes(health);
    let mut asking = JoinSet::new();
    loop {
        let full = asking.len() >= CONNECTIONS;
        tokio::select! {
            () = stop.cancelled() => return,
            Some(ended) = asking.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "admin HTTP request failed");
                }
            }
            accepted = socket.accept(), if !full => match accepted {
                Ok((stream, _peer)) => {
                    let _handle = asking.spawn(answer(stream, routes.clone()));
                }
                Err(error) => {
                    warn!(%error, "admin HTTP connection could not be accepted");
                    sleep(REST).await;
                }
            },
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, routes: Router) {
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST);
    let service = TowerToHyperService::new(routes);
    let served = Box::pin(http.serve_connection(TokioIo::new(stream), service));
    match timeout(PATIENCE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin HTTP connection failed"),
        Err(_elapsed) => debug!("admin HTTP request timed out"),
    }
}
