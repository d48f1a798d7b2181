//! Accepts connections, as many as there are places for, and ends them when told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use queue::{Networks, Queue};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::connection::{Connection, Host};
use crate::connections::Connections;
use crate::refusal::Refusal;
use crate::session::Rules;
use crate::settings::ListenerSettings;

/// How long to rest when the system gives no more connections, mostly for want of descriptors.
const REST: Duration = Duration::from_millis(100);

/// How many clients may be told at once that there is no place for them; more are cut off unheard.
const MAX_TURNED_AWAY: usize = 64;

/// Takes in mail by SMTP and puts it into the queue.
///
/// One listener may serve many sockets; its limits hold for all of them together.
#[derive(Clone, Debug)]
pub struct Listener {
    host: Arc<Host>,
    connections: Connections,
    turned_away: Connections,
}

impl Listener {
    /// A listener for clients in `networks`.
    #[must_use]
    pub fn new(
        settings: ListenerSettings,
        networks: Networks,
        queue: Queue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let connections =
            Connections::new(settings.limits.connections, settings.limits.connections_per_client);
        let rules = Arc::new(Rules { settings, networks });
        Self {
            host: Arc::new(Host { rules, queue, clock }),
            connections,
            turned_away: Connections::new(MAX_TURNED_AWAY, MAX_TURNED_AWAY),
        }
    }

    /// Serves the clients of one socket until `stop`.
    ///
    /// Then nobody is accepted any more, messages under way are taken to their end, and everybody
    /// else is told 421. Dropping the future breaks off what is left.
    pub async fn serve(&self, socket: TcpListener, stop: CancellationToken) {
        let address = socket.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string());
        info!(listener = %address, "listening");
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = sessions.join_next() => tell_panic(ended),
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let span = connection_span(peer, &address);
                        self.welcome(stream, peer, &stop, &span, &mut sessions);
                    }
                    Err(error) => rest(&error).await,
                },
            }
        }
        drop(socket);
        debug!(listener = %address, open = sessions.len(), "stopped listening");
        while let Some(ended) = sessions.join_next().await {
            tell_panic(ended);
        }
    }

    /// Gives a client a place, or turns it away.
    fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stop: &CancellationToken,
        span: &Span,
        sessions: &mut JoinSet<()>,
    ) {
        let peer = peer.ip().to_canonical();
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection lost before its greeting");
            return;
        }
        let connection = Connection::new(stream, peer, Arc::clone(&self.host), stop.clone());
        let refusal = match self.connections.take(peer) {
            Ok(place) => {
                let run = async move {
                    connection.run().await;
                    drop(place);
                };
                sessions.spawn(run.instrument(span.clone()));
                return;
            }
            Err(none) => Refusal::NoPlace(none),
        };
        let Ok(place) = self.turned_away.take(peer) else {
            debug!(%peer, "connection cut off");
            return;
        };
        let turn_away = async move {
            connection.turn_away(refusal).await;
            drop(place);
        };
        sessions.spawn(turn_away.instrument(span.clone()));
    }
}

/// The span of everything that is logged of one connection.
fn connection_span(peer: SocketAddr, listener: &str) -> Span {
    info_span!("connection", peer = %peer.ip().to_canonical(), listener)
}

/// Waits until the system may have recovered.
async fn rest(error: &io::Error) {
    warn!(%error, "connection could not be accepted");
    tokio::time::sleep(REST).await;
}

/// A connection that panics takes nobody with it, but someone must hear of it.
fn tell_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "connection panicked");
    }
}
