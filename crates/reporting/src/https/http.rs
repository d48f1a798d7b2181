//! One POST and its answer on a connection that is ready (RFC 8460 §5.4).

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use tls_rpt::HttpsUri;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::PostError;

/// The most that the head of an answer may take.
const HEAD_MAX: usize = 16 * 1024;

/// The most of an answer's body that is read, and forgotten.
const BODY_MAX: usize = 64 * 1024;

/// The media type of a compressed report (RFC 8460 §6.4). It is no content coding: the file is what
/// it is.
const MEDIA_TYPE: &str = "application/tlsrpt+gzip";

/// Says who sends, to the people who run the server.
const AGENT: &str = concat!("sts-relay/", env!("CARGO_PKG_VERSION"));

/// What a server answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// How long it asks us to wait, if it does.
    pub(crate) retry_after: Option<Duration>,
}

/// Posts `report` at the other end of `stream`.
pub(super) async fn post<S>(stream: S, uri: &HttpsUri, report: Vec<u8>) -> Result<Answer, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(PostError::Http)?;
    let request = Request::post(uri.path_and_query())
        .header(HOST, authority(uri))
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(report)))?;
    let mut exchange = Box::pin(async {
        let reply = sender.send_request(request).await.map_err(PostError::Http)?;
        let status = reply.status().as_u16();
        let answer = Answer { status, retry_after: retry_after(reply.headers()) };
        // The status says all; a server that is cut off might take the report for lost.
        drop(Limited::new(reply.into_body(), BODY_MAX).collect().await);
        Ok(answer)
    });
    // The connection has to be driven while the answer is awaited; when it ends first, the answer or
    // the reason why there is none is ready.
    tokio::select! {
        answer = &mut exchange => return answer,
        _ended = connection => {}
    }
    exchange.await
}

/// The host and port as the Host field has them.
fn authority(uri: &HttpsUri) -> String {
    match uri.port() {
        443 => uri.host().to_string(),
        port => format!("{}:{port}", uri.host()),
    }
}

/// The seconds of a Retry-After field (RFC 9110 §10.2.3); a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
