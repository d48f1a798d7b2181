//! The parts of a running relay, by name.

use std::net::SocketAddr;

use thiserror::Error;
use tokio::task::JoinSet;
use tracing::{debug, error};

/// A part of the relay that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Certificates,
    Clock,
    Counting,
    Delivery,
    DkimKeys,
    Grants,
    History,
    Listener(SocketAddr),
    LocalListener,
    Refresh,
    Reports,
    Resolvers,
}

/// A part of the relay ended although nobody asked it to.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a relay task ended unexpectedly; the log names it")]
pub struct EndedUnasked;

/// Waits for all parts to end.
pub(super) async fn drain(parts: &mut JoinSet<Part>) {
    while let Some(ended) = parts.join_next().await {
        match ended {
            Ok(part) => debug!(?part, "part stopped"),
            Err(error) => error!(%error, "relay task failed"),
        }
    }
}
