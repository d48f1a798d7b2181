//! A TLS handshake with a client, which costs others nothing while the client is silent.
//!
//! The `ClientHello` is read first, by a connection that has no turn at the cryptography; then the
//! client stands in line, and has a turn for each step that computes ([`Turns`](crate::turns)).

use std::io;

use access::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::connections::ClientClass;
use crate::host::Host;
use crate::observer::Refused;
use crate::tls::{ServerTls, TlsFacts};

/// Shakes hands until `end`; none when that fails or the relay stops.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    class: ClientClass,
    host: &Host,
    stop: &CancellationToken,
    end: Instant,
) -> Option<(TlsStream<S>, TlsFacts)> {
    let tls = host.rules.tls.as_ref()?;
    let shaken = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        shaken = timeout_at(end, shake(stream, tls, host, peer, class)) => shaken,
    };
    let refused = |reason| host.observer.refused(Refused::Connection, reason);
    match shaken {
        Ok(Ok(stream)) => {
            let facts = TlsFacts::of(stream.get_ref().1);
            Some((stream, facts))
        }
        Ok(Err(error)) => {
            info!(%peer, reason = "tls", %error, "connection refused");
            refused("tls");
            None
        }
        Err(_) => {
            info!(%peer, reason = "tls-timed-out", "connection refused");
            refused("tls-timed-out");
            None
        }
    }
}

/// Reads the `ClientHello`, then computes.
async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ServerTls,
    host: &Host,
    peer: Peer,
    class: ClientClass,
) -> io::Result<TlsStream<S>> {
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let mut line = host.handshakes.line(peer, class);
    let turn = line.turn().await;
    // Answering the ClientHello is the costly step, and it is done here at once.
    let answered = hello.into_stream(tls.config());
    drop(turn);
    line.at_each_step(answered).await
}
