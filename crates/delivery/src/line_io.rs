//! A stream that hands out one line for each reply.
//!
//! mail-send reads up to 1,024 bytes, takes the first complete reply and drops the rest: a `421`
//! that arrives together with a `250` would be lost, and bytes that someone put behind the `220` to
//! `STARTTLS` would go unnoticed. It also gives up a reply of more than 4,096 octets, although its
//! code is known. So the reply is read here, with [`smtp::ReplyReader`], however long it is, and
//! mail-send is shown its code alone. A read never reaches past the line that ends a reply: nothing
//! is lost, and what is left over can be seen.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use smtp::{Reply, ReplyError, ReplyReader};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything bytes go both ways over: a TCP connection, TLS on one, or a pipe in a test.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// How much is asked of the stream below at once.
const CHUNK: usize = 4096;

/// The most octets of one reply that are read. No host has that much to say, and a peer that goes
/// on would hold the connection until the step's time is over.
const REPLY_MAX: usize = 1024 * 1024;

/// The most octets of a line that are kept; the rest of it is read and forgotten.
const LINE_KEPT: usize = 1024;

/// A stream read reply by reply and written as it is.
#[derive(Debug)]
pub(crate) struct LineIo<S> {
    stream: S,
    buffer: Box<[u8; CHUNK]>,
    /// Where the bytes begin that have been read from the stream and belong to no reply yet.
    start: usize,
    /// Where they end.
    end: usize,
    closed: bool,
    reader: ReplyReader,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// How many octets of the reply have been read.
    octets: usize,
    /// The last reply that was read.
    heard: Option<Reply>,
}

/// A peer said more before TLS than what allows it to begin (RFC 3207 §4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the reply to STARTTLS was followed by bytes in clear ({count})")]
pub struct BytesLeft {
    /// How many bytes there are, at least.
    pub count: usize,
}

/// Why what a peer says is not a reply, inside an [`io::Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoReply {
    /// It does not end.
    #[error("reply of more than 1 MiB")]
    Endless,
    /// RFC 5321 §4.2.1.
    #[error(transparent)]
    Garbled(#[from] ReplyError),
}

impl From<NoReply> for io::Error {
    fn from(no_reply: NoReply) -> Self {
        Self::new(io::ErrorKind::InvalidData, no_reply)
    }
}

