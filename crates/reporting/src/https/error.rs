//! Why a report could not be posted.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};

use dns::LookupError;
use pkix::{TlsError, io_words};

/// Why a report could not be posted; each may be another time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The server did not prove its name.
    #[error("certificate verification of the server at {address} failed: {source}")]
    Certificate {
        /// The server's address.
        address: SocketAddr,
        /// What is wrong.
        source: Box<TlsError>,
    },
    /// No connection came about.
    #[error("connection to {address} failed: {}", io_words(source))]
    Connect {
        /// The server's address.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// The conversation broke off or did not keep to HTTP.
    #[error("the HTTP exchange failed: {0}")]
    Http(#[source] hyper::Error),
    /// The addresses could not be looked up.
    #[error("address lookup failed: {0}")]
    Names(#[from] LookupError),
    /// The server has no address.
    #[error("the server has no address")]
    NoAddress,
    /// The server's name cannot stand in a certificate.
    #[error("the server's name is not a valid TLS server name")]
    NoName,
    /// The server has none but private addresses.
    #[error("the server has the address {0}, which is not global")]
    PrivateAddress(IpAddr),
    /// The request could not be written.
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// An address let connecting and the TLS handshake take too long.
    #[error("the server at {0} did not answer")]
    Silent(SocketAddr),
    /// All of it took too long.
    #[error("the report was not accepted within 60 seconds")]
    TimedOut,
    /// The TLS handshake failed for another reason than the certificate.
    #[error("the TLS handshake with the server at {address} failed: {source}")]
    Tls {
        /// The server's address.
        address: SocketAddr,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PostError {
    /// Of the failures at several addresses the one to act on: a server that answered and could not
    /// prove its name says more than another that did not answer.
    pub(super) fn or_later(self, later: Self) -> Self {
        if matches!(self, Self::Certificate { .. }) { self } else { later }
    }
}
