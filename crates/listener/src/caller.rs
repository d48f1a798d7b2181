//! Sockets that clients come to, and the client that has come.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::{Span, field, info_span};

/// A socket that clients come to.
#[derive(Debug)]
pub(crate) enum Socket {
    /// On the network.
    Network(TcpListener),
    /// On this machine.
    Local(UnixListener),
}

/// A client that has come.
#[derive(Debug)]
pub(crate) enum Caller {
    /// From this address.
    Network(TcpStream, SocketAddr),
    /// From this machine.
    Local(UnixStream),
}

impl Socket {
    /// The next client.
    pub(crate) async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Network(socket) => {
                socket.accept().await.map(|(stream, peer)| Caller::Network(stream, peer))
            }
            Self::Local(socket) => {
                socket.accept().await.map(|(stream, _nameless)| Caller::Local(stream))
            }
        }
    }

    /// The address that it has on the network.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Network(socket) => socket.local_addr().ok(),
            Self::Local(_) => None,
        }
    }

    /// Where it is, for the log.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Network(socket) => {
                socket.local_addr().map_or_else(|error| error.to_string(), |own| own.to_string())
            }
            Self::Local(socket) => {
                let own = socket.local_addr().ok();
                let path = own.as_ref().and_then(|own| own.as_pathname());
                path.map_or_else(|| "unix".to_owned(), |path| path.display().to_string())
            }
        }
    }
}

impl Caller {
    /// The span of everything that is logged of the connection. The user of a local one is not known
    /// yet.
    pub(crate) fn span(&self, listener: &str) -> Span {
        match self {
            Self::Network(_, peer) => {
                info_span!("connection", peer = %peer.ip().to_canonical(), listener)
            }
            Self::Local(_) => info_span!("connection", peer = field::Empty, listener),
        }
    }
}
