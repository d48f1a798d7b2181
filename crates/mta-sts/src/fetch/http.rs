//! One HTTP request and its reply on a connection that is ready (RFC 8461 §3.3).

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST,
    HeaderMap, HeaderName, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::fetch::error::{FetchError, POLICY_SIZE_MAX};

/// Where a policy is (RFC 8461 §3.2).
const PATH: &str = "/.well-known/mta-sts.txt";

/// The most that the head of a reply may take.
const HEAD_SIZE_MAX: usize = 16 * 1024;

/// The media type of a policy (RFC 8461 §3.2).
const MEDIA_TYPE: &str = "text/plain";

/// Says who asks, to the people who run the policy host.
const AGENT: &str = concat!("mta-sts/", env!("CARGO_PKG_VERSION"));

/// The content coding that changes nothing (RFC 9110 §12.5.3).
const IDENTITY: &str = "identity";

/// The transfer coding that is undone where a message is framed (RFC 9112 §7.1).
const CHUNKED: &str = "chunked";

/// How much of a wrong media type or coding an error shows.
const SHOWN_MAX: usize = 80;

/// Asks `authority` at the other end of `stream` for its policy.
pub(super) async fn get<S>(stream: S, authority: &str) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_SIZE_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(http)?;
    let request = Request::get(PATH)
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, MEDIA_TYPE)
        .header(ACCEPT_ENCODING, IDENTITY)
        .header(CACHE_CONTROL, "no-cache")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Http(error.into()))?;
    let mut exchange =
        Box::pin(async { read(sender.send_request(request).await.map_err(http)?).await });
    // The connection has to be driven while the reply is awaited; when it ends first, the reply or
    // the reason why there is none is ready.
    tokio::select! {
        reply = &mut exchange => return reply,
        _ended = connection => {}
    }
    exchange.await
}

/// Only status 200 with the right media type and size is a policy (RFC 8461 §3.2 and §3.3).
async fn read(reply: Response<Incoming>) -> Result<Bytes, FetchError> {
    if reply.status() != StatusCode::OK {
        return Err(FetchError::Status(reply.status().as_u16()));
    }
    check_media_type(reply.headers())?;
    check_coding(reply.headers(), &CONTENT_ENCODING, IDENTITY)?;
    check_coding(reply.headers(), &TRANSFER_ENCODING, CHUNKED)?;
    let declared = usize::try_from(reply.body().size_hint().lower());
    if declared.is_ok_and(|size| size > POLICY_SIZE_MAX) {
        return Err(FetchError::TooLarge);
    }
    match Limited::new(reply.into_body(), POLICY_SIZE_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
        Err(error) => Err(FetchError::Http(error)),
    }
}

/// Any parameters are ignored (RFC 8461 §3.2).
fn check_media_type(headers: &HeaderMap) -> Result<(), FetchError> {
    let mut given = None;
    for value in headers.get_all(CONTENT_TYPE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let kind = text.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(FetchError::MediaType(text.chars().take(SHOWN_MAX).collect()));
        }
        given = Some(());
    }
    given.ok_or_else(|| FetchError::MediaType(String::new()))
}

/// A body is taken as it is: a coding that was not asked for is not undone, and must not pass for a
/// policy that is malformed (RFC 9110 §8.4).
fn check_coding(headers: &HeaderMap, field: &HeaderName, plain: &str) -> Result<(), FetchError> {
    for value in headers.get_all(field) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut codings = text.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        if let Some(coding) = codings.find(|coding| !coding.eq_ignore_ascii_case(plain)) {
            return Err(FetchError::Coding(coding.chars().take(SHOWN_MAX).collect()));
        }
    }
    Ok(())
}

fn http(error: hyper::Error) -> FetchError {
    FetchError::Http(error.into())
}
