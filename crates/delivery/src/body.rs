//! Writing a message behind DATA (RFC 5321 §4.5.2) or in a chunk (RFC 3030 §2), never whole in
//! memory.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smtp::DotStuffer;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Instant;

use crate::dialogue::{Dialogue, DialogueError};
use crate::line_io::Stream;
use crate::settings::Timeouts;

/// How much of a message is read at once, by way of the stack.
const READ: usize = 8 * 1024;

/// How much of it is gathered before it is written.
const GATHERED: usize = 32 * 1024;

/// How much a block may grow by its dots and its end before it has to be moved.
const DOTS: usize = 256;

/// How much of a chunk is written at once.
const BLOCK: usize = 64 * 1024;

/// Writes `body`, which should have `size` octets, with its dots doubled, then the final dot.
///
/// The peer has to read it at this pace (RFC 5321 §4.5.3.2.5). A body that cannot be read to its end never
/// gets the dot, so that the peer cannot take half of it for the whole.
pub(crate) async fn write_body<S, B>(
    dialogue: &mut Dialogue<S>,
    mut body: B,
    size: u64,
    mut pace: Pace,
) -> Result<(), BodyError>
where
    S: Stream,
    B: AsyncRead + Unpin,
{
    let room = usize::try_from(size).unwrap_or(GATHERED).min(GATHERED.saturating_add(READ));
    let mut stuffer = DotStuffer::new();
    let mut block = Vec::with_capacity(room.saturating_add(DOTS));
    loop {
        let read = poll_fn(|context| poll_stuffed(&mut body, &mut stuffer, &mut block, context));
        if read.await.map_err(|error| unreadable(&error))? == 0 {
            break;
        }
        if block.len() >= GATHERED {
            pace.send(dialogue, &block).await.map_err(BodyError::Cut)?;
            block.clear();
        }
    }
    stuffer.finish(&mut block);
    pace.send(dialogue, &block).await.map_err(BodyError::InDoubt)
}

/// Reads a piece of `body` by way of the stack, and puts it behind `block` with its dots doubled;
/// how long it was, 0 at the end.
fn poll_stuffed<B: AsyncRead + Unpin>(
    body: &mut B,
    stuffer: &mut DotStuffer,
    block: &mut Vec<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [const { MaybeUninit::uninit() }; READ];
    let mut piece = ReadBuf::uninit(&mut room);
    ready!(Pin::new(body).poll_read(context, &mut piece))?;
    stuffer.feed(piece.filled(), block);
    Poll::Ready(Ok(piece.filled().len()))
}

/// Writes `body` as the one chunk of a message, byte for byte: BDAT with its `size`, and all of it.
///
/// The count is what ends it, so a body of another size is one that cannot be read: the peer is
/// left without the rest, and has not got the message.
pub(crate) async fn write_chunk<S, B>(
    dialogue: &mut Dialogue<S>,
    mut body: B,
    size: u64,
    mut pace: Pace,
) -> Result<(), BodyError>
where
    S: Stream,
    B: AsyncRead + Unpin,
{
    let mut block = format!("BDAT {size} LAST\r\n").into_bytes();
    block.reserve(BLOCK);
    let mut left = size;
    loop {
        if block.len() >= GATHERED {
            pace.send(dialogue, &block).await.map_err(BodyError::Cut)?;
            block.clear();
        }
        let before = block.len();
        let read = (&mut body).take(left.saturating_add(1)).read_buf(&mut block).await;
        read.map_err(|error| unreadable(&error))?;
        let read = u64::try_from(block.len().saturating_sub(before)).unwrap_or(u64::MAX);
        match (read, left.checked_sub(read)) {
            // The end is where it should be.
            (0, Some(0)) => return pace.send(dialogue, &block).await.map_err(BodyError::InDoubt),
            (0, _) | (_, None) => {
                return Err(unreadable(&io::ErrorKind::UnexpectedEof.into()));
            }
            (_, Some(rest)) => left = rest,
        }
    }
}

/// Why a message was not written to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyError {
    /// The connection failed before the last block; the peer has not got the message.
    Cut(DialogueError),
    /// The connection failed in the block with the final dot; the peer may have the message.
    InDoubt(DialogueError),
    /// The body could not be read to its end.
    Unreadable(io::ErrorKind),
}

