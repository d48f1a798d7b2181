//! One SMTP connection's bytes as lines, the server's side.

use std::io;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::tls::Stream;

/// The longest line that is waited for.
const LINE: usize = 1 << 20;
/// How much is read at a time.
const READ: usize = 1 << 16;
/// How long the client may take to close after the server has.
const LINGER: Duration = Duration::from_secs(10);

/// A connection read by lines.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What was read; the bytes before `used` have been handed out.
    buffer: Vec<u8>,
    used: usize,
}

/// The connection is at its end, whoever ended it.
#[derive(Debug)]
pub(super) struct Ended;

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new(), used: 0 }
    }

    /// The next line up to and with LF.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Ended> {
        self.until(b"\n").await
    }

    /// The next line of a message: up to and with CRLF, and nothing less.
    pub(super) async fn message_line(&mut self) -> Result<Vec<u8>, Ended> {
        self.until(b"\r\n").await
    }

    /// The next octets, so many of them.
    pub(super) async fn octets(&mut self, count: usize) -> Result<Vec<u8>, Ended> {
        while self.buffer.len() - self.used < count {
            self.read().await?;
        }
        let octets = self.buffer.get(self.used..).unwrap_or_default();
        let octets = octets.get(..count).unwrap_or_default().to_vec();
        self.used += count;
        Ok(octets)
    }

    /// Whether the client has sent more than was read so far.
    pub(super) fn has_more(&self) -> bool {
        self.used < self.buffer.len()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads and forgets until the client closes.
    pub(super) async fn drain(&mut self) {
        self.buffer.clear();
        self.used = 0;
        let mut sink = vec![0; READ];
        while matches!(self.stream.read(&mut sink).await, Ok(1..)) {}
    }

    /// Closes in order: had the client's last bytes not been read, it might not see the reply.
    pub(super) async fn close(&mut self) {
        drop(self.stream.shutdown().await);
        drop(timeout(LINGER, self.drain()).await);
    }

    /// Waits for the client's next bytes, and leaves them to be read.
    pub(super) async fn await_bytes(&mut self) -> Result<(), Ended> {
        if self.has_more() { Ok(()) } else { self.read().await }
    }

    /// Gives up the stream, and what was read too far.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Ended> {
        let mut searched = 0;
        loop {
            let unread = self.buffer.get(self.used..).unwrap_or_default();
            // The end may have been cut in two by a read.
            let from = searched.max(end.len()) - end.len();
            let found = memmem::find(unread.get(from..).unwrap_or_default(), end);
            if let Some(found) = found {
                let line = unread.get(..from + found + end.len()).unwrap_or_default().to_vec();
                self.used += line.len();
                return Ok(line);
            }
            searched = unread.len();
            if searched > LINE {
                return Err(Ended);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(READ);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(Ended);
        }
        Ok(())
    }
}
