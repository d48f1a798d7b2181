//! One POST and its answer.
//!
//! There are no redirects, no proxies and no cookies, because nothing here knows of any. The server's address
//! is found as every program of this machine finds it, and not through the relay's resolver: a notice may be
//! about that.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use pkix::{Roots, SetupError, Verification};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::post_error::SendError;
use crate::url::{Scheme, Url};

/// The longest that a POST may take, from the first DNS query to the answer.
const POST_MAX: Duration = Duration::from_secs(15);

/// The most that the head of an answer may take.
const HEAD_MAX: usize = 16 * 1024;

/// The most of an answer's body that is read, and forgotten.
const BODY_MAX: usize = 64 * 1024;

/// Says who sends, to the people who run the server.
const AGENT: &str = concat!("sts-relay/", env!("CARGO_PKG_VERSION"));

/// Posts notices.
#[derive(Clone)]
pub(crate) struct Poster {
    verification: Verification,
    config: Arc<ClientConfig>,
}

impl Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}

/// What is posted.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) body: Vec<u8>,
    /// Fields besides those that every POST has.
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Poster {
    /// Trusts `roots`, at the time that `time` tells.
    pub(crate) fn new(roots: Roots, time: Arc<dyn TimeProvider>) -> Result<Self, SetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verification = Verification::new(roots, provider)?;
        let mut config = verification.config(time)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { verification, config: Arc::new(config) })
    }

    /// Posts to `url`.
    pub(crate) async fn post(&self, url: &Url, post: Post) -> Result<(), SendError> {
        let posted = Box::pin(self.post_untimed(url, post));
        timeout(POST_MAX, posted).await.unwrap_or(Err(SendError::TimedOut))
    }

    async fn post_untimed(&self, url: &Url, post: Post) -> Result<(), SendError> {
        let stream =
            TcpStream::connect((url.host(), url.port())).await.map_err(SendError::Connect)?;
        let status = match url.scheme() {
            Scheme::Http => exchange(stream, url, post).await?,
            Scheme::Https => {
                let name = ServerName::try_from(url.host().to_owned());
                let name = name.map_err(|_not_a_name| SendError::NoName)?;
                let (config, witness) = self.verification.witnessed(&self.config);
                let shaken = TlsConnector::from(config).connect(name, stream).await;
                let stream =
                    shaken.map_err(|error| SendError::Tls(Box::new(witness.explain(error))))?;
                exchange(stream, url, post).await?
            }
        };
        match status {
            200..300 => Ok(()),
            300..400 => Err(SendError::Redirected(status)),
            other => Err(SendError::Refused(other)),
        }
    }
}

/// One request on a connection that is ready; the status of the answer.
async fn exchange<S>(stream: S, url: &Url, post: Post) -> Result<u16, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(SendError::Http)?;
    let mut request = Request::post(url.path_and_query())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    for (name, value) in post.fields {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(post.body)))?;
    let mut exchange = Box::pin(async {
        let reply = sender.send_request(request).await.map_err(SendError::Http)?;
        let status = reply.status().as_u16();
        // The status says all; a server that is cut off might take the notice for lost.
        drop(Limited::new(reply.into_body(), BODY_MAX).collect().await);
        Ok(status)
    });
    // The connection has to be driven while the answer is awaited; when it ends first, the answer or
    // the reason why there is none is ready.
    tokio::select! {
        answer = &mut exchange => return answer,
        _ended = connection => {}
    }
    exchange.await
}