fn unreadable(error: &io::Error) -> BodyError {
    tracing::error!(%error, "message body unreadable");
    BodyError::Unreadable(error.kind())
}

/// How fast a peer has to read a message.
///
/// No block may take longer than its limit. A peer that needs most of that for each block would hold
/// a large message's connection for days, so there is a least rate as well: time that is lost against
/// it has to be made up for before it comes to the limit of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    limit: Duration,
    /// Octets a second; 0: any number.
    rate: u64,
    /// How much time may yet be lost.
    slack: Duration,
}

impl Pace {
    /// The pace of a message that begins now.
    pub(crate) const fn new(timeouts: &Timeouts) -> Self {
        let Timeouts { data_block: limit, data_rate: rate, .. } = *timeouts;
        Self { limit, rate, slack: limit }
    }

    /// Writes a block.
    async fn send<S: Stream>(
        &mut self,
        dialogue: &mut Dialogue<S>,
        block: &[u8],
    ) -> Result<(), DialogueError> {
        let began = Instant::now();
        let due = self.due(block.len());
        let left = self.slack.saturating_add(due);
        match dialogue.send(block, self.limit.min(left)).await {
            Ok(()) => {}
            Err(DialogueError::TimedOut) if left < self.limit => {
                return Err(DialogueError::TooSlow);
            }
            Err(error) => return Err(error),
        }
        dialogue.patience().moved();
        self.slack = left.saturating_sub(began.elapsed()).min(self.limit);
        Ok(())
    }

