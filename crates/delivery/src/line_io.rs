//! A stream that hands out at most one line per read.
//!
//! mail-send reads up to 1,024 bytes, takes the first complete reply and drops the rest: a `421`
//! that arrives together with a `250` would be lost, and bytes that someone put behind the `220` to
//! `STARTTLS` would go unnoticed. Behind a [`LineIo`] a read never reaches past the line that ends a
//! reply, so nothing is lost and what is left over can be seen. It also keeps the lines as they
//! came, because mail-send tells the code of the first line of a reply and not of the others.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything bytes go both ways over: a TCP connection, TLS on one, or a pipe in a test.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// How much is asked of the stream below at once.
const CHUNK: usize = 4096;

/// A stream read line by line and written as it is.
#[derive(Debug)]
pub(crate) struct LineIo<S> {
    stream: S,
    buffer: Box<[u8; CHUNK]>,
    /// Where the bytes begin that have been read from the stream and not handed out.
    start: usize,
    /// Where they end.
    end: usize,
    closed: bool,
    /// What has been handed out since it was last asked for.
    heard: Vec<u8>,
}

/// A peer said more before TLS than what allows it to begin (RFC 3207 §4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{count} bytes followed the reply to STARTTLS in clear")]
pub struct BytesLeft {
    /// How many bytes there are, at least.
    pub count: usize,
}

impl<S> LineIo<S> {
    /// Reads lines from `stream`.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Box::new([0; CHUNK]),
            start: 0,
            end: 0,
            closed: false,
            heard: Vec::new(),
        }
    }

    /// Whether the peer has closed its side.
    pub(crate) const fn closed(&self) -> bool {
        self.closed
    }

    /// The bytes handed out since this was last called.
    pub(crate) fn take_heard(&mut self) -> Vec<u8> {
        mem::take(&mut self.heard)
    }

    /// The same lines from another stream that `f` makes of this one's.
    pub(crate) fn map<T>(self, f: impl FnOnce(S) -> T) -> LineIo<T> {
        let Self { stream, buffer, start, end, closed, heard } = self;
        LineIo { stream: f(stream), buffer, start, end, closed, heard }
    }

    /// Gives the stream back, for TLS to begin on it.
    ///
    /// # Errors
    ///
    /// [`BytesLeft`] where the peer has already sent more than the line that allowed this: those
    /// bytes came before TLS and must not be taken for something said under it.
    pub(crate) fn into_stream(self) -> Result<S, BytesLeft> {
        let count = self.end.saturating_sub(self.start);
        if count == 0 { Ok(self.stream) } else { Err(BytesLeft { count }) }
    }

    /// Hands out what is held, up to the first line's end or the room there is.
    fn hand_out(&mut self, room: &mut ReadBuf<'_>) {
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        let line = memchr::memchr(b'\n', held).map_or(held.len(), |lf| lf.saturating_add(1));
        let taken = line.min(room.remaining());
        let part = held.get(..taken).unwrap_or_default();
        room.put_slice(part);
        self.heard.extend_from_slice(part);
        self.start = self.start.saturating_add(taken);
    }
}

impl<S: AsyncRead + Unpin> LineIo<S> {
    /// Whether there is nothing to read, not even the end of the stream; asked between commands.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if self.start != self.end {
            return false;
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut filling = ReadBuf::new(self.buffer.as_mut_slice());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut filling).is_pending()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LineIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            let mut filling = ReadBuf::new(this.buffer.as_mut_slice());
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut filling))?;
            this.end = filling.filled().len();
            this.start = 0;
            this.closed = this.end == 0;
        }
        this.hand_out(room);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LineIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn read(io: &mut LineIo<tokio::io::DuplexStream>) -> Vec<u8> {
        let mut room = [0; 64];
        let length = io.read(&mut room).await.unwrap();
        room[..length].to_vec()
    }

    #[tokio::test]
    async fn a_read_ends_at_the_first_line_and_the_next_begins_behind_it() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        peer.write_all(b"250 fine\r\n421 going").await.unwrap();
        assert_eq!(read(&mut io).await, b"250 fine\r\n");
        assert_eq!(io.take_heard(), b"250 fine\r\n");
        assert_eq!(read(&mut io).await, b"421 going");
        assert_eq!(io.take_heard(), b"421 going");
        drop(peer);
        assert!(!io.closed());
        assert_eq!(read(&mut io).await, b"");
        assert!(io.closed());
    }

    #[tokio::test]
    async fn a_line_longer_than_the_room_comes_in_parts() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        let line = [&[b'x'; 70][..], b"\r\n", b"next"].concat();
        peer.write_all(&line).await.unwrap();
        assert_eq!(read(&mut io).await, [b'x'; 64]);
        assert_eq!(read(&mut io).await, b"xxxxxx\r\n");
        assert_eq!(read(&mut io).await, b"next");
    }

    #[tokio::test]
    async fn a_peer_is_quiet_until_it_says_something_unasked_or_hangs_up() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        assert!(io.is_quiet());
        peer.write_all(b"250 ok\r\n421 bye\r\n").await.unwrap();
        assert_eq!(read(&mut io).await, b"250 ok\r\n");
        assert!(!io.is_quiet(), "a farewell came with the reply");
        let (peer, stream) = duplex(256);
        drop(peer);
        assert!(!LineIo::new(stream).is_quiet(), "the peer has hung up");
    }

    #[tokio::test]
    async fn a_stream_with_bytes_left_is_not_given_back() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        peer.write_all(b"220 ready\r\n250 injected\r\n").await.unwrap();
        assert_eq!(read(&mut io).await, b"220 ready\r\n");
        assert_eq!(io.into_stream().unwrap_err(), BytesLeft { count: 14 });
    }

    #[tokio::test]
    async fn a_stream_with_nothing_left_is_given_back() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        peer.write_all(b"220 ready\r\n").await.unwrap();
        assert_eq!(read(&mut io).await, b"220 ready\r\n");
        let mut stream = io.into_stream().unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}
