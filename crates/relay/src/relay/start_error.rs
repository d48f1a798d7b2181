//! What keeps a relay from starting.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use dns::ResolverError;
use pkix::SetupError;
use store_embedded::OpenError;
use thiserror::Error;
use tokio::task::JoinError;

use crate::certificates::SelfSignedError;
use crate::unix_socket::SocketError;

/// The relay could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address for monitors cannot be had.
    #[error("cannot listen on {address} (admin.address)")]
    AdminAddress {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The admin socket cannot be had.
    #[error("the admin interface cannot be started")]
    Admin(#[source] SocketError),
    /// The socket for programs of this machine cannot be had.
    #[error("local programs cannot be let in (submission.socket)")]
    SubmitSocket(#[source] SocketError),
    /// The data directory cannot be made.
    #[error("{}: the data directory cannot be created", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No certificate was named, and none can be made.
    #[error("a self-signed certificate cannot be created")]
    Certificate(#[from] SelfSignedError),
    /// There is nobody to ask for names.
    #[error("DNS resolution cannot be set up")]
    Dns(#[from] ResolverError),
    /// The queue cannot be opened.
    #[error("the queue cannot be opened")]
    Queue(#[from] OpenError),
    /// The store in a database cannot be opened.
    #[error("the queue in the database cannot be opened")]
    SharedQueue(#[from] store_postgres::OpenError),
    /// Our own mistake.
    #[error("a relay task could not be started")]
    Task(#[from] JoinError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] SetupError),
    /// TLS to policy hosts cannot be set up.
    #[error("TLS to policy hosts cannot be set up")]
    TlsToPolicyHosts(#[source] rustls::Error),
}
