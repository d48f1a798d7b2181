//! The port for monitors: HTTP over TCP, for whoever may reach it.
//!
//! It has no password, so it has nothing to protect: what it answers changes nothing and tells of
//! no message ([`health`](crate::server::health)). What it takes up is bounded: so many
//! connections, one request on each, and so long for it.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::server::health::{HealthChecks, routes};
use crate::server::http::{self, AfterAnswer, Bounds};

/// How many may ask at a time; others wait for the system to let them in.
pub const CONNECTIONS: usize = 32;

/// How long one may take, from connecting to the last octet of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers at `socket` until `stop`.
pub async fn serve(socket: TcpListener, health: HealthChecks, stop: CancellationToken) {
    if let Ok(address) = socket.local_addr() {
        info!(%address, "admin HTTP address opened");
    }
    let after = AfterAnswer::Close;
    let bounds = Bounds { connections: CONNECTIONS, head: PATIENCE, whole: PATIENCE, after };
    http::serve(socket, routes(health), bounds, stop).await;
}
