//! A message that is being received.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use clock::millis;
use mail::{Envelope, QueueId, TlsRequired};
use store::rows::{encode_envelope, message_of, split_entries};
use store::{BodySum, BodyWriter, CommitError};

use crate::shared::Shared;
use crate::work::{Prepared, PreparedBody};

/// How many bytes a piece of a body has; the last one has fewer.
pub(crate) const PIECE: usize = 256 << 10;

/// The same, for places in a body.
const PIECE_BYTES: u64 = 256 << 10;

/// A message whose body is being collected. Whole pieces go to the database as they come; the last one, and
/// one with room that is not filled yet, wait in memory. Dropped before it is committed, it leaves nothing.
#[derive(Debug)]
pub(crate) struct NewMessage {
    shared: Arc<Shared>,
    id: QueueId,
    received_at: SystemTime,
    envelope: Envelope,
    envelope_len: u64,
    sum: BodySum,
    /// The piece that is being filled.
    current: Vec<u8>,
    /// How many pieces there were before it.
    pieces: i32,
    /// Those of them that wait in memory.
    waiting: Vec<(i32, Vec<u8>)>,
    /// How many of them are in the database.
    streamed: i32,
    /// Whether a piece could not be kept.
    is_failed: bool,
}

impl NewMessage {
    /// An empty message.
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: QueueId,
        received_at: SystemTime,
        envelope: &Envelope,
    ) -> Self {
        let encoded = encode_envelope(envelope).len();
        Self {
            shared,
            id,
            received_at,
            envelope: envelope.clone(),
            envelope_len: u64::try_from(encoded).unwrap_or(u64::MAX),
            sum: BodySum::default(),
            current: Vec::new(),
            pieces: 0,
            waiting: Vec::new(),
            streamed: 0,
            is_failed: false,
        }
    }

    /// How many bytes the envelope has.
    pub(crate) const fn envelope_len(&self) -> u64 {
        self.envelope_len
    }

    /// Makes the message ready for the committer.
    pub(crate) fn prepare(mut self) -> Result<Prepared, CommitError> {
        if self.is_failed {
            return Err(CommitError::Failed);
        }
        let (sum, size) = (self.sum.whole()?, self.sum.size());
        self.end_piece();
        let waiting = std::mem::take(&mut self.waiting);
        let rest = waiting.into_iter().map(|(number, bytes)| (number, Arc::new(bytes)));
        let body = PreparedBody {
            sum,
            pieces: self.pieces,
            streamed: std::mem::take(&mut self.streamed),
            rest: rest.collect(),
        };
        Ok(Prepared {
            id: self.id,
            message: message_of(&self.envelope, self.received_at, size),
            envelope: self.envelope_len,
            entries: split_entries(&self.envelope, millis(self.received_at)),
            body,
        })
    }

    /// Appends bytes that are counted.
    async fn keep(&mut self, mut bytes: &[u8]) -> Result<(), CommitError> {
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.current.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.current.extend_from_slice(now);
            bytes = later;
            if self.current.len() >= PIECE {
                self.end_piece();
                self.stream().await?;
            }
        }
        Ok(())
    }

    /// The piece that is being filled is whole.
    fn end_piece(&mut self) {
        if !self.current.is_empty() {
            self.waiting.push((self.pieces, std::mem::take(&mut self.current)));
            self.pieces = self.pieces.saturating_add(1);
        }
    }

    /// Sends the whole pieces to the database that have no room to be filled.
    async fn stream(&mut self) -> Result<(), CommitError> {
        let room = self.sum.room();
        let has_room = |number: i32| {
            let begin = u64::try_from(number).unwrap_or(0).saturating_mul(PIECE_BYTES);
            let end = begin.saturating_add(PIECE_BYTES);
            room.as_ref().is_some_and(|room| room.start < end && begin < room.end)
        };
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (kept, ready): (Vec<_>, Vec<_>) = waiting.partition(|(number, _)| has_room(*number));
        self.waiting = kept;
        for (number, bytes) in ready {
            self.shared.keep_piece(self.id, number, &bytes).await?;
            self.streamed = self.streamed.saturating_add(1);
        }
        Ok(())
    }

    /// Writes the bytes of the room into the pieces that have it.
    fn fill_room(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        let offset = self.sum.fill(bytes)?;
        for (at, byte) in (offset..).zip(bytes) {
            let number = i32::try_from(at / PIECE_BYTES).map_err(io::Error::other)?;
            let within = usize::try_from(at % PIECE_BYTES).map_err(io::Error::other)?;
            let waiting = self.waiting.iter_mut().find(|(other, _)| *other == number);
            let piece = waiting.map_or(&mut self.current, |(_, piece)| piece);
            let place = piece.get_mut(within);
            *place.ok_or_else(|| io::Error::other("the room is not there"))? = *byte;
        }
        Ok(())
    }

    /// Keeps nothing of a body that lacks bytes.
    fn or_failed(&mut self, done: Result<(), CommitError>) -> Result<(), CommitError> {
        self.is_failed |= done.is_err();
        done
    }
}

impl Drop for NewMessage {
    fn drop(&mut self) {
        if self.streamed > 0 {
            self.shared.forget_pieces(self.id);
        }
    }
}

#[async_trait]
impl BodyWriter for NewMessage {
    fn id(&self) -> QueueId {
        self.id
    }

    fn size(&self) -> u64 {
        self.sum.size()
    }

    async fn tag(&mut self, tls: TlsRequired) -> Result<(), CommitError> {
        self.envelope = self.envelope.clone().with_tls(tls);
        let encoded = encode_envelope(&self.envelope).len();
        self.envelope_len = u64::try_from(encoded).unwrap_or(u64::MAX);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        self.sum.append(bytes);
        let kept = self.keep(bytes).await;
        self.or_failed(kept)
    }

    async fn reserve(&mut self, octets: usize) -> Result<(), CommitError> {
        let left = self.sum.reserve(octets).map_err(CommitError::from);
        self.or_failed(left)?;
        let kept = self.keep(&vec![0; octets]).await;
        self.or_failed(kept)
    }

    async fn fill(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        let filled = self.fill_room(bytes);
        self.or_failed(filled)
    }
}
