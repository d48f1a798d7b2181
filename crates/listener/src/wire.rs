//! A client's stream with what was read ahead and what is still to be written.
//!
//! Both are small while the client is idle and bounded always: nothing is read before what was
//! read is used up, and replies wait only while more commands are at hand (RFC 2920 §3.2).

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use smtp::Reply;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How many bytes of replies wait at most for more commands.
const MAX_WAITING_REPLIES: usize = 8 << 10;

/// How many bytes a client may still send after the last reply; more is cut off.
const MAX_AFTER_FAREWELL: usize = 64 << 10;

/// How many of them are read at once.
const FAREWELL_ROOM: usize = 1 << 10;

/// How much is read by way of the stack.
const PIECE: usize = 8 << 10;

/// What stands for a time beyond the clock: decades.
const FAR: Duration = Duration::from_secs(1 << 30);

/// A client's stream and its two buffers.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: Vec<u8>,
}

/// The client cannot be talked to any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireFault {
    /// The client closed the connection.
    #[error("connection closed by the client")]
    Closed,
    /// The network failed.
    #[error("connection lost")]
    Lost(#[from] io::Error),
    /// The client sent nothing, or took no reply, for too long.
    #[error("timed out")]
    TimedOut,
}

/// The time after `wait`.
pub(crate) fn from_now(wait: Duration) -> Instant {
    after(Instant::now(), wait)
}

/// The time `wait` after `since`.
pub(crate) fn after(since: Instant, wait: Duration) -> Instant {
    since + wait.min(FAR)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Nothing was read and nothing is to be written.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new() }
    }

    /// What was read and not yet used.
    pub(crate) const fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Puts a reply behind those that wait.
    pub(crate) fn queue(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Writes the replies that wait if they are many.
    pub(crate) async fn flush_if_full(&mut self, end: Instant) -> Result<(), WireFault> {
        if self.output.len() < MAX_WAITING_REPLIES {
            return Ok(());
        }
        self.flush(end).await
    }

    /// Writes all replies that wait, in one piece; waits until `end` at most for the client to take
    /// them.
    pub(crate) async fn flush(&mut self, end: Instant) -> Result<(), WireFault> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        let write = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        match timeout_at(end, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(WireFault::TimedOut),
        }
    }

    /// Reads what there is, at most `room` bytes; waits until `end` at most.
    ///
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn read(&mut self, room: usize, end: Instant) -> Result<(), WireFault> {
        let read = poll_fn(|context| self.poll_piece(room, context));
        match timeout_at(end, read).await {
            Ok(Ok(0)) => Err(WireFault::Closed),
            Ok(read) => Ok(read.map(|_| ())?),
            Err(_) => Err(WireFault::TimedOut),
        }
    }

    /// Reads what there is, at most `room` bytes; how many. A small piece comes by way of the stack, so
    /// that the input takes as much memory as there is to keep, and none while nothing comes.
    fn poll_piece(&mut self, room: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if room > PIECE {
            self.input.reserve(room);
            let mut space = (&mut self.input).limit(room);
            return pin!(self.stream.read_buf(&mut space)).poll(context);
        }
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut piece = ReadBuf::uninit(piece.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        self.input.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Gives back what an idle client does not need.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// The stream alone, for TLS to go on with.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Writes the last replies and closes, which takes `wait` at most, whatever the client does.
    ///
    /// The client's own bytes are read and dropped for a short while: a socket closed with bytes
    /// unread resets the connection, which can take the last reply away from the client.
    pub(crate) async fn close(mut self, wait: Duration) -> Result<(), WireFault> {
        let end = from_now(wait);
        self.flush(end).await?;
        let leave = async {
            self.stream.shutdown().await?;
            let mut dropped = 0_usize;
            while dropped < MAX_AFTER_FAREWELL {
                self.input.clear();
                self.input.reserve(FAREWELL_ROOM);
                match self.stream.read_buf(&mut (&mut self.input).limit(FAREWELL_ROOM)).await? {
                    0 => break,
                    read => dropped = dropped.saturating_add(read),
                }
            }
            Ok(())
        };
        timeout_at(end, leave).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use smtp::ReplyCode;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closing_takes_no_longer_than_it_may_whatever_the_client_does() {
        // A client that takes no reply, and one that does and then sends without end.
        for room in [1, 1 << 10] {
            let (_client, stream) = tokio::io::duplex(room);
            let mut wire = Wire::new(stream);
            wire.queue(&Reply::new(ReplyCode::OK, None, "goodbye"));
            let (begun, wait) = (Instant::now(), Duration::from_secs(2));
            // Whether it is a fault that nobody has read it is the caller's to say.
            let _closed = wire.close(wait).await;
            assert_eq!(begun.elapsed(), wait);
        }
    }
}