impl NoReply {
    /// The one inside `error`, if there is one.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl<S> LineIo<S> {
    /// Reads replies from `stream`.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Box::new([0; CHUNK]),
            start: 0,
            end: 0,
            closed: false,
            reader: ReplyReader::new(),
            line: Vec::new(),
            octets: 0,
            heard: None,
        }
    }

    /// Whether the peer has closed its side.
    pub(crate) const fn closed(&self) -> bool {
        self.closed
    }

    /// Reads the replies that follow with `reader`.
    pub(crate) fn read_with(&mut self, reader: ReplyReader) {
        self.reader = reader;
    }

    /// The reply that was read last, once.
    pub(crate) const fn take_reply(&mut self) -> Option<Reply> {
        self.heard.take()
    }

    /// What was said of a reply that broke off, if its code is known: all its lines carry it, or a
    /// code of its class.
    pub(crate) fn take_begun(&mut self) -> Option<Reply> {
        let line = mem::take(&mut self.line);
        // What follows the code tells that the code is whole.
        if line.len() > 3 {
            match self.reader.line(&line) {
                Ok(Some(reply)) => return Some(reply),
                Ok(None) | Err(ReplyError::Malformed) => {}
                Err(ReplyError::CodesDiffer) => return None,
            }
        }
        self.reader.begun()
    }

    /// The same from another stream that `f` makes of this one's.
    pub(crate) fn map<T>(self, f: impl FnOnce(S) -> T) -> LineIo<T> {
        let Self { stream, buffer, start, end, closed, reader, line, octets, heard } = self;
        LineIo { stream: f(stream), buffer, start, end, closed, reader, line, octets, heard }
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

    /// Reads on in what is held; the reply that ends there.
    fn next_reply(&mut self) -> Result<Option<Reply>, NoReply> {
        while self.start < self.end {
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            let line_feed = memchr::memchr(b'\n', held);
            let taken = line_feed.map_or(held.len(), |at| at.saturating_add(1));
            let part = held.get(..line_feed.unwrap_or(held.len())).unwrap_or_default();
            let room = LINE_KEPT.saturating_sub(self.line.len());
            let part = part.get(..room).unwrap_or(part);
            self.start = self.start.saturating_add(taken);
            self.octets = self.octets.saturating_add(taken);
            if self.octets > REPLY_MAX {
                return Err(NoReply::Endless);
            }
            // Most lines are held whole, and are read where they are.
            let is_begun = line_feed.is_none() || !self.line.is_empty();
            if is_begun {
                self.line.extend_from_slice(part);
            }
            if line_feed.is_some() {
                let begun = mem::take(&mut self.line);
                let line = if is_begun { &begun } else { part };
                let reply = self.reader.line(line.strip_suffix(b"\r").unwrap_or(line))?;
                if reply.is_some() {
                    self.octets = 0;
                    return Ok(reply);
                }
            }
        }
        Ok(None)
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

impl<S: AsyncRead + Unpin> LineIo<S> {
    /// Reads the next reply; none where the peer has closed its side.
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`NoReply`].
    pub(crate) async fn reply(&mut self) -> io::Result<Option<Reply>> {
        poll_fn(|context| self.poll_reply(context)).await
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Reply>>> {
        loop {
            if let Some(reply) = self.next_reply()? {
                return Poll::Ready(Ok(Some(reply)));
            }
            let mut filling = ReadBuf::new(self.buffer.as_mut_slice());
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut filling))?;
            self.end = filling.filled().len();
            self.start = 0;
            if self.end == 0 {
                self.closed = true;
                return Poll::Ready(Ok(None));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LineIo<S> {
    /// Reads a whole reply, and shows its code on a line of its own.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(reply) = ready!(this.poll_reply(context))? {
            let [first, second, third] = reply.code().digits();
            let shown = [first, second, third, b' ', b'\r', b'\n'];
            room.put_slice(shown.get(..room.remaining()).unwrap_or(&shown));
            this.heard = Some(reply);
        }
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// The next reply, in one line, behind what mail-send is shown of it.
    async fn read(io: &mut LineIo<DuplexStream>) -> (Vec<u8>, String) {
        let mut room = [0; 64];
        let length = io.read(&mut room).await.unwrap();
        let reply = io.take_reply().map(|reply| reply.one_line());
        (room[..length].to_vec(), reply.unwrap_or_default())
    }

    /// Why there is no reply.
    async fn failure(io: &mut LineIo<DuplexStream>) -> Option<NoReply> {
        NoReply::of(&io.read(&mut [0; 64]).await.unwrap_err())
    }

    #[tokio::test]
    async fn a_read_ends_at_the_end_of_a_reply_and_the_next_begins_behind_it() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        peer.write_all(b"250-fine\r\n250 by me\r\n421 going\n").await.unwrap();
        assert_eq!(read(&mut io).await, (b"250 \r\n".to_vec(), "250 fine by me".to_owned()));
        assert_eq!(read(&mut io).await, (b"421 \r\n".to_vec(), "421 going".to_owned()));
        drop(peer);
        assert!(!io.closed());
        assert_eq!(read(&mut io).await, (Vec::new(), String::new()));
        assert!(io.closed());
    }

    #[tokio::test]
    async fn a_line_of_any_length_is_one_line() {
        for length in [511, 1_023, 1_024, 2_000, CHUNK, 3 * CHUNK] {
            let (mut peer, stream) = duplex(64 * 1024);
            let mut io = LineIo::new(stream);
            let line = [b"250 ", &vec![b'x'; length][..], b"\r\n354 next\r\n"].concat();
            peer.write_all(&line).await.unwrap();
            let (shown, reply) = read(&mut io).await;
            assert_eq!(shown, b"250 \r\n");
            assert!((500..=512).contains(&reply.len()), "{length}: {}", reply.len());
            assert_eq!(read(&mut io).await.1, "354 next");
        }
    }

    #[tokio::test]
    async fn a_reply_of_any_number_of_lines_is_one_reply() {
        for (line, count) in [("250-\r\n", 100_000), ("250-a line of some length\n", 1_000)] {
            let (mut peer, stream) = duplex(REPLY_MAX);
            let mut io = LineIo::new(stream);
            peer.write_all(line.repeat(count).as_bytes()).await.unwrap();
            peer.write_all(b"250\r\n221 bye\r\n").await.unwrap();
            assert_eq!(read(&mut io).await.0, b"250 \r\n");
            assert_eq!(read(&mut io).await.1, "221 bye");
        }
    }

    #[tokio::test]
    async fn a_reply_without_end_is_given_up_and_what_it_said_is_known() {
        for endless in ["250-more to come\r\n".repeat(100_000), "250 ".repeat(500_000)] {
            let (mut peer, stream) = duplex(4 * REPLY_MAX);
            let mut io = LineIo::new(stream);
            peer.write_all(endless.as_bytes()).await.unwrap();
            assert_eq!(failure(&mut io).await, Some(NoReply::Endless));
            let begun = io.take_begun().unwrap();
            assert_eq!(begun.code().as_u16(), 250);
        }
    }

    #[tokio::test]
    async fn of_a_reply_that_breaks_off_the_code_is_known_once_it_is_whole() {
        for (said, known) in [
            (&b"250-queued\r\n"[..], Some("250 queued")),
            (b"250 queu", Some("250 queu")),
            (b"250-queued\r\n250", Some("250 queued")),
            (b"250-queued\r\nwhat", Some("250 queued")),
            (b"250-queued\r\n550 no", None),
            (b"250", None),
            (b"25", None),
            (b"", None),
        ] {
            let (mut peer, stream) = duplex(256);
            let mut io = LineIo::new(stream);
            peer.write_all(said).await.unwrap();
            drop(peer);
            assert_eq!(read(&mut io).await.0, b"");
            let begun = io.take_begun().map(|reply| reply.one_line());
            assert_eq!(begun.as_deref(), known, "{}", String::from_utf8_lossy(said));
        }
    }

    #[tokio::test]
    async fn a_peer_is_quiet_until_it_says_something_unasked_or_hangs_up() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        assert!(io.is_quiet());
        peer.write_all(b"250 ok\r\n421 bye\r\n").await.unwrap();
        assert_eq!(read(&mut io).await.1, "250 ok");
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
        assert_eq!(read(&mut io).await.1, "220 ready");
        assert_eq!(io.into_stream().unwrap_err(), BytesLeft { count: 14 });
    }

    #[tokio::test]
    async fn a_stream_with_nothing_left_is_given_back() {
        let (mut peer, stream) = duplex(256);
        let mut io = LineIo::new(stream);
        peer.write_all(b"220 ready\r\n").await.unwrap();
        assert_eq!(read(&mut io).await.1, "220 ready");
        let mut stream = io.into_stream().unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}