    /// How long a block of so many octets takes at the least rate.
    fn due(&self, octets: usize) -> Duration {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let millis = octets.saturating_mul(1000).checked_div(self.rate);
        millis.map_or(self.limit, Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinSet;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Blocks that may take so long, at this rate.
    const fn pace(limit: Duration, rate: u64) -> Pace {
        Pace { limit, rate, slack: limit }
    }

    /// What goes over the wire when this is written, read by a peer that is always ready.
    async fn heard<T>(write: impl AsyncFnOnce(&mut Dialogue<DuplexStream>) -> T) -> (Vec<u8>, T) {
        let (mut peer, stream) = duplex(1000);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let mut dialogue = Dialogue::new(stream);
        let result = write(&mut dialogue).await;
        drop(dialogue);
        (tasks.join_next().await.unwrap().unwrap(), result)
    }

    /// What goes over the wire for this body.
    async fn written<B: AsyncRead + Unpin>(body: B) -> (Vec<u8>, Result<(), BodyError>) {
        heard(async |dialogue| write_body(dialogue, body, 100, pace(LIMIT, 0)).await).await
    }

    #[tokio::test]
    async fn a_body_is_stuffed_from_its_first_line_and_ends_in_one_dot() {
        for (body, wire) in [
            ("", ".\r\n"),
            ("a: b\r\n\r\nx\r\n", "a: b\r\n\r\nx\r\n.\r\n"),
            ("x", "x\r\n.\r\n"),
            (".\r\nMAIL FROM:<>\r\n", "..\r\nMAIL FROM:<>\r\n.\r\n"),
            ("x\r\n.\r\n..\r\n", "x\r\n..\r\n...\r\n.\r\n"),
        ] {
            let (heard, result) = written(body.as_bytes()).await;
            assert_eq!(result, Ok(()));
            assert_eq!(String::from_utf8(heard).unwrap(), wire);
        }
    }

    #[tokio::test]
    async fn a_long_body_arrives_whole() {
        let body = b".dots and more\r\n".repeat(20_000);
        let (heard, result) = written(&body[..]).await;
        assert_eq!(result, Ok(()));
        let expected = [b"..dots and more\r\n".repeat(20_000), b".\r\n".to_vec()].concat();
        assert!(heard == expected);
    }

    /// A body whose end cannot be read.
    struct Torn(usize);

    impl AsyncRead for Torn {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            room: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0 == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.0 -= 1;
            room.put_slice(b"line\r\n");
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_to_its_end_never_gets_the_dot() {
        let (heard, result) = written(Torn(10_000)).await;
        assert_eq!(result, Err(BodyError::Unreadable(io::ErrorKind::InvalidData)));
        assert!(!heard.windows(3).any(|three| three == b".\r\n"));
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_in_the_middle_has_not_got_the_message() {
        let (peer, stream) = duplex(1000);
        drop(peer);
        let body = b"line\r\n".repeat(100_000);
        let result =
            write_body(&mut Dialogue::new(stream), &body[..], 600_000, pace(LIMIT, 0)).await;
        assert_eq!(result, Err(BodyError::Cut(DialogueError::Broken(io::ErrorKind::BrokenPipe))));
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_at_the_end_may_have_got_the_message() {
        let (peer, stream) = duplex(1000);
        drop(peer);
        let result =
            write_body(&mut Dialogue::new(stream), &b"short\r\n"[..], 7, pace(LIMIT, 0)).await;
        let error = DialogueError::Broken(io::ErrorKind::BrokenPipe);
        assert_eq!(result, Err(BodyError::InDoubt(error)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (_peer, stream) = duplex(1000);
        let body = b"line\r\n".repeat(100_000);
        let result =
            write_body(&mut Dialogue::new(stream), &body[..], 600_000, pace(LIMIT, 0)).await;
        assert_eq!(result, Err(BodyError::Cut(DialogueError::TimedOut)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_too_slowly_is_given_up_and_one_that_pauses_is_not() {
        let body = b"line\r\n".repeat(100_000);
        // Half of the octets in each second, and twice as many with a pause before them.
        for (octets, pause, expected) in
            [(500, 0, Err(BodyError::Cut(DialogueError::TooSlow))), (2000, 100, Ok(()))]
        {
            let (mut peer, stream) = duplex(1000);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                let mut heard = vec![0; octets];
                while peer.read_exact(&mut heard).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                // The rest of a message that ends in the middle of a second.
                std::future::pending::<()>().await;
            });
            let pace = pace(Duration::from_secs(180), 1000);
            let mut dialogue = Dialogue::new(stream);
            let result = write_body(&mut dialogue, &body[..], 600_000, pace).await;
            assert_eq!(result, expected);
        }
    }

    #[tokio::test]
    async fn time_that_is_lost_against_the_least_rate_is_made_up_for() {
        let mut pace = pace(Duration::from_secs(180), 1024);
        assert_eq!(pace.due(64 * 1024), Duration::from_secs(64));
        pace.slack = Duration::from_secs(1);
        let (_peer, stream) = duplex(64 * 1024);
        pace.send(&mut Dialogue::new(stream), &[0; 10 * 1024]).await.unwrap();
        assert!(pace.slack > Duration::from_secs(10), "{pace:?}");
        assert!(pace.slack <= Duration::from_secs(11), "{pace:?}");
    }

    /// What goes over the wire for this body in a chunk of this size.
    async fn chunked<B: AsyncRead + Unpin>(body: B, size: u64) -> (Vec<u8>, Result<(), BodyError>) {
        heard(async |dialogue| write_chunk(dialogue, body, size, pace(LIMIT, 0)).await).await
    }

    #[tokio::test]
    async fn a_chunk_is_its_count_and_its_octets_as_they_are() {
        for body in [&b""[..], b"a: b\r\n\r\n\x00\n.\r\n", &b".\n\r".repeat(50_000)] {
            let size = body.len();
            let (heard, result) = chunked(body, u64::try_from(size).unwrap()).await;
            assert_eq!(result, Ok(()));
            assert!(heard == [format!("BDAT {size} LAST\r\n").as_bytes(), body].concat());
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_as_long_as_its_chunk_never_makes_it_whole() {
        let body = b"x".repeat(200_000);
        for (size, body) in [(200_001, &body[..]), (199_999, &body[..]), (1, b""), (0, b"x")] {
            let (heard, result) = chunked(body, size).await;
            assert_eq!(result, Err(BodyError::Unreadable(io::ErrorKind::UnexpectedEof)));
            let whole = format!("BDAT {size} LAST\r\n").len() + usize::try_from(size).unwrap();
            assert!(size == 0 || heard.len() < whole, "{size}");
        }
        let (heard, result) = chunked(Torn(100), 1000).await;
        assert_eq!(result, Err(BodyError::Unreadable(io::ErrorKind::InvalidData)));
        assert!(heard.len() < 1000);
    }
}
