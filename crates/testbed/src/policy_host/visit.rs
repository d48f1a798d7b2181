//! What is known of a connection to a policy host.

use std::net::SocketAddr;

use crate::tls::Handshake;

/// A connection to a policy host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The client's address.
    pub peer: SocketAddr,
    /// What became of TLS.
    pub handshake: Handshake,
    /// The request, if one was made.
    pub request: Option<Request>,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The first line, such as `GET /.well-known/mta-sts.txt HTTP/1.1`.
    pub line: String,
    /// The header fields, in order.
    pub headers: Vec<(String, String)>,
    /// What followed, as long as Content-Length says: a report that is posted.
    pub body: Vec<u8>,
}

impl Request {
    /// The path that was asked for.
    #[must_use]
    pub fn path(&self) -> &str {
        self.line.split_ascii_whitespace().nth(1).unwrap_or_default()
    }

    /// The value of the first header field of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }
}
