//! One POST and its answer on a connection that is ready (RFC 8460 §5.4).

use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use jiff::fmt::rfc2822;
use tls_rpt::HttpsUri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

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
    /// When it asks us to come again, if it does.
    pub(crate) retry_after: Option<RetryAfter>,
}

/// When a server asks us to come again (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RetryAfter {
    /// After this long.
    Delay(Duration),
    /// At this time.
    Time(SystemTime),
}

impl RetryAfter {
    /// How long that is to wait at `now`, by the wall clock.
    pub(crate) fn from(self, now: SystemTime) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Time(time) => time.duration_since(now).unwrap_or_default(),
        }
    }
}

/// Posts `report` at the other end of `stream`; the answer has to come before `deadline`.
pub(super) async fn post<S>(
    stream: S,
    uri: &HttpsUri,
    report: Vec<u8>,
    deadline: Instant,
) -> Result<Answer, PostError>
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
        let reply = timeout_at(deadline, sender.send_request(request)).await;
        let reply = reply.map_err(|_elapsed| PostError::TimedOut)?.map_err(PostError::Http)?;
        let status = reply.status().as_u16();
        let answer = Answer { status, retry_after: retry_after(reply.headers()) };
        // The status says all, however long the rest takes; a server that is cut off might take the
        // report for lost.
        let body = Limited::new(reply.into_body(), BODY_MAX).collect();
        drop(timeout_at(deadline, body).await);
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

/// The Retry-After field, in seconds or as a date (RFC 9110 §5.6.7, which is one of RFC 5322); what is
/// neither is not there.
fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(RetryAfter::Delay(Duration::from_secs(seconds))),
        Err(_no_number) => {
            let date = rfc2822::parse(text).ok()?;
            Some(RetryAfter::Time(SystemTime::from(date)))
        }
    }
}

#[cfg(test)]
mod tests {
    use tls_rpt::Destination;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;

    /// The room for what is on its way between the two ends, in octets.
    const ON_THE_WAY: usize = 1024;

    const TIME: Duration = Duration::from_secs(60);

    /// What becomes of a POST to a server that answers like this once it has the request, and how long
    /// that takes.
    async fn answered<F: Future<Output = ()>>(
        answer: impl FnOnce(DuplexStream) -> F,
    ) -> (Result<Answer, PostError>, Duration) {
        let Ok(Destination::Https(uri)) = "https://reports.test/v1".parse() else { panic!() };
        let (ours, mut theirs) = duplex(ON_THE_WAY);
        let server = async {
            let mut request = Vec::new();
            while !request.ends_with(b"report") {
                theirs.read_buf(&mut request).await.unwrap();
            }
            answer(theirs).await;
        };
        let client = async {
            let began = Instant::now();
            let answered = post(ours, &uri, b"report".to_vec(), began + TIME).await;
            (answered, began.elapsed())
        };
        tokio::join!(client, server).0
    }

    /// What becomes of a POST to a server that answers after this long.
    async fn answered_after(wait: Duration) -> Result<u16, PostError> {
        let late = move |mut stream: DuplexStream| async move {
            sleep(wait).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            // Whoever has waited too long is gone.
            drop(stream.write_all(answer).await);
        };
        answered(late).await.0.map(|answer| answer.status)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_as_long_as_all_may_take_and_no_longer() {
        let moment = Duration::from_millis(1);
        assert_eq!(answered_after(TIME - moment).await.unwrap(), 200);
        assert!(matches!(answered_after(TIME + moment).await, Err(PostError::TimedOut)));
        let silent = |mut stream: DuplexStream| async move {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it goes away");
        };
        let (answer, took) = answered(silent).await;
        assert!(matches!(answer, Err(PostError::TimedOut)), "{answer:?}");
        assert_eq!(took, TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_counts_though_the_rest_of_the_answer_does_not_end_in_time() {
        let slow = |mut stream: DuplexStream| async move {
            let head = b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let (answer, took) = answered(slow).await;
        assert_eq!((answer.unwrap().status, took), (201, TIME));
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_answer_no_more_is_read_than_may_be_and_the_status_counts() {
        for (length, is_read) in [(BODY_MAX, true), (BODY_MAX + HEAD_MAX + 2 * ON_THE_WAY, false)] {
            let (result, taken) = std::sync::mpsc::channel();
            let long = move |mut stream: DuplexStream| async move {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                result.send(stream.write_all(&vec![b'x'; length]).await.is_ok()).unwrap();
            };
            let (answer, took) = answered(long).await;
            assert_eq!(answer.unwrap().status, 200);
            assert_eq!(took, Duration::ZERO, "{length}");
            assert_eq!(taken.recv().unwrap(), is_read, "{length}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_large_is_no_answer() {
        for (length, is_answer) in [(HEAD_MAX / 2, true), (HEAD_MAX + 1, false)] {
            let large = move |mut stream: DuplexStream| async move {
                let field = format!("x: {}\r\n", "x".repeat(length));
                let answer = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            };
            let (answer, _took) = answered(large).await;
            assert_eq!(answer.is_ok(), is_answer, "{answer:?}");
        }
    }

    #[test]
    fn a_server_says_when_to_come_again_in_seconds_or_by_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Tue, 01 Jan 2030 00:02:00 GMT", Some(120)),
            ("Mon, 31 Dec 2029 23:59:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("18446744073709551616", None),
            ("soon", None),
            ("Tue, 01 Jan 2030", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            let wait = retry_after(&headers).map(|asked| asked.from(now).as_secs());
            assert_eq!(wait, expected, "{text}");
        }
    }
}
