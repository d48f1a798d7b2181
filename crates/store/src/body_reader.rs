//! Reading a message back.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// A store's own reader.
pub trait ReadBody: AsyncRead + Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + Debug + Send + Sync + Unpin> ReadBody for T {}

/// A message's header and body, as they were received; never a damaged one to its end.
#[derive(Debug)]
pub struct BodyReader {
    size: u64,
    bytes: Box<dyn ReadBody>,
}

impl BodyReader {
    /// A body of this size, which `bytes` reads.
    #[must_use]
    pub fn new(size: u64, bytes: impl ReadBody + 'static) -> Self {
        Self { size, bytes: Box::new(bytes) }
    }

    /// The size of header and body, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(cx, out)
    }
}
