//! One connection to a policy host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::behaviour::{Answer, Framing, Paths, Response};
use super::host::Host;
use super::visit::{Request, Visit};
use crate::tls::{Handshake, Stream, accept};

/// Where a policy is (RFC 8461 §3.3).
const PATH: &str = "/.well-known/mta-sts.txt";
/// The greatest request.
const REQUEST: usize = 1 << 14;
/// The greatest body of a request, more or less.
const BODY: usize = 1 << 24;
/// How long the client may take to close after the server has.
const LINGER: Duration = Duration::from_secs(10);

/// Serves one connection, and notes it once nothing more is to be learned about it.
pub(super) async fn serve(host: Arc<Host>, stream: TcpStream, peer: SocketAddr) {
    drop(stream.set_nodelay(true));
    let script = host.scripted.with_script(|script| script.clone());
    let note = |handshake, request| {
        host.visits.send_modify(|visits| visits.push(Visit { peer, handshake, request }));
    };
    match script.behaviour.answer() {
        Answer::Close => return note(Handshake::NotTried, None),
        Answer::Silence => {
            note(Handshake::NotTried, None);
            return drain(stream).await;
        }
        Answer::CloseAfterRequest
        | Answer::Raw(_)
        | Answer::Response(_)
        | Answer::SilenceAfterRequest => {}
    }
    let (mut stream, session) = match accept(stream, script.tls).await {
        Ok(accepted) => accepted,
        Err(broken) => return note(broken.into(), None),
    };
    let request = Request::read(&mut stream).await.ok();
    let paths = script.behaviour.paths();
    let path = request.as_ref().map(|request| request.path().to_owned());
    note(Handshake::Completed(session), request);
    // A client that goes away in the middle is nothing to us.
    match path {
        None => {}
        Some(path) if paths == Paths::Policy && path != PATH => drop(answer_nothing(stream).await),
        Some(_) => drop(answer(stream, script.behaviour.answer()).await),
    }
}

async fn answer(mut stream: impl Stream, answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Close | Answer::CloseAfterRequest => return Ok(()),
        Answer::Silence | Answer::SilenceAfterRequest => {
            drain(stream).await;
            return Ok(());
        }
        Answer::Raw(bytes) => stream.write_all(bytes).await?,
        Answer::Response(response) => response.write(&mut stream).await?,
    }
    end(stream).await
}

/// Says that there is nothing at this path.
async fn answer_nothing(mut stream: impl Stream) -> io::Result<()> {
    let nothing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(nothing).await?;
    end(stream).await
}

/// Closes, and waits until the client does.
async fn end(mut stream: impl Stream) -> io::Result<()> {
    stream.shutdown().await?;
    drop(timeout(LINGER, drain(stream)).await);
    Ok(())
}

/// Reads and forgets until the client closes.
async fn drain(mut stream: impl Stream) {
    let mut sink = [0; 4096];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}

impl Request {
    async fn read(stream: &mut impl Stream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        while memmem::find(&bytes, b"\r\n\r\n").is_none() {
            if bytes.len() > REQUEST || stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let end = memmem::find(&bytes, b"\r\n\r\n").unwrap_or_default() + 4;
        let body = bytes.split_off(end);
        let mut request = Self { body, ..Self::of_head(&String::from_utf8_lossy(&bytes)) };
        let length = request.header("Content-Length").and_then(|length| length.parse().ok());
        while request.body.len() < length.unwrap_or_default() {
            if request.body.len() > BODY || stream.read_buf(&mut request.body).await? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(request)
    }

    /// The request with this head, without a body.
    fn of_head(text: &str) -> Self {
        let mut lines = text.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map_while(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { line, headers, body: Vec::new() }
    }
}

impl Response {
    async fn write(&self, stream: &mut impl Stream) -> io::Result<()> {
        stream.write_all(self.head().as_bytes()).await?;
        stream.flush().await?;
        match (self.framing, self.drip) {
            (Framing::Chunked, None) => self.write_chunks(stream, 1000).await,
            (Framing::Chunked, Some(_)) => self.write_chunks(stream, 1).await,
            (_, None) => {
                stream.write_all(&self.body).await?;
                stream.flush().await
            }
            (_, Some(pace)) => {
                for byte in &self.body {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    sleep(pace).await;
                }
                Ok(())
            }
        }
    }

    async fn write_chunks(&self, stream: &mut impl Stream, size: usize) -> io::Result<()> {
        for chunk in self.body.chunks(size) {
            let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            sleep(self.drip.unwrap_or_default()).await;
        }
        stream.write_all(b"0\r\n\r\n").await?;
        stream.flush().await
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if let Some(media_type) = &self.media_type {
            head.push_str(&format!("Content-Type: {media_type}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::ContentLength => {
                head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
            }
            Framing::Overstated => {
                head.push_str(&format!("Content-Length: {}\r\n", self.body.len() + 100));
            }
            Framing::UntilClose => {}
        }
        head.push_str("Connection: close\r\n\r\n");
        head
    }
}

/// A reason phrase, which means nothing (RFC 9112 §4).
const fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        300..=399 => "Elsewhere",
        _ => "No",
    }
}
