//! A message that is being received.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use clock::millis;
use mail::{Envelope, QueueId, TlsRequired};
use store::rows::{encode_envelope, message_of, split_entries};
use store::{BodySum, BodyWriter, CommitError};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::record::{HEADER_BYTES, HEADER_SIZE, Header};

use crate::shared::Handle;
use crate::work::{Prepared, PreparedBody, TemporaryFile};

/// A message whose body is being collected; dropped before it is committed, it leaves nothing.
#[derive(Debug)]
pub(crate) struct NewMessage {
    handle: Arc<Handle>,
    id: QueueId,
    received_at: SystemTime,
    envelope: Envelope,
    encoded: Vec<u8>,
    body: Body,
    sum: BodySum,
}

/// Where the body is collected.
#[derive(Debug)]
enum Body {
    /// Nowhere: writing it failed.
    Failed,
    /// In a file that begins with room for the header and holds the envelope.
    File { file: File, path: TemporaryFile },
    /// In memory, while it is small.
    Memory(Vec<u8>),
}

impl NewMessage {
    /// An empty message.
    pub(crate) fn new(
        handle: Arc<Handle>,
        id: QueueId,
        received_at: SystemTime,
        envelope: &Envelope,
    ) -> Self {
        Self {
            received_at,
            handle,
            id,
            encoded: encode_envelope(envelope),
            envelope: envelope.clone(),
            body: Body::Memory(Vec::new()),
            sum: BodySum::default(),
        }
    }

    /// The length of the envelope in the record.
    pub(crate) const fn envelope_len(&self) -> usize {
        self.encoded.len()
    }

    /// Makes the message ready for the committer.
    pub(crate) async fn prepare(self) -> Result<Prepared, CommitError> {
        let header = self.header()?;
        let entries = split_entries(&self.envelope, millis(self.received_at));
        let message = message_of(&self.envelope, self.received_at, self.sum.size());
        let body = match self.body {
            Body::Failed => return Err(CommitError::Failed),
            Body::Memory(bytes) => PreparedBody::Memory(Arc::new(bytes)),
            Body::File { mut file, path } => {
                file.rewind().await?;
                file.write_all(&header.encode()).await?;
                file.flush().await?;
                file.sync_all().await?;
                PreparedBody::File(path)
            }
        };
        Ok(Prepared { header, envelope: self.encoded, message, entries, body })
    }

    /// Appends to the body, in memory or in its file.
    async fn append(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        self.sum.append(bytes);
        self.keep(bytes).await
    }

    /// Puts bytes that are counted behind the body.
    async fn keep(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        match &mut self.body {
            Body::Failed => Err(CommitError::Failed),
            Body::Memory(memory) => {
                memory.extend_from_slice(bytes);
                if self.record_size() < self.handle.shared.settings.big_body {
                    return Ok(());
                }
                self.move_to_file().await
            }
            Body::File { file, .. } => Ok(file.write_all(bytes).await?),
        }
    }

    /// Writes zeros where the bytes of the room will be.
    async fn leave_room(&mut self, octets: usize) -> Result<(), CommitError> {
        self.sum.reserve(octets)?;
        self.keep(&vec![0; octets]).await
    }

    /// Writes the bytes of the room.
    async fn fill_room(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        let offset = self.sum.fill(bytes)?;
        let from = usize::try_from(offset).map_err(std::io::Error::other)?;
        let to = from.saturating_add(bytes.len());
        match &mut self.body {
            Body::Failed => return Err(CommitError::Failed),
            Body::Memory(memory) => memory
                .get_mut(from..to)
                .ok_or_else(|| std::io::Error::other("the room is not there"))?
                .copy_from_slice(bytes),
            Body::File { file, .. } => {
                let envelope = u64::try_from(self.encoded.len()).map_err(std::io::Error::other)?;
                let begin = HEADER_BYTES.saturating_add(envelope).saturating_add(offset);
                file.seek(SeekFrom::Start(begin)).await?;
                file.write_all(bytes).await?;
                file.seek(SeekFrom::End(0)).await?;
            }
        }
        Ok(())
    }

    /// Puts another tag into the envelope. The envelope stands before the body, so a file, which only a
    /// very long header has by then, is written again.
    async fn retag(&mut self, tls: TlsRequired) -> Result<(), CommitError> {
        let before = HEADER_SIZE.saturating_add(self.encoded.len());
        self.envelope = self.envelope.clone().with_tls(tls);
        self.encoded = encode_envelope(&self.envelope);
        let Body::File { file, path } = &mut self.body else { return Ok(()) };
        file.flush().await?;
        let mut body = tokio::fs::read(&path.0).await?;
        body.drain(..before.min(body.len()));
        // The old file goes before there is another of its name.
        self.body = Body::Memory(body);
        self.move_to_file().await
    }

    /// Goes on in a file, for the body has become big.
    async fn move_to_file(&mut self) -> Result<(), CommitError> {
        let path = TemporaryFile(self.handle.shared.paths.tmp(self.id));
        let mut file = File::create_new(&path.0).await?;
        file.write_all(&[0; HEADER_SIZE]).await?;
        file.write_all(&self.encoded).await?;
        if let Body::Memory(memory) = &self.body {
            file.write_all(memory).await?;
        }
        self.body = Body::File { file, path };
        Ok(())
    }

    /// Keeps nothing of a body that lacks bytes.
    fn or_failed(&mut self, done: Result<(), CommitError>) -> Result<(), CommitError> {
        if done.is_err() {
            self.body = Body::Failed;
        }
        done
    }

    /// The length of the record as it is now.
    fn record_size(&self) -> u64 {
        let envelope = u64::try_from(self.encoded.len()).unwrap_or(u64::MAX);
        self.sum.size().saturating_add(envelope).saturating_add(HEADER_BYTES)
    }

    /// The record's header.
    fn header(&self) -> Result<Header, CommitError> {
        Ok(Header {
            store: self.handle.shared.store,
            id: self.id,
            received_at: self.received_at,
            body_size: self.sum.size(),
            envelope_size: u32::try_from(self.encoded.len()).map_err(std::io::Error::other)?,
            envelope_sum: crc32c::crc32c(&self.encoded),
            body_sum: self.sum.whole()?,
        })
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
        let tagged = self.retag(tls).await;
        self.or_failed(tagged)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        let written = self.append(bytes).await;
        self.or_failed(written)
    }

    async fn reserve(&mut self, octets: usize) -> Result<(), CommitError> {
        let left = self.leave_room(octets).await;
        self.or_failed(left)
    }

    async fn fill(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        let filled = self.fill_room(bytes).await;
        self.or_failed(filled)
    }
}
