//! Why a notice could not be sent.

use std::error::Error;
use std::io;

use pkix::io_words;
use queue::{BeginError, CommitError};

/// Why a notice could not be sent; each may be another time. None says more of the URL than its server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection came about.
    #[error("connection failed: {}", io_words(.0))]
    Connect(#[source] io::Error),
    /// The conversation broke off or did not keep to HTTP.
    #[error("the HTTP exchange failed: {0}")]
    Http(#[source] hyper::Error),
    /// The server's name cannot stand in a certificate.
    #[error("the server's name is not a valid TLS server name")]
    NoName,
    /// The queue takes nothing now.
    #[error("the queue takes no message now: {0}")]
    Begin(#[from] BeginError),
    /// The queue does not take it.
    #[error("the queue does not take the notice: {0}")]
    Commit(#[from] CommitError),
    /// It sent us elsewhere, where nobody said that notices may go.
    #[error("the server answered with a redirection ({0}), which is not followed")]
    Redirected(u16),
    /// It did not take the notice.
    #[error("the server answered with status {0}")]
    Refused(u16),
    /// The request could not be written.
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// It took too long.
    #[error("the server did not answer within 15 seconds")]
    TimedOut,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}
