//! A draft: a message on its way into the queue.

use std::sync::Arc;
use std::time::SystemTime;

use mail::{Envelope, QueueId, TlsRequired};
use store::{BodyWriter, CommitError, Committed, Owner};

use crate::context::Context;

/// A message that is being received; dropped before it is committed, it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    context: Arc<Context>,
    received_at: SystemTime,
    envelope: Envelope,
    body: Box<dyn BodyWriter>,
}

impl Draft {
    /// A message whose body the store has begun.
    pub(crate) fn new(
        context: Arc<Context>,
        received_at: SystemTime,
        envelope: Envelope,
        body: Box<dyn BodyWriter>,
    ) -> Self {
        Self { context, received_at, envelope, body }
    }

    /// The message's id, which goes into its Received field.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.body.id()
    }

    /// Who the message is from and for.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// When the message was begun.
    #[must_use]
    pub const fn received_at(&self) -> SystemTime {
        self.received_at
    }

    /// How many bytes have been written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.body.size()
    }

    /// Appends to the body.
    ///
    /// # Errors
    ///
    /// [`CommitError::Io`] where a body too long for memory could not be written to its file.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        self.body.write(bytes).await
    }

    /// Leaves room for so many bytes, which are known later.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`]; and where there is such room already.
    pub async fn reserve(&mut self, octets: usize) -> Result<(), CommitError> {
        self.body.reserve(octets).await
    }

    /// Fills the room. A message with room that is not filled is not committed.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`]; and where the room is not of this size.
    pub async fn fill(&mut self, bytes: &[u8]) -> Result<(), CommitError> {
        self.body.fill(bytes).await
    }

    /// Tags the message with what it says about TLS, once its header is known (RFC 8689 §4.1).
    ///
    /// # Errors
    ///
    /// As for [`Self::write`].
    pub async fn tag(&mut self, tls: TlsRequired) -> Result<(), CommitError> {
        self.envelope = self.envelope.clone().with_tls(tls);
        self.body.tag(tls).await
    }

    /// Puts the message into the queue and waits until it is durable.
    ///
    /// # Errors
    ///
    /// [`CommitError`]: nothing of the message is kept, and nobody may be told that it was taken.
    pub async fn commit(self) -> Result<Committed, CommitError> {
        self.context.store.commit(self.body, Owner::ThisProcess).await
    }

    /// The message as the store has it.
    pub(crate) fn into_body(self) -> Box<dyn BodyWriter> {
        self.body
    }
}
