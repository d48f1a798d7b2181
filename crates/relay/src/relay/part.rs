//! The parts of a running relay, by name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admin::server::grants::Grants;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// How much longer than the grace the parts may take to give up what is left.
const GIVE_UP: Duration = Duration::from_secs(5);

/// A part of the relay that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Certificates,
    Clock,
    Counting,
    Delivery,
    DkimKeys,
    Exceptions,
    Grants,
    History,
    Listener(SocketAddr),
    LocalListener,
    Notices,
    Refresh,
    Reports,
    Resolvers,
}

/// A part of the relay ended although nobody asked it to.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a relay task ended unexpectedly; the log names it")]
pub struct EndedUnasked;

/// Ends exceptions that are needed no longer.
pub(super) async fn end_exceptions(grants: Arc<Grants>, stop: CancellationToken) -> Part {
    stop.run_until_cancelled(grants.keep_ending()).await;
    Part::Exceptions
}

/// Waits for all parts to end.
async fn drain(parts: &mut JoinSet<Part>) {
    while let Some(ended) = parts.join_next().await {
        match ended {
            Ok(part) => debug!(?part, "part stopped"),
            Err(error) => error!(%error, "relay task failed"),
        }
    }
}

/// Has all parts end within `grace`, and what is left give up then.
pub(super) async fn end(parts: &mut JoinSet<Part>, grace: Duration, give_up: &CancellationToken) {
    if timeout(grace, drain(parts)).await.is_err() {
        warn!(?grace, "shutdown grace expired: deliveries aborted");
        give_up.cancel();
        // Delivery keeps to the same grace and gives its leases back when that ends.
        if timeout(GIVE_UP, drain(parts)).await.is_err() {
            parts.shutdown().await;
        }
    }
}

/// Has the tasks of the admin interface end.
pub(super) async fn end_admin(admin: &mut JoinSet<()>) {
    let ended = async { while admin.join_next().await.is_some() {} };
    if timeout(GIVE_UP, ended).await.is_err() {
        admin.shutdown().await;
    }
}

/// Waits until a part ends, which none should before it is told to.
pub(super) async fn first_ended(parts: &mut JoinSet<Part>) -> EndedUnasked {
    match parts.join_next().await {
        Some(Ok(part)) => error!(?part, "relay task ended unexpectedly"),
        Some(Err(error)) => error!(%error, "relay task failed"),
        None => error!("no relay task is running"),
    }
    EndedUnasked
}
