//! The port for monitors: HTTP over TCP, for whoever may reach it.
//!
//! Without pages it has no password, so it has nothing to protect: what it answers changes nothing and tells of
//! no message ([`health`](crate::server::health)). What it takes up is bounded: so many
//! connections, one request on each, and so long for it.

use std::time::Duration;

use listener::ServerTls;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::pages::site::Site;
use crate::pages::table;
use crate::server::health::{HealthChecks, routes};
use crate::server::http::{self, AfterAnswer, Bounds};

/// How many may ask at a time; others wait for the system to let them in.
pub const CONNECTIONS: usize = 32;

/// How long one may take, from connecting to the last octet of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a browser's connections may take up, where there are pages.
const BROWSERS: Bounds = Bounds {
    connections: 128,
    head: Duration::from_secs(10),
    whole: Duration::from_secs(10 * 60),
    after: AfterAnswer::Keep,
};

/// Pages at the port, besides what monitors ask.
#[derive(Clone, Debug)]
pub struct PagesAtPort {
    /// The pages.
    pub site: Site,
    /// What everybody is shown who connects; none: in clear.
    pub tls: Option<ServerTls>,
}

/// Answers at `socket` until `stop`.
pub async fn serve(
    socket: TcpListener,
    health: HealthChecks,
    pages: Option<PagesAtPort>,
    stop: CancellationToken,
) {
    if let Ok(address) = socket.local_addr() {
        info!(%address, "admin HTTP address opened");
    }
    let after = AfterAnswer::Close;
    let monitors = Bounds { connections: CONNECTIONS, head: PATIENCE, whole: PATIENCE, after };
    match pages {
        None => http::serve(socket, routes(health), monitors, None, stop).await,
        Some(PagesAtPort { site, tls }) => {
            let all = routes(health).merge(table::routes(&site));
            let tls = tls.as_ref().map(ServerTls::config);
            http::serve(socket, all, BROWSERS, tls, stop).await;
        }
    }
}
