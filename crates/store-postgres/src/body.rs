//! Reading a message back, and never a damaged one to its end: from memory where its body still is as it
//! came, or else piece by piece from the database. Nor is the end given of one that may be another node's by now:
//! who sends it cannot send the end of the data then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mail::QueueId;
use store::{BodyError, BodyReader, Ownership, StoreError};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::error::QueryError;
use crate::rows::{signed, whole};
use crate::shared::Shared;
use crate::work::{Change, Work};

const OPEN: &str = "SELECT message.received_at, message.body_sum, message.pieces, body.bytes, \
    (SELECT coalesce(sum(length(bytes)), 0)::bigint FROM body WHERE id = $1) AS size \
    FROM message LEFT JOIN body ON body.id = message.id AND body.piece = 0 WHERE message.id = $1";

const PIECE: &str = "SELECT bytes FROM body WHERE id = $1 AND piece = $2";

/// What is known of a body when it is opened.
struct Opened {
    size: u64,
    sum: u32,
    pieces: i32,
    first: Vec<u8>,
}

/// Opens the body of message `id`.
pub(crate) async fn open(shared: &Arc<Shared>, id: QueueId) -> Result<BodyReader, BodyError> {
    if let Some(body) = shared.recent.take(id) {
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        return Ok(BodyReader::new(size, Reader::whole(shared, body)));
    }
    let opened = find(shared, id).await.map_err(StoreError::from)?.ok_or(BodyError::Gone)?;
    if opened.pieces <= 1 {
        if crc32c::crc32c(&opened.first) != opened.sum {
            return Err(damaged(shared, id));
        }
        return Ok(BodyReader::new(opened.size, Reader::whole(shared, Arc::new(opened.first))));
    }
    let (size, trust) = (opened.size, Trust::now(shared));
    let (pieces, read) = mpsc::channel(1);
    let mut task = JoinSet::new();
    task.spawn(send_pieces(Arc::clone(shared), id, opened, pieces));
    let chunk = Arc::default();
    Ok(BodyReader::new(
        size,
        Reader { trust, chunk, given: 0, rest: Some(Rest { pieces: read, _task: task }) },
    ))
}

/// The message with its first piece.
async fn find(shared: &Shared, id: QueueId) -> Result<Option<Opened>, QueryError> {
    let session = shared.reader.session().await?;
    let rows = session.query(OPEN, &[&signed(id)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let first: Option<Vec<u8>> = row.try_get("bytes")?;
    Ok(Some(Opened {
        size: whole(row.try_get("size")?),
        sum: u32::try_from(row.try_get::<_, i64>("body_sum")?).unwrap_or(0),
        pieces: row.try_get("pieces")?,
        first: first.unwrap_or_default(),
    }))
}

/// Sends the pieces of a body one by one; the last one only if the whole is what was received.
async fn send_pieces(
    shared: Arc<Shared>,
    id: QueueId,
    opened: Opened,
    pieces: mpsc::Sender<io::Result<Vec<u8>>>,
) {
    let mut sum = 0;
    let Opened { sum: expected, pieces: count, first, .. } = opened;
    let mut next = Some(first);
    for number in 0..count {
        let piece = match next.take() {
            Some(piece) => Ok(piece),
            None => read_piece(&shared, id, number).await,
        };
        let piece = piece.and_then(|piece| {
            sum = crc32c::crc32c_append(sum, &piece);
            let is_last = number.saturating_add(1) == count;
            if is_last && sum != expected { Err(damaged(&shared, id)) } else { Ok(piece) }
        });
        let is_failed = piece.is_err();
        if pieces.send(piece.map_err(io::Error::other)).await.is_err() || is_failed {
            return;
        }
    }
}

/// A piece of a body.
async fn read_piece(shared: &Shared, id: QueueId, number: i32) -> Result<Vec<u8>, BodyError> {
    let read = async {
        let session = shared.reader.session().await?;
        let rows = session.query(PIECE, &[&signed(id), &number]).await?;
        rows.first().map(|row| Ok(row.try_get(0)?)).transpose()
    };
    let piece: Option<Vec<u8>> = read.await.map_err(|error: QueryError| StoreError::from(error))?;
    piece.ok_or(BodyError::Gone)
}

/// A message whose body is not what was received is set aside.
fn damaged(shared: &Shared, id: QueueId) -> BodyError {
    let why = "the checksum of its body differs".to_owned();
    tracing::error!(queue_id = %id, why, "message quarantined");
    let (answer, _) = oneshot::channel();
    let change = Change::Quarantine(id, why.clone());
    if shared.jobs.send(Work::Change(change, answer)).is_err() {
        tracing::debug!("the committer has ended");
    }
    BodyError::Damaged(why)
}

/// A message's header and body, as they were received.
#[derive(Debug)]
struct Reader {
    trust: Trust,
    /// Bytes that may be given.
    chunk: Arc<Vec<u8>>,
    /// How many of them have been given.
    given: usize,
    /// What sends the others.
    rest: Option<Rest>,
}

/// What is still in the database.
#[derive(Debug)]
struct Rest {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Reads them; it ends with the reader.
    _task: JoinSet<()>,
}

/// What says, before the end of a body is given and with it the end of the data can be sent, whether mail is
/// still this node's own.
#[derive(Debug)]
struct Trust {
    shared: Arc<Shared>,
    /// The node's token when the body was opened.
    token: i64,
}

impl Trust {
    fn now(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), token: shared.identity().token() }
    }

    /// Refuses where others may have taken the message over.
    fn check(&self) -> io::Result<()> {
        let is_certain = self.shared.ownership_now() == Ownership::Certain;
        if is_certain && self.shared.identity().token() == self.token {
            return Ok(());
        }
        Err(io::Error::other(
            "the lease on the store has ended: another relay may have the message",
        ))
    }
}

impl Reader {
    /// Of a body that is in memory.
    fn whole(shared: &Arc<Shared>, body: Arc<Vec<u8>>) -> Self {
        Self { trust: Trust::now(shared), chunk: body, given: 0, rest: None }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.given >= self.chunk.len() {
            let Some(rest) = self.rest.as_mut() else { return Poll::Ready(self.trust.check()) };
            match ready!(rest.pieces.poll_recv(cx)) {
                Some(piece) => {
                    self.chunk = Arc::new(piece?);
                    self.given = 0;
                }
                None => self.rest = None,
            }
        }
        let left = self.chunk.get(self.given..).unwrap_or_default();
        let now = left.get(..out.remaining().min(left.len())).unwrap_or_default();
        let given = now.len();
        out.put_slice(now);
        self.given = self.given.saturating_add(given);
        Poll::Ready(Ok(()))
    }
}
