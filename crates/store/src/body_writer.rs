//! Writing a message.

use std::any::Any;
use std::fmt::Debug;

use async_trait::async_trait;
use mail::{QueueId, TlsRequired};

use crate::error::CommitError;

/// A message that is being received; dropped before it is committed, it leaves nothing.
#[async_trait]
pub trait BodyWriter: Any + Debug + Send + Sync {
    /// The message's id, which goes into its Received field.
    fn id(&self) -> QueueId;

    /// How many bytes have been written.
    fn size(&self) -> u64;

    /// Keeps with the message what it says about TLS: its header is known later than its envelope
    /// (RFC 8689 §4.1). What has been written so far may be written again.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`].
    async fn tag(&mut self, tls: TlsRequired) -> Result<(), CommitError>;

    /// Appends to the body.
    ///
    /// # Errors
    ///
    /// [`CommitError::Io`] where the bytes could not be kept.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), CommitError>;

    /// Leaves room for so many bytes, which are known later: a signature, which stands before what it
    /// signs. There is one such room in a message.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`]; and where there is such room already.
    async fn reserve(&mut self, octets: usize) -> Result<(), CommitError>;

    /// Fills the room. A message with room that is not filled is not committed.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`]; and where the room is not of this size.
    async fn fill(&mut self, bytes: &[u8]) -> Result<(), CommitError>;
}
